//! RSA public keys: which ones are taken, and their forms in DER (RFC 8017, RFC 5280).

use der::asn1::{AnyRef, BitStringRef, UintRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::error::Error;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// The exponent of nearly every key, and the only one of RSA2048RESTR.
const F4: [u8; 3] = [1, 0, 1];

/// `RSAPublicKey`
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// Modulus and exponent of a key that is neither too small nor too large, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RsaNumbers {
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
}

impl RsaNumbers {
    /// Checks the numbers, which may begin with zeros.
    pub(crate) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        let (modulus, exponent) = (digits(modulus), digits(exponent));
        let refuse = |why| Err(Error::Unsupported(why));
        let is_even = |number: &[u8]| number.last().is_none_or(|last| last % 2 == 0);
        if bits(modulus) < *BITS.start() {
            return refuse("public key: RSA of less than 2048 bits");
        }
        if bits(modulus) > *BITS.end() {
            return refuse("public key: RSA of more than 4096 bits");
        }
        if is_even(modulus) {
            return refuse("public key: RSA with an even modulus");
        }
        // Odd and of 17 bits at least is 65537 at least; of more than 33 bits makes verifying a burden.
        if is_even(exponent) || !(17..=33).contains(&bits(exponent)) {
            return refuse(
                "public key: RSA with an exponent that is even, less than 65537, or of more than 33 bits",
            );
        }
        Ok(Self { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    /// Reads an RSAPublicKey.
    pub(crate) fn from_pkcs1_der(der: &[u8]) -> Result<Self, Error> {
        let key =
            RsaPublicKey::from_der(der).map_err(|_| Error::Unsupported("public key: RSA that does not decode"))?;
        Self::new(key.modulus.as_bytes(), key.exponent.as_bytes())
    }

    /// Reads a SubjectPublicKeyInfo; none where it holds another kind of key.
    pub(crate) fn from_spki_der(spki: &[u8]) -> Result<Option<Self>, Error> {
        let Ok(info) = SubjectPublicKeyInfoRef::from_der(spki) else { return Ok(None) };
        if info.algorithm.oid != RSA_ENCRYPTION {
            return Ok(None);
        }
        let key = info.subject_public_key.as_bytes().ok_or(Error::Unsupported("public key: loose bits"))?;
        Self::from_pkcs1_der(key).map(Some)
    }

    pub(crate) fn bits(&self) -> usize {
        bits(&self.modulus)
    }

    /// Whether the exponent is 65537.
    pub(crate) fn has_usual_exponent(&self) -> bool {
        self.exponent == F4
    }

    /// RSAPublicKey.
    pub(crate) fn to_pkcs1_der(&self) -> Result<Vec<u8>, Error> {
        let key = || {
            RsaPublicKey { modulus: UintRef::new(&self.modulus)?, exponent: UintRef::new(&self.exponent)? }
                .to_der()
        };
        key().map_err(|_| Error::Internal("public key encoding"))
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn to_spki_der(&self) -> Result<Vec<u8>, Error> {
        let key = self.to_pkcs1_der()?;
        let info = || {
            SubjectPublicKeyInfoRef {
                algorithm: AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) },
                subject_public_key: BitStringRef::from_bytes(&key)?,
            }
            .to_der()
        };
        info().map_err(|_| Error::Internal("public key encoding"))
    }
}

fn digits(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn bits(digits: &[u8]) -> usize {
    digits.first().map_or(0, |first| 8 * digits.len() - usize::try_from(first.leading_zeros()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        if !bits.is_multiple_of(8) {
            modulus[0] >>= 8 - bits % 8;
        }
        modulus
    }

    #[test]
    fn sizes_and_exponents_have_bounds() {
        for (bits, taken) in
            [(1024, false), (2047, false), (2048, true), (3072, true), (4096, true), (4097, false)]
        {
            assert_eq!(RsaNumbers::new(&modulus(bits), &F4).is_ok(), taken, "{bits} bits");
        }
        let mut even = modulus(2048);
        even[255] = 0xfe;
        assert!(RsaNumbers::new(&even, &F4).is_err());
        for exponent in
            [&[][..], &[0], &[1], &[2], &[3], &[17], &[1, 0, 0], &[0xff, 0xff], &[2, 0, 0, 0, 1], &[255; 9]]
        {
            let taken = exponent == [2, 0, 0, 0, 1];
            assert_eq!(
                RsaNumbers::new(&modulus(2048), exponent).is_ok(),
                taken && bits(exponent) <= 33,
                "{exponent:?}"
            );
        }
        assert!(RsaNumbers::new(&[], &F4).is_err());
    }

    #[test]
    fn leading_zeros_do_not_count_and_der_leads_back() {
        let key = RsaNumbers::new(&[&[0, 0][..], &modulus(2048)].concat(), &[0, 1, 0, 1]);
        let key = key.expect("zeros in front of numbers");
        assert!(key.has_usual_exponent());
        let spki = key.to_spki_der().expect("encodes");
        assert_eq!(RsaNumbers::from_spki_der(&spki), Ok(Some(key)));
        assert!(RsaNumbers::from_pkcs1_der(&spki).is_err());
        assert_eq!(RsaNumbers::from_spki_der(&[0x30]), Ok(None));
    }
}
