//! CSR attributes (RFC 7030, 4.5.2): what an issuer wants a certification request to contain.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use der::asn1::{Any, SetOfVec};
use der::{Sequence, Tag, Tagged};
use fdo_protocol::crypto::KeyType;

use crate::{Error, asn1};

/// Longest list that is read, in bytes of DER.
const MAX_LENGTH: usize = 16 * 1024;
const WHAT: &str = "CSR attributes";

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Attribute {
    oid: ObjectIdentifier,
    values: SetOfVec<Any>,
}

/// What they say of the key; all else is the issuer's own to add.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CsrAttributes {
    key_types: Vec<KeyType>,
    other_keys: bool,
}

impl CsrAttributes {
    /// Attributes that want a key of one of these types; any will do if there is none.
    #[must_use]
    pub fn wanting(key_types: &[KeyType]) -> Self {
        Self { key_types: key_types.to_vec(), other_keys: false }
    }

    /// Reads a list in DER: bare identifiers and attributes with values.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let mut wanted = Self::default();
        for item in asn1::decode::<Vec<Any>>(WHAT, der, MAX_LENGTH)? {
            let attribute = match item.tag() {
                Tag::ObjectIdentifier => {
                    let oid = item.decode_as().map_err(Error::der(WHAT))?;
                    Attribute { oid, values: SetOfVec::new() }
                }
                _ => item.decode_as::<Attribute>().map_err(Error::der(WHAT))?,
            };
            wanted.other_keys |= attribute.oid == rfc5912::RSA_ENCRYPTION;
            if attribute.oid != rfc5912::ID_EC_PUBLIC_KEY {
                continue;
            }
            for value in attribute.values.iter() {
                match value.decode_as::<ObjectIdentifier>() {
                    Ok(rfc5912::SECP_256_R_1) => wanted.key_types.push(KeyType::P256),
                    Ok(rfc5912::SECP_384_R_1) => wanted.key_types.push(KeyType::P384),
                    _ => wanted.other_keys = true,
                }
            }
        }
        Ok(wanted)
    }

    /// The list in DER.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        let invalid = Error::encoding(WHAT);
        let mut list = Vec::new();
        for key_type in &self.key_types {
            let curve = if *key_type == KeyType::P384 { rfc5912::SECP_384_R_1 } else { rfc5912::SECP_256_R_1 };
            let mut values = SetOfVec::new();
            values.insert(Any::encode_from(&curve).map_err(&invalid)?).map_err(&invalid)?;
            let attribute = Attribute { oid: rfc5912::ID_EC_PUBLIC_KEY, values };
            list.push(Any::encode_from(&attribute).map_err(&invalid)?);
        }
        asn1::encode(WHAT, &list)
    }

    /// The type of the key to make, `preferred` where that will do; none where only keys are wanted that cannot be made.
    #[must_use]
    pub fn key_type(&self, preferred: KeyType) -> Option<KeyType> {
        if self.key_types.contains(&preferred) || self.key_types.is_empty() && !self.other_keys {
            return Some(preferred);
        }
        self.key_types.first().copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_chosen_by_what_is_wanted() {
        let both = CsrAttributes::wanting(&[KeyType::P384, KeyType::P256]);
        assert_eq!(CsrAttributes::parse(&both.to_der().unwrap()).unwrap(), both);
        assert_eq!(both.key_type(KeyType::P256), Some(KeyType::P256));
        let one = CsrAttributes::wanting(&[KeyType::P384]);
        assert_eq!(one.key_type(KeyType::P256), Some(KeyType::P384));
        let none = CsrAttributes::parse(&[0x30, 0]).unwrap();
        assert_eq!((none.to_der().unwrap(), none.key_type(KeyType::P384)), (vec![0x30, 0], Some(KeyType::P384)));
    }

    /// The example of RFC 7030, 4.5.2, in the encoding of its appendix.
    #[test]
    fn the_example_of_the_standard_is_read() {
        let der = fdo_pki_base64(
            "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==",
        );
        let wanted = CsrAttributes::parse(&der).unwrap();
        assert_eq!(wanted, CsrAttributes::wanting(&[KeyType::P384]));
    }

    #[test]
    fn other_keys_and_nonsense_are_seen() {
        // rsaEncryption alone.
        let rsa = CsrAttributes::parse(&[0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1]).unwrap();
        assert_eq!(rsa.key_type(KeyType::P256), None);
        for broken in [&[][..], &[0x30, 2, 5], &[0x31, 0], &[0x30, 2, 5, 0], &[0x30, 0, 0]] {
            assert!(CsrAttributes::parse(broken).is_err(), "{broken:?}");
        }
    }

    fn fdo_pki_base64(text: &str) -> Vec<u8> {
        crate::decode_base64(text.as_bytes(), 1000).unwrap()
    }
}
