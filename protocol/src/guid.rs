//! The GUID that names a device to its owner and to the rendezvous (FDO 1.1, basic types).

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;

/// 16 random bytes, printed as a UUID in byte order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid([u8; 16]);

impl Guid {
    /// A fresh one.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The GUID with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The EAT's universal entity id: `01` and the GUID.
    pub fn ueid(&self) -> [u8; 17] {
        let mut ueid = [1; 17];
        ueid[1..].copy_from_slice(&self.0);
        ueid
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = Error;

    /// Reads 32 hexadecimal digits, with or without hyphens.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Malformed("a GUID is 32 hexadecimal digits");
        let mut bytes = [0; 16];
        let mut digits = text.chars().filter(|c| *c != '-');
        for byte in &mut bytes {
            let mut digit = || digits.next().and_then(|c| c.to_digit(16)).ok_or_else(wrong);
            *byte = u8::try_from(digit()? * 16 + digit()?).map_err(|_| wrong())?;
        }
        if digits.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

impl Encode for Guid {
    fn encode_into(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Decode for Guid {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.bytes()?.try_into().map(Self).map_err(|_| Error::Malformed("a GUID has 16 bytes"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_itself() {
        let guid = Guid::from_bytes(*b"0123456789abcdef");
        assert_eq!(guid.to_string(), "30313233-3435-3637-3839-616263646566");
        assert_eq!(guid.to_string().parse::<Guid>().unwrap(), guid);
        assert_eq!(guid.to_string().replace('-', "").parse::<Guid>().unwrap(), guid);
        assert!("30313233".parse::<Guid>().is_err());
        assert!("30313233-3435-3637-3839-61626364656600".parse::<Guid>().is_err());
    }
}
