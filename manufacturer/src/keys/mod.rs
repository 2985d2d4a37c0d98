//! The maker's keys: what signs vouchers, what issues IDevIDs, and what the claims listener is known by.

mod files;
#[cfg(test)]
pub(crate) mod recorded;

use fdo_pki::{Certificate, Issuer};
use fdo_protocol::crypto::{KeyType, SigningKey, VerifyingKey};
use fdo_protocol::{PublicKey, PublicKeyEncoding, PublicKeyType};
use fdo_service::host::tls;
use rustls::ServerConfig;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use files::{KeyError, Naming};

/// A key that vouchers begin with, and its certificate for devices that ask for one.
pub struct VoucherKey {
    signing: SigningKey,
    certificate: Vec<u8>,
}

/// A CA that issues IDevIDs.
pub struct DeviceCa {
    signing: SigningKey,
    /// Its own certificate first, then those above it.
    chain: Vec<Certificate>,
    issuer: Issuer,
}

/// All keys of the service.
pub struct Keys {
    voucher: Vec<VoucherKey>,
    /// On P-256 and on P-384.
    device_cas: [DeviceCa; 2],
    identity: SigningKey,
    identity_certificate: Vec<u8>,
    created: bool,
}

/// What buyers pin; `GET ..trust` answers it.
#[derive(Clone, Debug, Serialize)]
pub struct Trust {
    pub manufacturer: String,
    pub identity_fingerprint: String,
    pub voucher_signing_keys: Vec<TrustedKey>,
    pub device_cas: Vec<TrustedCa>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TrustedKey {
    pub key_type: String,
    /// SHA-256 over the CBOR of the key in its X509 form.
    pub fingerprint: String,
    pub public_key: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct TrustedCa {
    pub key_type: String,
    pub subject: String,
    /// SHA-256 over the certificate.
    pub fingerprint: String,
    pub not_after: u64,
    pub certificate: String,
}

impl VoucherKey {
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public half under the type and in the encoding that the device asked for.
    ///
    /// # Errors
    /// Where the type does not fit the key, or the encoding is not one of the key's.
    pub fn public_key(
        &self,
        key_type: PublicKeyType,
        encoding: PublicKeyEncoding,
    ) -> Result<PublicKey, fdo_protocol::Error> {
        let key = self.signing.verifying_key();
        let public = match encoding {
            PublicKeyEncoding::X509 => PublicKey::x509(key),
            PublicKeyEncoding::X5Chain => PublicKey::x5chain(key, std::slice::from_ref(&self.certificate)),
            PublicKeyEncoding::CoseKey => PublicKey::cose_key(key),
            PublicKeyEncoding::Crypto => PublicKey::crypto(key)?,
        };
        public.under(key_type)
    }
}

impl DeviceCa {
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// What follows a device's own certificate in its voucher.
    pub fn chain_der(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.chain.iter().map(|certificate| certificate.der().to_vec())
    }

    /// The certificate that issues.
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }
}

impl Keys {
    /// The key that begins vouchers of this type, if there is one: those of RSA are made only when asked for.
    pub fn voucher(&self, key_type: KeyType) -> Option<&VoucherKey> {
        self.voucher.iter().find(|key| key.signing.key_type() == key_type)
    }

    /// The key for a device that can verify this type. RSAPKCS has two sizes; the device gets that of its own key, and
    /// 3072 bits if that is none of both.
    pub fn voucher_asked(&self, asked: PublicKeyType, device: KeyType) -> Option<&VoucherKey> {
        let types = asked.key_types();
        let own = types.iter().find(|key_type| **key_type == device);
        self.voucher(*own.or(types.last())?)
    }

    /// The key that a stored voucher was begun with; another one after the operator exchanged the file.
    pub fn voucher_for(&self, manufacturer: &VerifyingKey) -> Option<&VoucherKey> {
        self.voucher.iter().find(|key| key.signing.verifying_key() == manufacturer)
    }

    /// The CA for device keys of this type. RSA keys get their certificate from the curve of about their strength.
    pub fn device_ca(&self, key_type: KeyType) -> &DeviceCa {
        let [p256, p384] = &self.device_cas;
        match key_type {
            KeyType::P256 | KeyType::Rsa2048 | KeyType::RsaPss2048 => p256,
            KeyType::P384 | KeyType::Rsa3072 | KeyType::RsaPss3072 => p384,
        }
    }

    /// The key of the claims listener, which also signs KeyAuth's challenges.
    pub fn identity(&self) -> &SigningKey {
        &self.identity
    }

    /// SHA-256 over the identity key's SubjectPublicKeyInfo, in hexadecimal.
    pub fn identity_fingerprint(&self) -> String {
        hex::encode(Sha256::digest(self.identity.verifying_key().spki_der()))
    }

    /// Whether any key was made just now.
    pub fn created(&self) -> bool {
        self.created
    }

    /// TLS of the claims listener.
    pub fn tls(&self) -> Result<ServerConfig, KeyError> {
        let key = self.identity.to_pkcs8_der().map_err(KeyError::Encoding)?;
        tls::from_der(vec![self.identity_certificate.clone()], &key).map_err(KeyError::Tls)
    }

    /// What buyers pin.
    pub fn trust(&self, manufacturer: &str) -> Result<Trust, KeyError> {
        let keys = self.voucher.iter().map(|key| {
            let public = key.signing.verifying_key();
            Ok(TrustedKey {
                key_type: public.key_type().to_string(),
                fingerprint: fingerprint(public).map_err(KeyError::Encoding)?,
                public_key: public_pem(public),
            })
        });
        let cas = self.device_cas.iter().map(|ca| {
            let certificate = ca.certificate();
            Ok(TrustedCa {
                key_type: ca.signing.key_type().to_string(),
                subject: certificate.subject(),
                fingerprint: hex::encode(certificate.fingerprint()),
                not_after: certificate.not_after(),
                certificate: fdo_pki::pem::encode_certificates(&[certificate.der()]).map_err(KeyError::Pki)?,
            })
        });
        Ok(Trust {
            manufacturer: manufacturer.to_owned(),
            identity_fingerprint: self.identity_fingerprint(),
            voucher_signing_keys: keys.collect::<Result<_, KeyError>>()?,
            device_cas: cas.collect::<Result<_, KeyError>>()?,
        })
    }
}

/// The name of a key across systems: SHA-256 over its PublicKey in X509 form, in hexadecimal.
pub fn fingerprint(key: &VerifyingKey) -> Result<String, fdo_protocol::Error> {
    PublicKey::x509(key).fingerprint().map(hex::encode)
}

fn public_pem(key: &VerifyingKey) -> String {
    let body = fdo_pki::encode_base64(key.spki_der());
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        // Base64 is ASCII, so every cut is a character's end.
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    pem
}

#[cfg(test)]
mod tests;
