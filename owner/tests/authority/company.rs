//! The company's CA, and an EST server of it that answers by a script.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use fdo_owner::plans::Secret;
use fdo_pki::{
    CaSubject, Certificate, Issuer, LdevidProfile, LdevidSubject, Lifetime, ServerName, VerifiedCsr,
    make_issuing_ca, make_root, make_tls_server, pkcs7,
};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::random::Random;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::world::NOW;

pub struct Company {
    pub root: Certificate,
    pub issuing: Certificate,
    pub key: SigningKey,
    random: Random,
}

impl Company {
    pub fn new(random: &Random) -> Self {
        Self::of(random, KeyType::P256)
    }

    pub fn of(random: &Random, key_type: KeyType) -> Self {
        let rng = &mut random.rng();
        let name =
            |role: &str| CaSubject { common_name: format!("Acme {role}"), organization: Some("Acme".into()) };
        let root_key = SigningKey::generate(key_type, rng).unwrap();
        let root =
            make_root(&name("root"), &root_key, Lifetime::years(20), NOW, rng).unwrap().certificate().unwrap();
        let key = SigningKey::generate(key_type, rng).unwrap();
        let under = Issuer::new(&root).unwrap();
        let life = Lifetime::years(5);
        let issuing = make_issuing_ca(&name("devices"), key.verifying_key(), &under, life, NOW, rng).unwrap();
        let issuing = issuing.sign(&root_key).unwrap().certificate().unwrap();
        Self { root, issuing, key, random: random.clone() }
    }

    pub fn sign(&self, profile: &LdevidProfile, csr: &VerifiedCsr, device: &LdevidSubject) -> Certificate {
        let issuer = Issuer::new(&self.issuing).unwrap();
        let tbs = profile.prepare(csr, device, &issuer, NOW, &mut self.random.rng()).unwrap();
        tbs.sign(&self.key).unwrap().certificate().unwrap()
    }
}

/// One answer.
pub enum Script {
    Status(u16, Option<u64>),
    Certificates(Vec<Certificate>),
}

/// Answers one request a connection, by the script, then no more.
pub struct EstServer {
    pub url: String,
    /// The CA of its TLS certificate, PEM.
    pub tls_ca: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl EstServer {
    pub fn start(company: &Company, script: Vec<Script>) -> Self {
        let rng = &mut company.random.rng();
        let key = SigningKey::generate(KeyType::P256, rng).unwrap();
        let names = [ServerName::Ip([127, 0, 0, 1].into())];
        let made = make_tls_server("est", &names, &key, Lifetime::WithoutEnd, NOW, rng).unwrap();
        let tls_ca = fdo_pki::pem::encode_certificates(&[made.der()]).unwrap();
        let chain = vec![CertificateDer::from(made.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_pkcs8_der().unwrap().to_vec()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (config, seen) = (Arc::new(config), Arc::new(Mutex::new(Vec::new())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/.well-known/est", listener.local_addr().unwrap());
        let noted = seen.clone();
        std::thread::spawn(move || {
            for answer in script {
                let (socket, _) = listener.accept().unwrap();
                let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket);
                let request = read_request(&mut stream);
                noted.lock().unwrap().push(request);
                stream.write_all(&answer.bytes()).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        });
        Self { url, tls_ca, seen }
    }

    /// The requests that came.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The password that it is given.
    pub fn password() -> Option<Secret> {
        Some(Secret::new("s3cret"))
    }
}

/// Head and body, by Content-Length.
fn read_request(stream: &mut impl Read) -> String {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let expected = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= expected.unwrap().parse::<usize>().unwrap() {
                return text.into_owned();
            }
        }
    }
}

impl Script {
    fn bytes(&self) -> Vec<u8> {
        let (status, retry, body) = match self {
            Self::Status(status, retry) => (*status, *retry, "so it said the script".to_owned()),
            Self::Certificates(all) => {
                let all: Vec<&[u8]> = all.iter().map(Certificate::der).collect();
                (200, None, pkcs7::encode_certs_only(&all).unwrap())
            }
        };
        let retry = retry.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\n{retry}Content-Length: {length}\r\n\r\n{body}")
            .into()
    }
}
