//! Services on the library go-fdo: `go/peer`, driven over HTTP. They have what go-fdo-server lacks: an owner's key of RSA
//! 3072.

use std::path::Path;

use anyhow::{Context, bail};
use fdo_tests::process::Process;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::cell::Key;
use super::files::until;

/// A rendezvous, an owner and a maker.
pub struct Library {
    http: Client,
    pub rendezvous: String,
    pub owner: String,
    pub maker: String,
    owner_keys: Vec<String>,
    _processes: Vec<Process>,
}

impl Library {
    pub async fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let mut processes = Vec::new();
        let mut start = async |name: &str, arguments: &[&str]| {
            let log = directory.join(format!("go-{name}.log"));
            processes.push(Process::start(program, arguments, &[], &log));
            // RSA keys are made first.
            until(&format!("go-fdo's {name}"), || async {
                let text = std::fs::read_to_string(&log).ok()?;
                text.lines().find(|line| line.starts_with("http://")).map(str::to_owned)
            })
            .await
        };
        let rendezvous = start("rendezvous", &["rendezvous"]).await?;
        let owner = start("owner", &["owner"]).await?;
        let maker = start("maker", &["manufacturer", "-rendezvous", &rendezvous]).await?;
        let http = Client::builder().no_proxy().build()?;
        let mut library = Self { http, rendezvous, owner, maker, owner_keys: Vec::new(), _processes: processes };
        library.owner_keys = library.owner_public_keys().await?;
        Ok(library)
    }

    /// The owner's public key of a type, PEM.
    pub fn owner_key(&self, key: Key) -> anyhow::Result<&str> {
        self.owner_keys.get(key as usize).map(String::as_str).context("go-fdo's owner has no such key")
    }

    /// In the order of [`Key`].
    async fn owner_public_keys(&self) -> anyhow::Result<Vec<String>> {
        let text = self.get(&self.owner, "/keys").await?;
        Ok(text.split_inclusive("-----END PUBLIC KEY-----\n").map(str::to_owned).collect())
    }

    /// A voucher signed over to `key`, PEM.
    pub async fn extend(&self, guid: &str, key: &str) -> anyhow::Result<String> {
        self.send(Method::POST, &self.maker, &format!("/vouchers/{guid}/extend"), key.to_owned()).await
    }

    pub async fn import(&self, voucher: String) -> anyhow::Result<()> {
        self.send(Method::POST, &self.owner, "/vouchers", voucher).await.map(|_| ())
    }

    /// TO0 at its rendezvous.
    pub async fn register(&self, guid: &str) -> anyhow::Result<()> {
        let path = format!("/devices/{guid}/to0");
        self.send(Method::POST, &self.owner, &path, self.rendezvous.clone()).await.map(|_| ())
    }

    /// The device gets this file.
    pub async fn plan(&self, guid: &str, file: &Path, name: &str) -> anyhow::Result<()> {
        let steps = json!([{ "module": "fdo.download", "name": name, "file": file }]).to_string();
        self.send(Method::PUT, &self.owner, &format!("/devices/{guid}/plan"), steps).await.map(|_| ())
    }

    /// What became of a device that had this GUID.
    pub async fn outcome(&self, guid: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.get(&self.owner, &format!("/devices/{guid}")).await?)?)
    }

    async fn get(&self, service: &str, path: &str) -> anyhow::Result<String> {
        self.send(Method::GET, service, path, String::new()).await
    }

    async fn send(&self, method: Method, service: &str, path: &str, body: String) -> anyhow::Result<String> {
        let answer = self.http.request(method, format!("{service}{path}")).body(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("go-fdo: {path}: {}", text.trim());
        }
        Ok(text)
    }
}
