//! An owner with its EST listener, a device that it onboarded, and their files in a folder for programs of others.

use std::path::{Path, PathBuf};

use fdo_owner::vouchers;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::voucher::Voucher;
use fdo_service::host::clock::Clock;
use fdo_tests::kill::Service;
use fdo_tests::world::{World, WorldSettings, onboard};
use serde_json::{Value, json};

pub const SERIAL: &str = "SN-1";

/// The owner is a process; what it trusts and what the device holds lies in the folder: `root.pem`, `idevid.pem` and
/// `idevid.key`, `ldevid.pem` and `ldevid.key`.
pub struct Fleet {
    pub world: World,
    _owner: Service,
    folder: PathBuf,
    /// `https://localhost:PORT`
    pub url: String,
}

impl Fleet {
    pub async fn new() -> Self {
        // Programs of others read the system's clock.
        let mut world =
            World::with(WorldSettings { clock: Some(Clock::system()), ..WorldSettings::default() }).await;
        world.enrol().await;
        let agent = world.sold_device(SERIAL, KeyType::P256).await;
        onboard(&agent).await.unwrap();
        let folder = world.directory.path().join("clients");
        std::fs::create_dir(&folder).unwrap();
        let write = |name: &str, content: &str| std::fs::write(folder.join(name), content).unwrap();

        let app = &world.owner.as_ref().unwrap().app;
        write("root.pem", &fdo_pki::pem::encode_certificates(&[app.ca.anchor().der()]).unwrap());
        let guid = agent.store.credential().unwrap().guid;
        let voucher = vouchers::bytes(&app.db, &guid).await.unwrap().unwrap();
        let idevid = Voucher::from_bytes(&voucher).unwrap().certificates().unwrap()[0].to_vec();
        write("idevid.pem", &fdo_pki::pem::encode_certificates(&[idevid]).unwrap());
        write("idevid.key", &agent.store.device_key().unwrap().to_pkcs8_pem().unwrap());
        let state = world.directory.path().join(SERIAL);
        for (from, to) in [("ldevid.pem", "ldevid.pem"), ("ldevid-key.pem", "ldevid.key")] {
            std::fs::copy(state.join("ldevid").join(from), folder.join(to)).unwrap();
        }

        world.owner.take().unwrap().stop().await;
        let owner = Service::start(&world, "owner", &world.owner_config).await;
        let port = world.owner_config.est.address.rsplit(':').next().unwrap();
        let url = format!("https://localhost:{port}");
        Self { url, folder, _owner: owner, world }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    /// A certificate that a client wrote.
    pub fn certificate(&self, name: &str) -> fdo_pki::Certificate {
        let text = String::from_utf8(self.read(name)).unwrap();
        let all = fdo_pki::pem::decode_certificates(&text).unwrap();
        assert_eq!(all.len(), 1, "{name} holds the certificate alone");
        fdo_pki::Certificate::parse(&all[0]).unwrap()
    }

    /// What the owner knows of a certificate.
    pub async fn issued(&self, name: &str) -> Value {
        let serial = self.certificate(name).serial().to_owned();
        let all: Vec<Value> = self.world.owner_api.pages("/api/v1/certificates").await.unwrap();
        all.into_iter().find(|row| row["serial"] == serial).unwrap()
    }

    /// The newest entry that EST left in the audit trail.
    pub async fn said(&self) -> Value {
        let all: Vec<Value> = self.world.owner_api.pages("/api/v1/audit").await.unwrap();
        let of_est = all.into_iter().filter(|entry| entry["actor"] == "est");
        of_est.max_by_key(|entry| entry["sequence"].as_u64()).unwrap()
    }

    /// An operator stops the device.
    pub async fn block(&self) {
        let device: Value = self.world.owner_api.get(&format!("/api/v1/devices/{SERIAL}")).await.unwrap();
        let path = format!("/api/v1/vouchers/{}/block", device["guid"].as_str().unwrap());
        let _: Value = self.world.owner_api.post(&path, &json!({})).await.unwrap();
    }
}
