//! Keys for tests: RSA keys take seconds to make, so these are taken from a recording of other implementations.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::random::Random;

/// A fresh key on a curve, or the recorded RSA key of its holder: `manufacturer`, `reseller`, `owner` or `device`.
pub(crate) fn key(key_type: KeyType, holder: &str) -> SigningKey {
    let recording = match key_type {
        KeyType::Rsa2048 => "rsa2048-asymkex2048-a128gcm",
        KeyType::Rsa3072 => "rsapkcs3072-asymkex3072-a256gcm",
        _ => return SigningKey::generate(key_type, &mut Random::system().rng()).unwrap(),
    };
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/transcripts-go-fdo");
    let text = std::fs::read_to_string(format!("{vectors}/{recording}.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let der = hex::decode(json["secrets"][format!("{holder}_key_pkcs8")].as_str().unwrap()).unwrap();
    SigningKey::from_der(&der).unwrap()
}

/// Puts the manufacturer's RSA keys where it reads them.
pub(crate) fn put_rsa(folder: &Path) {
    for (key_type, name) in [(KeyType::Rsa2048, "rsa2048"), (KeyType::Rsa3072, "rsa3072")] {
        let pem = key(key_type, "manufacturer").to_pkcs8_pem().unwrap();
        fdo_service::secret_file::write(&folder.join(format!("voucher-{name}.pem")), pem.as_bytes()).unwrap();
    }
}
