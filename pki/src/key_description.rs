//! A public key's type for lists and filters, whatever it is: also of keys that nothing here is issued for.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5912, rfc8410};
use der::asn1::{AnyRef, UintRef};
use der::{Decode, Reader};

use crate::asn1::{self, PublicKeyInfo};

const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");

/// `P-256`, `RSA2048`, `Ed25519`, `brainpoolP256r1`; the algorithm's or the curve's OID where it has no name here.
#[must_use]
pub fn describe_key(spki: &[u8]) -> String {
    let Ok(info) = asn1::decode::<PublicKeyInfo>("public key", spki, crate::MAX_CERTIFICATE) else {
        return "unreadable".to_owned();
    };
    match info.algorithm.oid {
        rfc5912::ID_EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters.as_ref();
            match curve.and_then(|any| any.decode_as::<ObjectIdentifier>().ok()) {
                Some(curve) => curve_name(curve),
                None => "EC".to_owned(),
            }
        }
        rfc5912::RSA_ENCRYPTION => rsa("RSA", &info),
        rfc5912::ID_RSASSA_PSS => rsa("RSAPSS", &info),
        rfc8410::ID_ED_25519 => "Ed25519".to_owned(),
        ED448 => "Ed448".to_owned(),
        other => other.to_string(),
    }
}

fn curve_name(curve: ObjectIdentifier) -> String {
    match curve {
        rfc5912::SECP_256_R_1 => "P-256".to_owned(),
        rfc5912::SECP_384_R_1 => "P-384".to_owned(),
        rfc5912::SECP_521_R_1 => "P-521".to_owned(),
        other => const_oid::db::DB.by_oid(&other).map_or_else(|| other.to_string(), ToOwned::to_owned),
    }
}

fn rsa(name: &str, info: &PublicKeyInfo) -> String {
    let modulus = || {
        let bits = AnyRef::from_der(info.key.as_bytes()?).ok()?.sequence(|key| {
            let modulus = UintRef::decode(key)?;
            key.read_slice(key.remaining_len())?;
            Ok::<_, der::Error>(modulus.as_bytes().first().map_or(0, |first| {
                modulus.as_bytes().len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or_default()
            }))
        });
        bits.ok()
    };
    modulus().map_or_else(|| name.to_owned(), |bits| format!("{name}{bits}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_so() {
        assert_eq!(describe_key(&[0x30, 0]), "unreadable");
        assert_eq!(describe_key(b""), "unreadable");
    }

    #[test]
    fn elliptic_and_edwards_keys_have_names() {
        let of = |hexadecimal: &str| describe_key(&hex_bytes(hexadecimal));
        assert_eq!(
            of("302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            "Ed25519"
        );
        assert_eq!(of("3018300c06082a8648ce3d03010703080004"), "unreadable");
        assert_eq!(of("3013300c06072a8648ce3d020106010103030004"), "unreadable");
        assert_eq!(of("3019301306072a8648ce3d020106082a8648ce3d030107030200ff"), "P-256");
        assert_eq!(of("300b300906052b8104002200"), "unreadable");
    }

    #[test]
    fn the_bits_of_an_rsa_key_are_counted() {
        // A modulus of 16 bits: 0x8001, exponent 3.
        let key = "30080203008001020103";
        let spki = format!("301c300d06092a864886f70d0101010500030b00{key}");
        assert_eq!(describe_key(&hex_bytes(&spki)), "RSA16");
    }

    fn hex_bytes(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
