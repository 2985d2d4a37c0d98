//! The next owner's key as those scripts send it: a public key or a certificate in PEM.

use fdo_pki::Certificate;
use fdo_protocol::crypto::VerifyingKey;

use super::refusal::Refusal;

/// Bytes of a body with a key, or with a chain that begins with its certificate.
pub const MAX_BODY: usize = 64 * 1024;

/// Reads it; of several blocks the first counts.
pub fn read(pem: &str) -> Result<VerifyingKey, Refusal> {
    let wrong = |why: &str| {
        Refusal::bad_request("public-key", format!("This is no public key or certificate in PEM: {why}."))
    };
    if pem.contains("PRIVATE KEY") {
        return Err(wrong("it is a private key, which nobody else should see"));
    }
    let ends = pem.find("-----END").and_then(|at| pem[at + 8..].find("-----").map(|rest| at + 13 + rest));
    let block = pem[..ends.unwrap_or(pem.len())].trim();
    let (label, der) = pem_rfc7468::decode_vec(block.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
    match label {
        "PUBLIC KEY" => VerifyingKey::from_spki_der(&der).map_err(|error| wrong(&error.to_string())),
        "CERTIFICATE" => {
            let certificate = Certificate::parse(&der).and_then(|certificate| certificate.public_key());
            certificate.map_err(|error| wrong(&error.to_string()))
        }
        other => Err(wrong(&format!("a block labelled {other}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_protocol::crypto::{KeyType, SigningKey};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_key_and_a_chain_are_read_and_nothing_else() {
        let key = SigningKey::generate(KeyType::P256, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let block =
            |label: &str, der: &[u8]| pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der).unwrap();
        let public = block("PUBLIC KEY", key.verifying_key().spki_der());
        assert_eq!(&read(&public).unwrap(), key.verifying_key());
        assert_eq!(&read(&format!("{public}{public}")).unwrap(), key.verifying_key());
        for wrong in
            ["", "text", &block("PUBLIC KEY", b"x"), &block("CERTIFICATE", b"x"), &block("PRIVATE KEY", b"x")]
        {
            assert_eq!(read(wrong).unwrap_err().problem().code(), "public-key", "{wrong}");
        }
    }
}
