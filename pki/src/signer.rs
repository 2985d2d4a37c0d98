//! The key that signs certificates: a file's key today, a PKCS#11 or TPM one behind the same trait.

use fdo_protocol::crypto::{KeyType, SigningKey, VerifyingKey};

use crate::Error;

/// A key that can sign certificates and requests.
pub trait CertificateSigner {
    /// The type of the key.
    fn key_type(&self) -> KeyType;

    /// The public half.
    fn public_key(&self) -> &VerifyingKey;

    /// Signs `tbs` with the hash of the key's type; the signature is a DER `ECDSA-Sig-Value`, or RSA's PKCS#1 v1.5.
    fn sign_der(&self, tbs: &[u8]) -> Result<Vec<u8>, Error>;
}

impl CertificateSigner for SigningKey {
    fn key_type(&self) -> KeyType {
        Self::key_type(self)
    }

    fn public_key(&self) -> &VerifyingKey {
        self.verifying_key()
    }

    fn sign_der(&self, tbs: &[u8]) -> Result<Vec<u8>, Error> {
        Self::sign_der(self, tbs).map_err(|error| Error::Signer(error.to_string()))
    }
}
