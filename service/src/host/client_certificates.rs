//! TLS client certificates that a listener asks for and does not insist on: the handshake proves that the client holds the
//! key, and the route that is asked decides whose it is. A stranger so gets an answer in HTTP instead of a dead handshake.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use super::tls::TlsError;

/// A client that shows more than this is not a device.
const MOST_CERTIFICATES: usize = 8;
const MOST_BYTES: usize = 16 * 1024;
/// RFC 9266, 2: the label, and how many bytes there are of a channel's own name.
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// What the client of a connection has shown, and proven to hold the key of.
#[derive(Clone)]
pub struct PeerCertificates {
    /// DER, the client's own first; empty where it showed none.
    chain: Arc<[CertificateDer<'static>]>,
    /// `tls-exporter` of the connection (RFC 9266), where TLS can give it.
    channel: Option<[u8; 32]>,
}

impl PeerCertificates {
    /// The client's own certificate in DER.
    pub fn leaf(&self) -> Option<&[u8]> {
        self.chain.first().map(AsRef::as_ref)
    }

    /// The name of this TLS channel (RFC 9266).
    pub fn channel(&self) -> Option<&[u8; 32]> {
        self.channel.as_ref()
    }
}

/// Keeps what the client has shown with the connection, for the routes to find.
pub(super) fn keep(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (_, tls) = stream.get_ref();
    let shown = tls.peer_certificates().unwrap_or_default();
    let channel = tls.export_keying_material([0; 32], EXPORTER, Some(&[])).ok();
    extensions.insert(PeerCertificates { chain: shown.to_vec().into(), channel });
}

/// TLS that asks for a client certificate and goes on without one; what the server shows is asked for at each handshake.
pub fn server_config(shown: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyHolder { provider: provider.clone() });
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown))
}

/// A server's certificate that is replaced while the listener serves.
#[derive(Default)]
pub struct RenewedCertificate(RwLock<Option<Arc<CertifiedKey>>>);

impl RenewedCertificate {
    /// Shows this chain (DER, leaf first) from the next handshake on.
    pub fn set_der(&self, chain: Vec<Vec<u8>>, pkcs8: &[u8]) -> Result<(), TlsError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.to_vec()));
        self.set(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    /// The same from PEM.
    pub fn set_pem(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(TlsError::Pem)?;
        self.set(chain, PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Pem)?)
    }

    fn set(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), TlsError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }
}

impl fmt::Debug for RenewedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewedCertificate")
    }
}

impl ResolvesServerCert for RenewedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes every certificate whose key the client proves to hold, however old and whoever issued it.
#[derive(Debug)]
struct AnyHolder {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyHolder {
    /// None: a client shall not leave its certificate at home since its issuer is not listed.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if leaf.len() > MOST_BYTES || intermediates.len() >= MOST_CERTIFICATES {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        ParsedCertificate::try_from(leaf)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
