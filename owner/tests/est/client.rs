//! An EST client, an owner that it talks to, and what it is answered.

use fdo_owner::app::Running;
use fdo_owner::ca::IssuedCertificate;
use fdo_owner::config::Config;
use fdo_pki::{Certificate, CertificateSigner, DeviceSerial, build_csr, build_renewal, encode_base64};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::operators::audit::{self, Entry};
use reqwest::{Identity, Method};

use crate::device::{Manner, onboard, request};
use crate::world::{Born, World, config};

pub const PKCS10: &str = "application/pkcs10";

/// An owner that listens, and a device that was onboarded there.
pub struct Fleet {
    pub world: World,
    pub running: Running,
    pub born: Born,
    /// The device's LDevID and its key.
    pub ldevid: Pair,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Pair {
    pub certificate: Certificate,
    pub key: SigningKey,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The one certificate in it.
    pub fn certificate(&self) -> Certificate {
        assert_eq!(self.status, 200, "{}", self.body);
        let all = fdo_pki::pkcs7::decode_certs_only(self.body.as_bytes()).unwrap();
        assert_eq!(all.len(), 1);
        Certificate::parse(&all[0]).unwrap()
    }
}

impl Fleet {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let (world, running) = World::serving_with(config).await;
        let (born, ldevid) = onboarded(&world).await;
        Self { world, running, born, ldevid }
    }

    pub fn key(&self) -> SigningKey {
        SigningKey::generate(KeyType::P256, &mut self.world.random.rng()).unwrap()
    }

    pub fn idevid(&self) -> Pair {
        let der = self.born.voucher.certificates().unwrap()[0].to_vec();
        Pair { certificate: Certificate::parse(&der).unwrap(), key: self.born.key.clone() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}/.well-known/est/{path}", self.running.address("est").unwrap())
    }

    /// Sends anything.
    pub async fn send(
        &self,
        who: Option<&Pair>,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        if let Some(pair) = who {
            let pem = fdo_pki::pem::encode_certificates(&[pair.certificate.der()]).unwrap();
            let pem = format!("{}{pem}", pair.key.to_pkcs8_pem().unwrap().as_str());
            client = client.identity(Identity::from_pem(pem.as_bytes()).unwrap());
        }
        let mut request = client.build().unwrap().request(method, self.url(path)).body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    /// Posts a certification request.
    pub async fn post(&self, who: Option<&Pair>, operation: &str, csr: &[u8]) -> Answer {
        self.send(who, Method::POST, operation, PKCS10, encode_base64(csr)).await
    }

    /// The request by which `pair` is renewed with a fresh key.
    pub fn renewal(&self, pair: &Pair) -> (SigningKey, Vec<u8>) {
        let key = self.key();
        let csr = build_renewal(&key, &pair.certificate).unwrap();
        (key, csr)
    }

    /// Renews, and expects it to work.
    pub async fn renew(&self, pair: &Pair) -> Pair {
        let (key, csr) = self.renewal(pair);
        Pair { certificate: self.post(Some(pair), "simplereenroll", &csr).await.certificate(), key }
    }

    pub async fn audit(&self) -> Vec<Entry> {
        audit::list(&self.world.app.db, None, 1000).await.unwrap()
    }

    pub async fn row(&self, pair: &Pair) -> IssuedCertificate {
        fdo_owner::ca::find(&self.world.app.db, pair.certificate.serial()).await.unwrap().unwrap()
    }

    /// Asks for something that must be refused: with this status and words in the sentence, nothing issued, and an
    /// entry in the audit trail that says the same.
    pub async fn refused(&self, who: Option<&Pair>, operation: &str, csr: &[u8], status: u16, words: &str) {
        let before = self.world.certificates().await;
        let answer = self.post(who, operation, csr).await;
        self.expect(&answer, operation, status, words, &before).await;
    }

    pub async fn expect(
        &self,
        answer: &Answer,
        operation: &str,
        status: u16,
        words: &str,
        before: &[IssuedCertificate],
    ) {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(words), "{}", answer.body);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(self.world.certificates().await, before, "nothing is issued");
        let entries = self.audit().await;
        let said = entries.iter().max_by_key(|entry| entry.sequence).unwrap();
        assert_eq!((said.actor.as_str(), said.outcome.as_str()), ("est", "refused"), "{said:?}");
        let action = if operation.ends_with("simplereenroll") { "certificate.renew" } else { "certificate.issue" };
        assert_eq!(said.action, action);
        assert_eq!(said.detail.trim(), answer.body.trim());
    }
}

/// A device that went through TO2, with its LDevID.
pub async fn onboarded(world: &World) -> (Born, Pair) {
    let born = world.device().await;
    let key = SigningKey::generate(KeyType::P256, &mut world.random.rng()).unwrap();
    let manner = Manner { csr: Some(request(&key)), ..Manner::new(world) };
    let (next, received) = onboard(world, &born, &manner).await.unwrap();
    let certificate = Certificate::parse(&received.certificates[0]).unwrap();
    (next, Pair { certificate, key })
}

/// A request with a subject of one's own.
pub fn asking(key: &dyn CertificateSigner, common_name: Option<&str>, serial: &str) -> Vec<u8> {
    build_csr(key, common_name, &DeviceSerial::parse(serial).unwrap()).unwrap()
}
