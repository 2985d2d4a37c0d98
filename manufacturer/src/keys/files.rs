//! The keys' files in `<data directory>/keys`: read when there, made on first start, private ones with mode 0600.

use std::path::{Path, PathBuf};

use fdo_pki::{CaSubject, Certificate, Issued, Issuer, Lifetime, ServerName};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::tls::TlsError;
use fdo_service::secret_file::{self, SecretFileError};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{DeviceCa, Keys, VoucherKey};

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Key { path: PathBuf, source: fdo_protocol::Error },
    #[error("{path} holds a {found} key where {expected} belongs; move it to the file of its type")]
    WrongType { path: PathBuf, found: KeyType, expected: KeyType },
    #[error(
        "{path} is not the certificate of the key beside it; put the matching pair there, or remove the certificate"
    )]
    Mismatch { path: PathBuf },
    #[error("{path}: {source}")]
    Certificate { path: PathBuf, source: fdo_pki::Error },
    #[error("cannot make a certificate: {0}")]
    Pki(fdo_pki::Error),
    #[error("cannot encode a key: {0}")]
    Encoding(fdo_protocol::Error),
    #[error(transparent)]
    Tls(TlsError),
}

/// What stands in certificates that are made here.
pub struct Naming<'a> {
    /// The maker's name.
    pub maker: &'a str,
    /// Names of the claims listener.
    pub hosts: &'a [String],
}

/// Where keys are made: the folder, the time, the randomness.
struct Workshop<'a> {
    folder: &'a Path,
    naming: Naming<'a>,
    now: u64,
    rng: &'a mut dyn CryptoRng,
    created: bool,
}

impl Keys {
    /// Reads the keys from a folder and makes those that are missing. RSA keys, which take seconds, are made only for
    /// the types in `rsa`; those that are there are used all the same, for there may be vouchers that begin with them.
    pub fn load_or_create(
        folder: &Path,
        rsa: &[KeyType],
        naming: Naming<'_>,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, KeyError> {
        let mut workshop = Workshop { folder, naming, now, rng, created: false };
        let mut voucher = Vec::new();
        for key_type in KeyType::ISSUED {
            if key_type.curve().is_some() || rsa.contains(&key_type) || workshop.has_voucher_key(key_type) {
                voucher.push(workshop.voucher_key(key_type)?);
            }
        }
        let device_cas = [workshop.device_ca(KeyType::P256)?, workshop.device_ca(KeyType::P384)?];
        let identity = workshop.key("identity.pem", KeyType::P256)?;
        let chain = workshop.certificates("identity-cert.pem", &identity, |workshop, key| {
            let names: Vec<_> = workshop.naming.hosts.iter().map(|name| server_name(name)).collect();
            let lifetime = Lifetime::years(20);
            fdo_pki::make_tls_server(workshop.naming.maker, &names, key, lifetime, workshop.now, workshop.rng)
        })?;
        let identity_certificate = chain[0].der().to_vec();
        Ok(Self { voucher, device_cas, identity, identity_certificate, created: workshop.created })
    }
}

impl Workshop<'_> {
    fn has_voucher_key(&self, key_type: KeyType) -> bool {
        self.folder.join(format!("voucher-{}.pem", short(key_type))).exists()
    }

    fn voucher_key(&mut self, key_type: KeyType) -> Result<VoucherKey, KeyError> {
        let name = short(key_type);
        let signing = self.key(&format!("voucher-{name}.pem"), key_type)?;
        let chain = self.certificates(&format!("voucher-{name}-cert.pem"), &signing, |workshop, key| {
            let subject = workshop.subject("vouchers", key_type);
            fdo_pki::make_root(&subject, key, Lifetime::WithoutEnd, workshop.now, workshop.rng)
        })?;
        Ok(VoucherKey { signing, certificate: chain[0].der().to_vec() })
    }

    fn device_ca(&mut self, key_type: KeyType) -> Result<DeviceCa, KeyError> {
        let name = short(key_type);
        let signing = self.key(&format!("device-ca-{name}.pem"), key_type)?;
        let file = format!("device-ca-{name}-cert.pem");
        let chain = self.certificates(&file, &signing, |workshop, key| {
            let subject = workshop.subject("device CA", key_type);
            fdo_pki::make_device_ca(&subject, key, Lifetime::WithoutEnd, workshop.now, workshop.rng)
        })?;
        let unusable = |source| KeyError::Certificate { path: self.folder.join(&file), source };
        let issuer = Issuer::new(&chain[0]).map_err(unusable)?;
        Ok(DeviceCa { signing, chain, issuer })
    }

    fn subject(&self, purpose: &str, key_type: KeyType) -> CaSubject {
        let maker = self.naming.maker;
        CaSubject { common_name: format!("{maker} {purpose} {key_type}"), organization: Some(maker.to_owned()) }
    }

    fn key(&mut self, file: &str, key_type: KeyType) -> Result<SigningKey, KeyError> {
        let path = self.folder.join(file);
        let wrong = |source| KeyError::Key { path: path.clone(), source };
        let pem = match secret_file::find(&path)? {
            Some(pem) => pem,
            None => {
                let key = SigningKey::generate(key_type, self.rng).map_err(wrong)?;
                let pem = key.to_pkcs8_pem().map_err(wrong)?;
                self.created = true;
                // Of two processes that start at once, both get the same key.
                secret_file::load_or_create(&path, || Zeroizing::new(pem.as_bytes().to_vec()))?
            }
        };
        let not_text = fdo_protocol::Error::Malformed("not a PEM file");
        let key = SigningKey::from_pem(std::str::from_utf8(&pem).map_err(|_| wrong(not_text))?).map_err(wrong)?;
        if key.key_type() != key_type {
            return Err(KeyError::WrongType { path, found: key.key_type(), expected: key_type });
        }
        Ok(key)
    }

    /// The certificates in a file, or the one that `make` gives; the first is the key's own.
    fn certificates(
        &mut self,
        file: &str,
        key: &SigningKey,
        make: impl FnOnce(&mut Self, &SigningKey) -> Result<Issued, fdo_pki::Error>,
    ) -> Result<Vec<Certificate>, KeyError> {
        let path = self.folder.join(file);
        if !path.exists() {
            let issued = make(self, key).map_err(KeyError::Pki)?;
            let pem = fdo_pki::pem::encode_certificates(&[issued.der()]).map_err(KeyError::Pki)?;
            secret_file::load_or_create(&path, || Zeroizing::new(pem.into_bytes()))?;
        }
        let text =
            std::fs::read_to_string(&path).map_err(|source| KeyError::Read { path: path.clone(), source })?;
        let read = || {
            let ders = fdo_pki::pem::decode_certificates(&text)?;
            ders.iter().map(|der| Certificate::parse(der)).collect::<Result<Vec<_>, _>>()
        };
        let chain = read().map_err(|source| KeyError::Certificate { path: path.clone(), source })?;
        match chain.first() {
            Some(own) if own.spki() == key.verifying_key().spki_der() => Ok(chain),
            _ => Err(KeyError::Mismatch { path }),
        }
    }
}

/// How a file's name spells the type: `p256`, `rsa2048`.
fn short(key_type: KeyType) -> String {
    key_type.to_string().to_ascii_lowercase().replace('-', "")
}

fn server_name(name: &str) -> ServerName {
    name.parse().map_or_else(|_| ServerName::Dns(name.to_owned()), ServerName::Ip)
}
