//! TLS for a listener: from named files, from a certificate and key at hand, or self-signed on first start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rand_core::CryptoRng;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::der::EncodePem;
use x509_cert::der::asn1::{Ia5String, OctetString};
use x509_cert::der::pem::LineEnding;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use zeroize::Zeroizing;

use super::config::Listen;
use crate::secret_file::{self, SecretFileError};

/// Clients pin the certificate by its bytes; a short life would only break them.
const SELF_SIGNED_SECONDS: u64 = 20 * 365 * 86_400;

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("name both `certificate` and `key` of the listener {0}, or neither")]
    Half(String),
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error("the certificate or key is not usable PEM: {0}")]
    Pem(rustls_pki_types::pem::Error),
    #[error("the certificate and key do not work: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(&'static str),
}

/// The TLS configuration of a listener; `None` when it names no certificate.
pub fn server_config(listen: &Listen) -> Result<Option<ServerConfig>, TlsError> {
    match (&listen.certificate, &listen.key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let chain = std::fs::read(certificate)
                .map_err(|source| TlsError::File { path: certificate.clone(), source })?;
            from_pem(&chain, &secret_file::load(key)?).map(Some)
        }
        _ => Err(TlsError::Half(listen.address.clone())),
    }
}

/// From a PEM chain (leaf first) and a PEM key.
pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(TlsError::Pem)?;
    build(chain, PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Pem)?)
}

/// From a DER chain (leaf first) and a PKCS#8 key.
pub fn from_der(chain: Vec<Vec<u8>>, pkcs8: &[u8]) -> Result<ServerConfig, TlsError> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.to_vec()));
    build(chain.into_iter().map(CertificateDer::from).collect(), key)
}

/// Loads `tls-cert.pem` and `tls-key.pem` from a folder, or makes a self-signed pair for `names` (DNS names and
/// addresses). Gives the certificate's DER too, for its fingerprint.
pub fn self_signed_files(
    folder: &Path,
    names: &[String],
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<(ServerConfig, Vec<u8>), TlsError> {
    let (certificate_path, key_path) = (folder.join("tls-cert.pem"), folder.join("tls-key.pem"));
    let key_pem = secret_file::load_or_create(&key_path, || new_key(rng))?;
    if !certificate_path.exists() {
        // Not secret, but written the same atomic way.
        secret_file::write(&certificate_path, self_signed(&key_pem, names, now, rng)?.as_bytes())?;
    }
    let chain = std::fs::read(&certificate_path)
        .map_err(|source| TlsError::File { path: certificate_path.clone(), source })?;
    let leaf = CertificateDer::from_pem_slice(&chain).map_err(TlsError::Pem)?.to_vec();
    Ok((from_pem(&chain, &key_pem)?, leaf))
}

fn build(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

fn new_key(rng: &mut dyn CryptoRng) -> Zeroizing<Vec<u8>> {
    loop {
        let mut candidate = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(&mut *candidate);
        let Ok(key) = p256::ecdsa::SigningKey::from_slice(&*candidate) else {
            continue;
        };
        if let Ok(pem) = key.to_pkcs8_pem(LineEnding::LF) {
            return Zeroizing::new(pem.as_bytes().to_vec());
        }
    }
}

fn self_signed(key_pem: &[u8], names: &[String], now: u64, rng: &mut dyn CryptoRng) -> Result<String, TlsError> {
    let pem = std::str::from_utf8(key_pem).map_err(|_| TlsError::SelfSigned("the key file is not PEM"))?;
    let key =
        p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map_err(|_| TlsError::SelfSigned("the key is not P-256"))?;
    let spki = SubjectPublicKeyInfoOwned::from_key(key.verifying_key())
        .map_err(|_| TlsError::SelfSigned("the public key does not encode"))?;
    let mut serial = [0_u8; 16];
    rng.fill_bytes(&mut serial);
    serial[0] = (serial[0] & 0x7f) | 0x40; // positive, and of full length
    certificate(&key, spki, &serial, names, now)
        .map_err(|_| TlsError::SelfSigned("a name does not fit a certificate"))
}

fn certificate(
    key: &p256::ecdsa::SigningKey,
    spki: SubjectPublicKeyInfoOwned,
    serial: &[u8],
    names: &[String],
    now: u64,
) -> Result<String, x509_cert::builder::Error> {
    let at = |seconds| x509_cert::der::DateTime::from_unix_duration(Duration::from_secs(seconds));
    // A clock that lags a little must not refuse a certificate of this minute.
    let validity = Validity::new(
        Time::GeneralTime(at(now.saturating_sub(3600))?.into()),
        Time::GeneralTime(at(now + SELF_SIGNED_SECONDS)?.into()),
    );
    let profile = SelfSigned::new(names)?;
    let builder = CertificateBuilder::new(profile, SerialNumber::new(serial)?, validity, spki)?;
    let certificate = builder.build::<_, p256::ecdsa::DerSignature>(key)?;
    Ok(certificate.to_pem(LineEnding::LF)?)
}

/// A leaf for the names that the listener is reached by; it signs nothing but itself.
struct SelfSigned(Vec<GeneralName>);

impl SelfSigned {
    fn new(names: &[String]) -> Result<Self, x509_cert::der::Error> {
        let general = names.iter().map(|name| match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => OctetString::new(address.octets()).map(GeneralName::IpAddress),
            Ok(IpAddr::V6(address)) => OctetString::new(address.octets()).map(GeneralName::IpAddress),
            Err(_) => Ia5String::new(name).map(GeneralName::DnsName),
        });
        general.collect::<Result<_, _>>().map(Self)
    }
}

impl BuilderProfile for SelfSigned {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        Name::from_str("CN=Firstlight").unwrap_or_default()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let constraints = BasicConstraints { ca: false, path_len_constraint: None };
        let mut extensions = vec![constraints.to_extension(tbs.subject(), &[])?];
        if !self.0.is_empty() {
            extensions.push(SubjectAltName(self.0.clone()).to_extension(tbs.subject(), &[])?);
        }
        Ok(extensions)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::random::Random;

    #[test]
    fn a_self_signed_pair_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let random = Random::seeded(3);
        let (_, first) = self_signed_files(folder.path(), &names, 1_700_000_000, &mut random.rng()).unwrap();
        let (_, second) = self_signed_files(folder.path(), &names, 1_700_000_000, &mut random.rng()).unwrap();
        assert_eq!(first, second);
        let half = Listen { certificate: Some("x".into()), ..Listen::at("127.0.0.1:0") };
        assert!(matches!(server_config(&half), Err(TlsError::Half(_))));
        let whole = Listen {
            certificate: Some(folder.path().join("tls-cert.pem")),
            key: Some(folder.path().join("tls-key.pem")),
            ..Listen::at("127.0.0.1:0")
        };
        assert!(server_config(&whole).unwrap().is_some());
    }
}
