//! An owner with one onboarded device, its certificates as files for programs of others.

use std::path::{Path, PathBuf};

use fdo_protocol::crypto::KeyType;
use fdo_service::host::clock::Clock;
use fdo_tests::world::{World, onboard};
use fdo_tests::{WorldSettings, pki_tools};
use serde_json::{Value, json};

pub struct Site {
    pub world: World,
    pub url: String,
    pub serial: String,
    pub shard: u64,
    folder: PathBuf,
    pub http: reqwest::Client,
}

impl Site {
    /// With the true time: programs of others compare it with what they read.
    pub async fn new() -> Self {
        let world = World::with(WorldSettings { clock: Some(Clock::system()), ..WorldSettings::default() }).await;
        world.enrol().await;
        let agent = world.sold_device("SN-1", KeyType::P256).await;
        onboard(&agent).await.unwrap();
        let issued: Value = world.owner_api.get("/api/v1/certificates?state=issued").await.unwrap();
        let issued = &issued["items"][0];
        let ca: Value = world.owner_api.get("/api/v1/ca").await.unwrap();
        let folder = world.directory.path().join("tools");
        std::fs::create_dir(&folder).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (root, issuing) = (text(&ca["root"]["pem"]), text(&ca["issuing"]["pem"]));
        for (name, pem) in [
            ("leaf.pem", text(&issued["pem"])),
            ("cas.pem", format!("{root}{issuing}")),
            ("root.pem", root),
            ("issuing.pem", issuing),
        ] {
            std::fs::write(folder.join(name), pem).unwrap();
        }
        let url = world.owner_config.status.url();
        let (serial, shard) = (text(&issued["serial"]), issued["shard"].as_u64().unwrap());
        Self { world, url, serial, shard, folder, http: reqwest::Client::new() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub async fn revoke(&self, reason: &str) {
        let path = format!("/api/v1/certificates/{}/revoke", self.serial);
        let _: Value = self.world.owner_api.post(&path, &json!({ "reason": reason })).await.unwrap();
    }

    /// What the job does each second.
    pub async fn sign_lists(&self) {
        let app = &self.world.owner.as_ref().unwrap().app;
        fdo_owner::revocation::lists::run_due(app).await.unwrap();
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub async fn ask(&self, request: Vec<u8>) -> reqwest::Response {
        let request = self.http.post(format!("{}/ocsp", self.url)).body(request);
        request.header("content-type", "application/ocsp-request").send().await.unwrap()
    }

    /// Downloads into a file, for a program to read.
    pub async fn download(&self, path: &str, name: &str) {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        std::fs::write(self.folder.join(name), response.bytes().await.unwrap()).unwrap();
    }

    pub fn shard_path(&self) -> String {
        format!("/crl/issuing/{}.crl", self.shard)
    }

    /// An OCSP request about the device's certificate, in DER. OpenSSL is on every machine that builds this.
    pub fn question(&self, more: &str) -> Vec<u8> {
        let openssl = pki_tools::find("openssl").expect("openssl writes the requests");
        openssl.run(&self.folder, &format!("ocsp -issuer issuing.pem {more} -cert leaf.pem -reqout ask.der"));
        std::fs::read(self.folder.join("ask.der")).unwrap()
    }
}
