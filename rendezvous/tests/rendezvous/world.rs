//! A rendezvous on its own database, and a client that sends it bytes.

use fdo_protocol::crypto::SigningKey;
use fdo_protocol::messages::to1::HelloRv;
use fdo_protocol::messages::{ErrorMessage, SigInfo};
use fdo_protocol::{ErrorCode, Guid, cbor};
use fdo_rendezvous::app::{self, Running};
use fdo_rendezvous::config::Config;
use fdo_rendezvous::db::Migrator;
use fdo_rendezvous::registrations::Registration;
use fdo_service::db::testing::TestDatabase;
use fdo_service::host::clock::Clock;
use fdo_service::host::config::Listen;
use fdo_service::host::random::Random;
use tempfile::TempDir;

use crate::devices::{Device, Signing};

/// 2026-11-24 00:00:00 UTC.
pub const NOW: u64 = 1_795_478_400;

pub struct World {
    pub running: Running,
    pub clock: Clock,
    pub http: reqwest::Client,
    pub database: TestDatabase,
    _folder: TempDir,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub message_type: Option<String>,
    pub token: Option<String>,
    pub body: Vec<u8>,
}

impl World {
    pub async fn on(database: TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            database: Some(database.url().to_owned()),
            workers: Some(1),
            listen: Listen::at("127.0.0.1:0"),
            operators: Listen::at("127.0.0.1:0"),
            ..Config::default()
        };
        let clock = Clock::fixed(NOW);
        let running = app::start(&config, folder.path(), clock.clone(), Random::seeded(1)).await.unwrap();
        Self { running, clock, http: reqwest::Client::new(), database, _folder: folder }
    }

    pub async fn new() -> Self {
        Self::on(TestDatabase::sqlite::<Migrator>().await).await
    }

    /// One on each database at hand.
    pub async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for database in TestDatabase::all::<Migrator>().await {
            all.push(Self::on(database).await);
        }
        all
    }

    pub fn url(&self, listener: &str, path: &str) -> String {
        format!("http://{}{path}", self.running.address(listener).unwrap())
    }

    pub async fn post(&self, message_type: u8, token: Option<&str>, body: &[u8]) -> Reply {
        let url = self.url("device", &format!("/fdo/101/msg/{message_type}"));
        let mut request = self.http.post(url).header("Content-Type", "application/cbor").body(body.to_vec());
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["Content-Type"], "application/cbor");
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        Reply {
            status: response.status().as_u16(),
            message_type: header("Message-Type"),
            token: header("Authorization"),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    /// Everything that is stored; tests compare it before and after.
    pub async fn rows(&self) -> Vec<Registration> {
        self.running.app.registrations.list(None, 1000).await.unwrap()
    }

    /// Registers a voucher at `port` and gives the reply to 22.
    pub async fn register(&self, voucher: &[u8], owner: &SigningKey, port: u16) -> Reply {
        let ack = self.post(20, None, &[0x80]).await.ok(21);
        let body = Signing::new(&ack.body, voucher, port).body(owner);
        self.post(22, ack.token.as_deref(), &body).await
    }

    pub async fn hello(&self, guid: Guid) -> Reply {
        let e_a_sig_info = SigInfo::for_key(fdo_protocol::crypto::KeyType::P256);
        self.post(30, Some(""), &cbor::encode(&HelloRv { guid, e_a_sig_info })).await
    }

    /// A whole TO1; the reply to 32.
    pub async fn ask(&self, device: &Device) -> Reply {
        let ack = self.hello(device.guid).await.ok(31);
        self.post(32, ack.token.as_deref(), &device.prove(&ack.body)).await
    }
}

impl Reply {
    /// The reply as the success that it must be.
    pub fn ok(self, message_type: u8) -> Self {
        let error = cbor::decode::<ErrorMessage>(&self.body).ok();
        assert_eq!(self.status, 200, "{error:?}");
        assert_eq!(self.message_type, Some(message_type.to_string()));
        assert!(self.token.as_deref().is_some_and(|token| token.starts_with("Bearer ") && token.len() <= 128 + 7));
        self
    }

    /// The reply as the error that it must be.
    pub fn refused(&self, previous: u8, code: ErrorCode) {
        let error: ErrorMessage = cbor::decode(&self.body).unwrap();
        assert_eq!((error.code, error.previous), (code.number(), previous), "{error}");
        assert_eq!(self.status, 500);
        assert_eq!(self.message_type.as_deref(), Some("255"));
        assert_eq!(error.text, code.text());
        assert!(error.timestamp.is_some());
    }
}
