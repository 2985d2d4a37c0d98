//! Which TLS servers are accepted. FDO protects itself end to end, so any is by default; a certificate, a key or a
//! CA can be pinned (FDO 1.1, `RVSvCertHash` and `RVClCertHash`; claims pin the manufacturer's listener).

use std::sync::Arc;

use fdo_protocol::{Hash, HashType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::Error;

/// What a TLS server must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerTrust {
    /// Nothing: FDO authenticates the peer itself.
    #[default]
    Any,
    /// A certificate with this hash (`RVSvCertHash`).
    Certificate(Hash),
    /// A certificate whose SubjectPublicKeyInfo has this SHA-256.
    Key([u8; 32]),
    /// A chain for the host's name that ends in a CA certificate with this hash, which the server sends along
    /// (`RVClCertHash`).
    AuthorityHash(Hash),
    /// A chain for the host's name that ends in this CA certificate (DER).
    Authority(Vec<u8>),
}

/// A TLS client configuration that accepts servers by `trust`.
///
/// # Errors
/// [`Error::Settings`] when the crypto provider or the CA certificate cannot be used.
pub fn client_config(trust: &ServerTrust) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    if let ServerTrust::Authority(der) = trust {
        trust_anchor(&CertificateDer::from(der.as_slice()))
            .map_err(|error| Error::Settings(format!("the CA certificate is not usable: {error}")))?;
    }
    let verifier = Pinned { trust: trust.clone(), provider: provider.clone() };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Settings(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn trust_anchor(certificate: &CertificateDer<'_>) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned())?;
    Ok(roots)
}

fn has_hash(certificate: &CertificateDer<'_>, hash: &Hash) -> bool {
    hash.matches(&[certificate])
}

#[derive(Debug)]
struct Pinned {
    trust: ServerTrust,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let pinned = |matches| if matches { Ok(()) } else { Err(not_pinned()) };
        match &self.trust {
            ServerTrust::Any => Ok(()),
            ServerTrust::Certificate(hash) => pinned(has_hash(leaf, hash)),
            ServerTrust::Key(digest) => {
                let key = ParsedCertificate::try_from(leaf)?.subject_public_key_info();
                pinned(Hash::of(HashType::Sha256, &[&key]).digest() == digest)
            }
            ServerTrust::AuthorityHash(hash) => {
                let authority = intermediates.iter().find(|certificate| has_hash(certificate, hash));
                let roots = trust_anchor(authority.ok_or_else(not_pinned)?)?;
                self.check_chain(leaf, intermediates, &roots, name, now)
            }
            ServerTrust::Authority(der) => {
                let roots = trust_anchor(&CertificateDer::from(der.as_slice()))?;
                self.check_chain(leaf, intermediates, &roots, name, now)
            }
        }
    }

    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let leaf = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms)?;
        verify_server_name(&leaf, name)
    }
}

fn not_pinned() -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(leaf, intermediates, name, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_pki::{Lifetime, make_tls_server};
    use fdo_protocol::crypto::{KeyType, SigningKey};
    use rand_core::SeedableRng;

    const NOW: u64 = 1_795_478_400;

    fn certificate(seed: u64) -> CertificateDer<'static> {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
        let key = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
        let names = [fdo_pki::ServerName::Dns("maker.example".to_owned())];
        let issued = make_tls_server("maker", &names, &key, Lifetime::years(1), NOW, &mut rng).unwrap();
        CertificateDer::from(issued.der().to_vec())
    }

    fn accepts(trust: ServerTrust, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], name: &str) -> bool {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW + 10));
        Pinned { trust, provider }.check(leaf, others, &name, now).is_ok()
    }

    #[test]
    fn pins_hold_and_bind() {
        let (one, other) = (certificate(1), certificate(2));
        let hash = |certificate: &CertificateDer<'_>| Hash::of(HashType::Sha256, &[certificate]);
        let spki = ParsedCertificate::try_from(&one).unwrap().subject_public_key_info();
        let key: [u8; 32] = Hash::of(HashType::Sha256, &[&spki]).digest().try_into().unwrap();
        let pins = [ServerTrust::Certificate(hash(&one)), ServerTrust::Key(key)];
        for trust in pins {
            assert!(accepts(trust.clone(), &one, &[], "elsewhere.example"));
            assert!(!accepts(trust, &other, std::slice::from_ref(&one), "maker.example"));
        }
        assert!(accepts(ServerTrust::Any, &other, &[], "maker.example"));
    }

    #[test]
    fn an_authority_must_have_signed_and_garbage_is_refused() {
        let (one, other) = (certificate(1), certificate(2));
        let authority = ServerTrust::Authority(other.to_vec());
        assert!(!accepts(authority, &one, &[], "maker.example"));
        let hash = ServerTrust::AuthorityHash(Hash::of(HashType::Sha256, &[&other]));
        assert!(!accepts(hash.clone(), &one, &[], "maker.example"), "it was not sent along");
        assert!(!accepts(hash, &one, std::slice::from_ref(&other), "maker.example"), "it did not sign");
        assert!(matches!(client_config(&ServerTrust::Authority(vec![1, 2, 3])), Err(Error::Settings(_))));
    }
}
