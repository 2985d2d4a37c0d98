//! Services by others: `go/peer`, driven over HTTP.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use fdo_tests::process::Process;
use reqwest::{Client, Method};
use serde::Serialize;
use serde_json::Value;

use super::cell::Key;
use super::files::until;

/// A rendezvous, an owner, and a maker for each rendezvous.
pub struct Theirs {
    http: Client,
    pub rendezvous: String,
    pub owner: String,
    /// The first sends devices to our rendezvous, the second to theirs.
    pub makers: [String; 2],
    /// Where the owner puts what devices send, in a folder for each GUID.
    uploads: PathBuf,
    owner_keys: Vec<String>,
    _processes: Vec<Process>,
}

impl Theirs {
    pub async fn start(program: &Path, directory: &Path, our_rendezvous: &str) -> anyhow::Result<Self> {
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
        let uploads = directory.join("go-uploads");
        let rendezvous = start("rendezvous", &["rendezvous"]).await?;
        let owner = start("owner", &["owner", "-uploads", text(&uploads)?]).await?;
        let to_ours = start("maker-a", &["manufacturer", "-rendezvous", our_rendezvous]).await?;
        let to_theirs = start("maker-b", &["manufacturer", "-rendezvous", &rendezvous]).await?;
        let http = Client::builder().no_proxy().build()?;
        let mut theirs = Self {
            http,
            rendezvous,
            owner,
            makers: [to_ours, to_theirs],
            uploads,
            owner_keys: Vec::new(),
            _processes: processes,
        };
        theirs.owner_keys = theirs.keys(&theirs.owner.clone()).await?;
        Ok(theirs)
    }

    /// The owner's public key of a type, PEM.
    pub fn owner_key(&self, key: Key) -> anyhow::Result<&str> {
        self.owner_keys.get(key as usize).map(String::as_str).context("go-fdo's owner has no such key")
    }

    /// All public keys of a service, in the order of [`Key`].
    pub async fn keys(&self, service: &str) -> anyhow::Result<Vec<String>> {
        let text = self.get(service, "/keys").await?;
        Ok(text.split_inclusive("-----END PUBLIC KEY-----\n").map(str::to_owned).collect())
    }

    /// The CA that signed a maker's devices, PEM.
    pub async fn device_ca(&self, maker: &str) -> anyhow::Result<String> {
        self.get(maker, "/device-ca").await
    }

    /// A voucher signed over to `key`, PEM.
    pub async fn extend(&self, maker: &str, guid: &str, key: &str) -> anyhow::Result<String> {
        self.send(Method::POST, maker, &format!("/vouchers/{guid}/extend"), key.to_owned()).await
    }

    pub async fn import(&self, voucher: String) -> anyhow::Result<()> {
        self.send(Method::POST, &self.owner, "/vouchers", voucher).await.map(|_| ())
    }

    /// TO0 at a rendezvous.
    pub async fn register(&self, guid: &str, rendezvous: &str) -> anyhow::Result<()> {
        let path = format!("/devices/{guid}/to0");
        self.send(Method::POST, &self.owner, &path, rendezvous.to_owned()).await.map(|_| ())
    }

    pub async fn plan(&self, guid: &str, steps: &impl Serialize) -> anyhow::Result<()> {
        let steps = serde_json::to_string(steps)?;
        self.send(Method::PUT, &self.owner, &format!("/devices/{guid}/plan"), steps).await.map(|_| ())
    }

    /// What became of a device that had this GUID.
    pub async fn outcome(&self, guid: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.get(&self.owner, &format!("/devices/{guid}")).await?)?)
    }

    /// What the device sent.
    pub fn uploaded(&self, guid: &str, name: &str) -> PathBuf {
        self.uploads.join(guid.replace('-', "")).join(name)
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

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().ok_or_else(|| anyhow!("{} is no text", path.display()))
}
