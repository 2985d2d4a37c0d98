//! The keys of this service: one owner key for each key type, and the key that secrets are sealed with.

mod file;
pub mod routes;

use std::path::{Path, PathBuf};

use fdo_protocol::PublicKey;
use fdo_protocol::crypto::{KeyType, SigningKey, VerifyingKey};
use fdo_service::secret_file::SecretFileError;
use rand_core::CryptoRng;

pub use file::sealing_key;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read the directory of owner keys {path}: {source}")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error(
        "{path} holds no usable private key ({reason}); put a P-256, P-384 or RSA key (2048 or 3072 bits) in PEM there"
    )]
    Unusable { path: PathBuf, reason: String },
    #[error("the sealing key in FIRSTLIGHT_SEALING_KEY must be 64 hexadecimal digits")]
    SealingKey,
}

/// An owner key and the file that it lives in.
pub struct OwnerKeyFile {
    pub path: PathBuf,
    pub key: SigningKey,
}

impl OwnerKeyFile {
    /// The key's name across systems (voucher transfer, section 5.5), in hexadecimal.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.key.verifying_key())
    }
}

/// The owner keys. Vouchers end in one of them; new ones are claimed for the first of the voucher's type.
pub struct OwnerKeys(Vec<OwnerKeyFile>);

impl OwnerKeys {
    /// Reads all `*.pem` in a directory and makes those on P-256 and P-384 that are missing. RSA keys, which take
    /// seconds, are made only for the types in `rsa`.
    pub fn load_or_create(directory: &Path, rsa: &[KeyType], rng: &mut dyn CryptoRng) -> Result<Self, KeyError> {
        file::load_or_create(directory, &[&KeyType::ELLIPTIC, rsa].concat(), rng).map(Self)
    }

    /// The key that new vouchers of this type are claimed for.
    pub fn for_type(&self, key_type: KeyType) -> Option<&SigningKey> {
        self.0.iter().map(|file| &file.key).find(|key| key.key_type() == key_type)
    }

    /// The private half of the key that a voucher ends in, if it is ours.
    pub fn owning(&self, public: &VerifyingKey) -> Option<&SigningKey> {
        self.0.iter().map(|file| &file.key).find(|key| key.verifying_key() == public)
    }

    /// The key that new vouchers are claimed for, of each type that there is.
    pub fn preferred(&self) -> impl Iterator<Item = &SigningKey> {
        KeyType::ISSUED.into_iter().filter_map(|key_type| self.for_type(key_type))
    }

    /// All of them, each type's preferred one first.
    pub fn all(&self) -> &[OwnerKeyFile] {
        &self.0
    }
}

/// SHA-256 over the key in its X509 form, in hexadecimal.
pub fn fingerprint(key: &VerifyingKey) -> String {
    // A verifying key always has an X509 form, so there is no other case to show.
    PublicKey::x509(key).fingerprint().map(hex::encode).unwrap_or_default()
}
