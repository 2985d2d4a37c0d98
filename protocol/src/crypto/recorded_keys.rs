//! Keys for unit tests: RSA keys take seconds to make, so these are taken from a recording.

use crate::crypto::{KeyType, SigningKey};

/// A fresh key on a curve, or a recorded RSA key.
#[allow(clippy::unwrap_used)]
pub(crate) fn key(key_type: KeyType) -> SigningKey {
    let recording = match key_type {
        KeyType::Rsa2048 => {
            include_str!("../../../tests/vectors/transcripts-go-fdo/rsa2048-asymkex2048-a128gcm.json")
        }
        KeyType::Rsa3072 => {
            include_str!("../../../tests/vectors/transcripts-go-fdo/rsapkcs3072-asymkex3072-a256gcm.json")
        }
        _ => {
            let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(9);
            return SigningKey::generate(key_type, &mut rng).unwrap();
        }
    };
    let json: serde_json::Value = serde_json::from_str(recording).unwrap();
    SigningKey::from_der(&hex::decode(json["secrets"]["owner_key_pkcs8"].as_str().unwrap()).unwrap()).unwrap()
}
