//! The serial number of a certificate: 16 random octets, positive (RFC 5280, 4.1.2.2).

use std::fmt;

use rand_core::CryptoRng;

/// Serial number of a certificate that we issue; unique without a counter (126 random bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateSerial([u8; 16]);

impl CertificateSerial {
    /// A fresh serial number.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut octets = [0; 16];
        rng.fill_bytes(&mut octets);
        // The top bit would make it negative; the next one, always set, keeps the length at 16 octets.
        octets[0] = octets[0] & 0x3f | 0x40;
        Self(octets)
    }

    /// The octets, most significant first, as they stand in the certificate.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Which of so many shards of its CA's CRL it belongs to, 1 to 256.
    #[must_use]
    pub fn shard(&self, shards: u16) -> u8 {
        let shard = u16::from(self.0[15]) % shards.clamp(1, 256);
        shard.try_into().unwrap_or_default()
    }
}

impl fmt::Display for CertificateSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lower_hex(&self.0))
    }
}

/// Lower-case hexadecimal without separators, the form in which serial numbers are shown and stored.
pub(crate) fn lower_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;

    #[test]
    fn serials_are_positive_sixteen_octets_and_differ() {
        let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let serial = CertificateSerial::random(&mut rng);
            assert_eq!(serial.as_bytes()[0] & 0xc0, 0x40);
            assert_eq!(serial.to_string().len(), 32);
            assert!(seen.insert(serial));
        }
    }
}
