//! Scripts written for go-fdo-server against our services: the shapes that they read, the whole road by `curl`, and what
//! the listener without tokens refuses.
#![allow(clippy::unwrap_used)]

mod native;
mod refusals;
mod shapes;
mod story;

use base64ct::{Base64, Encoding};
use fdo_protocol::crypto::{KeyType, VerifyingKey};
use fdo_service::compat::CompatSettings;
use fdo_tests::postgres::Databases;
use fdo_tests::world::{World, WorldSettings};
use reqwest::Method;
use serde_json::{Value, json};

/// The three services with a compat listener each, and the operator that it acts as.
pub struct Site {
    pub world: World,
    pub manufacturer: String,
    pub rendezvous: String,
    pub owner: String,
    pub http: reqwest::Client,
    databases: Option<Databases>,
}

pub fn compat() -> CompatSettings {
    let (address, operator) = (Some("127.0.0.1:0".to_owned()), Some("scripts".to_owned()));
    CompatSettings { address, operator, hosts: vec!["manufacturer".to_owned()] }
}

fn settings() -> WorldSettings {
    WorldSettings {
        manufacturer: Some(|config| config.compat = compat()),
        rendezvous: Some(|config| config.compat = compat()),
        owner: Some(|config| config.compat = compat()),
        ..WorldSettings::default()
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::with(settings(), "admin", None).await
    }

    /// One on SQLite, and one on PostgreSQL where there is one.
    pub async fn all() -> Vec<Self> {
        let mut all = vec![Self::new().await];
        if let Some(databases) = Databases::create(3).await {
            let urls = Some([0, 1, 2].map(|index| databases.url(index)));
            all.push(Self::with(WorldSettings { databases: urls, ..settings() }, "admin", Some(databases)).await);
        }
        all
    }

    async fn with(settings: WorldSettings, role: &str, databases: Option<Databases>) -> Self {
        let world = World::with(settings).await;
        let token = json!({ "name": "scripts", "role": role, "expires": null });
        for api in [&world.manufacturer_api, &world.rendezvous_api, &world.owner_api] {
            let _: Value = api.post("/api/v1/tokens", &token).await.unwrap();
        }
        let at = |address: Option<std::net::SocketAddr>| format!("http://{}", address.unwrap());
        Self {
            manufacturer: at(world.manufacturer.as_ref().unwrap().address("compat")),
            rendezvous: at(world.rendezvous.as_ref().unwrap().address("compat")),
            owner: at(world.owner.as_ref().unwrap().address("compat")),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            databases,
            world,
        }
    }

    pub async fn stop(self) {
        self.world.stop().await;
        if let Some(databases) = self.databases {
            databases.drop_all().await;
        }
    }

    /// A request as a script makes it; status and answer.
    pub async fn call(&self, method: Method, url: String, body: &str) -> (u16, Value) {
        let response = self.http.request(method, url).body(body.to_owned()).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, url: String) -> Value {
        let (status, answer) = self.call(Method::GET, url, "").await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The same in PEM.
    pub async fn get_pem(&self, url: String) -> String {
        let response = self.http.get(url).header("accept", "application/x-pem-file").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/x-pem-file".parse().unwrap())
        );
        response.text().await.unwrap()
    }

    /// A device is born; its GUID.
    pub async fn birth(&self, serial: &str) -> String {
        self.birth_with(serial, KeyType::P256).await
    }

    pub async fn birth_with(&self, serial: &str, key_type: KeyType) -> String {
        self.world.admit(serial).await;
        let agent = self.world.device(serial);
        agent.init(&self.world.birth(serial, key_type)).await.unwrap();
        let device: Value = self.world.manufacturer_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
        device["guid"].as_str().unwrap().replace('-', "")
    }

    pub fn owner_key(&self) -> VerifyingKey {
        let keys = &self.world.owner.as_ref().unwrap().app.keys;
        keys.for_type(KeyType::P256).unwrap().verifying_key().clone()
    }

    /// What a service's trail says was done by the compat listener's operator.
    pub async fn trail(&self, api: &fdo_service::cli::ApiClient) -> Vec<Value> {
        let tokens: Vec<Value> = api.pages("/api/v1/tokens").await.unwrap();
        let scripts = tokens.iter().find(|token| token["name"] == "scripts").unwrap();
        let all: Vec<Value> = api.pages("/api/v1/audit").await.unwrap();
        all.into_iter().filter(|entry| entry["actor"] == scripts["id"]).collect()
    }
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
