//! Keys on a list, and listed device CAs. A key is named by its fingerprint, as everywhere: SHA-256 over its X509 form.

use clap::ValueEnum;
use fdo_pki::Certificate;
use fdo_protocol::PublicKey;
use fdo_protocol::crypto::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::PolicyError;
use crate::registrations::Party;

/// Characters of a note.
const MAX_NOTE: usize = 200;

/// One of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum List {
    Allow,
    Deny,
}

impl List {
    pub(super) const ALL: [Self; 2] = [Self::Allow, Self::Deny];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A key on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    pub list: List,
    pub party: Party,
    pub fingerprint: [u8; 32],
    /// What an operator wants to remember about it.
    pub note: String,
    pub created: u64,
}

/// A CA whose devices are registered where the policy asks for listed CAs.
#[derive(Clone, Debug)]
pub struct DeviceCa {
    pub certificate: Certificate,
    pub note: String,
    pub created: u64,
}

/// The fingerprint of a key: a `PUBLIC KEY` or `CERTIFICATE` in PEM, or the fingerprint itself in hexadecimal.
pub fn fingerprint_of(key: &str) -> Result<[u8; 32], PolicyError> {
    let key = key.trim();
    if !key.starts_with("-----") {
        let mut fingerprint = [0; 32];
        let plain = key.replace(':', "");
        hex::decode_to_slice(plain, &mut fingerprint).map_err(|_| PolicyError::Fingerprint)?;
        return Ok(fingerprint);
    }
    let unusable = |error: &dyn std::fmt::Display| PolicyError::Key(error.to_string());
    let (label, der) = pem_rfc7468::decode_vec(key.as_bytes()).map_err(|error| unusable(&error))?;
    let spki = match label {
        "PUBLIC KEY" => der,
        "CERTIFICATE" => Certificate::parse(&der).map_err(|error| unusable(&error))?.spki().to_vec(),
        other => return Err(PolicyError::Key(format!("a PEM block labelled {other}"))),
    };
    let key = VerifyingKey::from_spki_der(&spki).map_err(|error| unusable(&error))?;
    PublicKey::x509(&key).fingerprint().map_err(|error| unusable(&error))
}

/// A note that can stand in a table.
pub(super) fn check_note(note: &str) -> Result<(), PolicyError> {
    let fits = note.chars().count() <= MAX_NOTE && !note.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(PolicyError::Note) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_protocol::crypto::{KeyType, SigningKey};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_key_has_one_fingerprint_whatever_it_is_given_as() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
        let spki = key.verifying_key().spki_der();
        let pem = pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, spki).unwrap();
        let fingerprint = fingerprint_of(&pem).unwrap();
        assert_eq!(fingerprint, PublicKey::x509(key.verifying_key()).fingerprint().unwrap());
        let subject = fdo_pki::CaSubject { common_name: "CA".into(), organization: None };
        let ca = fdo_pki::make_device_ca(&subject, &key, fdo_pki::Lifetime::WithoutEnd, 0, &mut rng).unwrap();
        let certificate = fdo_pki::pem::encode_certificates(&[ca.der()]).unwrap();
        assert_eq!(fingerprint_of(&certificate).unwrap(), fingerprint);
        assert_eq!(fingerprint_of(&format!(" {}\n", hex::encode_upper(fingerprint))).unwrap(), fingerprint);
    }

    #[test]
    fn what_names_no_key_is_refused() {
        for wrong in ["", "ab", &"0g".repeat(32), &"00".repeat(33)] {
            assert!(matches!(fingerprint_of(wrong), Err(PolicyError::Fingerprint)), "{wrong}");
        }
        let block =
            |label: &str, der: &[u8]| pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der).unwrap();
        for wrong in [block("PUBLIC KEY", b"x"), block("CERTIFICATE", b"x"), block("PRIVATE KEY", b"x")] {
            assert!(matches!(fingerprint_of(&wrong), Err(PolicyError::Key(_))), "{wrong}");
        }
        assert!(check_note("line\nbreak").is_err() && check_note(&"x".repeat(201)).is_err());
        assert!(check_note("ACME, since 2026").is_ok());
    }
}
