//! Our three services as processes, driven through their operator API.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fdo_service::cli::ApiClient;
use fdo_tests::process::{Process, program};
use fdo_tests::world::free_port;
use serde_json::{Value, json};

use super::cell::{COMMAND, Key, Module};
use super::credentials::certify;
use super::files::{Files, until};
use super::theirs::Theirs;

/// The name that our owner has with our makers.
const BUYER: &str = "Owner";
const RSA_KEYS: [&str; 2] = ["RSA2048", "RSA3072"];

/// A rendezvous, an owner, and a maker for each rendezvous.
pub struct Ours {
    pub rendezvous: String,
    /// The first sends devices to our rendezvous, the second to theirs.
    pub makers: Vec<Maker>,
    owner: ApiClient,
    http: reqwest::Client,
    owner_keys: Vec<Value>,
    /// The file that devices get, as our owner shows it.
    file: Value,
    _processes: Vec<Process>,
}

pub struct Maker {
    pub url: String,
    api: ApiClient,
    api_url: String,
    token: String,
    /// What our owner calls it.
    id: Value,
}

/// What is started one after the other.
pub struct Starter<'a> {
    directory: &'a Path,
    pub processes: Vec<Process>,
}

impl<'a> Starter<'a> {
    pub fn new(directory: &'a Path, processes: Vec<Process>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self { directory, processes })
    }

    /// A service with these settings; its operator API when it is ready.
    pub async fn start(&mut self, name: &str, service: &str, settings: &Value) -> anyhow::Result<ApiClient> {
        let (data, file) = (self.directory.join(name), self.directory.join(format!("{name}.toml")));
        std::fs::write(&file, toml::to_string(settings)?)?;
        let [data_dir, config] = [&data, &file].map(|path| path.to_string_lossy().into_owned());
        let arguments = ["--data-dir", &data_dir, "--config", &config, "serve"];
        let log = self.directory.join(format!("{name}.log"));
        let binary = program(&format!("fdo-{service}"));
        self.processes.push(Process::start(&binary, &arguments, &[], &log));
        let api = format!("http://{}", settings["operators"]["address"].as_str().context("no operators")?);
        let ready = ApiClient::new(&api, None)?;
        let answer = until(&format!("our {name}"), || async { ready.get_bytes("/ready", "*/*").await.ok() }).await;
        answer.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        Ok(ApiClient::new(&api, Some(&self.token(name)?))?)
    }
}

impl Starter<'_> {
    /// Of the first operator of a service that runs.
    pub fn token(&self, name: &str) -> anyhow::Result<String> {
        let file = self.directory.join(name).join("operator-token");
        Ok(std::fs::read_to_string(file)?.trim().to_owned())
    }
}

pub fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// Where a service listens, and no limits: all peers are one address.
pub fn listeners(listen: &str, log: &str) -> Value {
    json!({
        "log": log,
        "workers": 2,
        "listen": { "address": listen },
        "operators": { "address": address() },
        "limits": { "source_per_second": 0, "guid_per_second": 0 },
    })
}

pub fn with(mut settings: Value, more: Value) -> Value {
    if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
        settings.extend(more);
    }
    settings
}

/// An owner that devices find at this address, and none of its listeners at a fixed one.
pub fn owner_at(listen: &str) -> Value {
    let more = json!({
        "public_url": format!("http://{listen}"),
        "status": { "address": address() },
        "est": { "address": address() },
        "outbound_allow": ["loopback"],
    });
    with(listeners(listen, "info"), more)
}

impl Ours {
    /// The rendezvous comes first: makers of both sides name it in their vouchers.
    pub async fn start_rendezvous(directory: &Path) -> anyhow::Result<(String, Vec<Process>)> {
        let listen = address();
        let mut starter = Starter::new(directory, Vec::new())?;
        starter.start("rendezvous", "rendezvous", &listeners(&listen, "info")).await?;
        Ok((format!("http://{listen}"), starter.processes))
    }

    pub async fn start(
        directory: &Path,
        (rendezvous, processes): (String, Vec<Process>),
        theirs: &Theirs,
        files: &Files,
    ) -> anyhow::Result<Self> {
        let mut starter = Starter::new(directory, processes)?;
        let settings = with(
            owner_at(&address()),
            json!({
                "rsa_keys": RSA_KEYS,
                "encrypt_then_mac": { "offered": true, "form": "go" },
            }),
        );
        let owner = starter.start("owner", "owner", &settings).await?;
        let (sent, length) = (tokio::fs::File::open(&files.sent).await?, files.content().len() as u64);
        let file: Value = owner.put_file("/api/v1/files/sent.bin", sent, length).await?;
        let mut makers = Vec::new();
        for (name, rendezvous) in [("maker-a", &rendezvous), ("maker-b", &theirs.rendezvous.url)] {
            let (listen, claims) = (address(), address());
            let settings = with(
                listeners(&listen, "info"),
                json!({
                    "rendezvous": [rendezvous],
                    "admission": "open",
                    "claims": { "address": claims },
                    "rsa_keys": RSA_KEYS,
                }),
            );
            let api = starter.start(name, "manufacturer", &settings).await?;
            let identity: Value = api.get("/api/v1/identity").await?;
            let buyer: Value = api.post("/api/v1/buyers", &json!({ "name": BUYER })).await?;
            let enrolment = json!({
                "url": identity["claims_url"],
                "fingerprint": identity["identity_fingerprint"],
                "code": buyer["code"],
            });
            let enrolled: Value = owner.post("/api/v1/manufacturers", &enrolment).await?;
            let operators = settings["operators"]["address"].as_str().unwrap_or_default();
            let (api_url, token) = (format!("http://{operators}"), starter.token(name)?);
            makers.push(Maker {
                url: format!("http://{listen}"),
                api,
                api_url,
                token,
                id: enrolled["id"].clone(),
            });
        }
        let pem = std::fs::read_to_string(&theirs.device_ca.certificate)?;
        let ca = json!({ "kind": "device-ca", "name": "go-fdo-server", "pem": pem });
        let _: Value = owner.post("/api/v1/trust", &ca).await?;
        let keys: Value = owner.get("/api/v1/keys").await?;
        let owner_keys = keys["items"].as_array().cloned().unwrap_or_default();
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { rendezvous, makers, owner, http, owner_keys, file, _processes: starter.processes })
    }

    fn own_key(&self, key: Key) -> anyhow::Result<&Value> {
        let mut fitting = self.owner_keys.iter().filter(|item| item["key_type"] == key.our_name());
        fitting.find(|item| item["preferred"] == true).context("our owner has no such key")
    }

    /// The owner's public key of a type, PEM.
    pub fn owner_key(&self, key: Key) -> anyhow::Result<&str> {
        self.own_key(key)?["public_key"].as_str().context("our owner's key has no PEM")
    }

    /// A certificate for the owner's key of a type, as makers of others ask for.
    pub fn owner_certificate(&self, key: Key, directory: &Path) -> anyhow::Result<PathBuf> {
        let file = self.own_key(key)?["file"].as_str().context("our owner's key has no file")?;
        let certificate = directory.join(format!("our-owner-{}-cert.pem", key.name()));
        certify(Path::new(file), "Our fleet", &certificate)?;
        Ok(certificate)
    }

    /// The CAs that sign the devices of our maker, PEM.
    pub async fn device_cas(&self, maker: usize) -> anyhow::Result<String> {
        let trust: Value = self.makers[maker].api.get("/api/v1/trust").await?;
        let all = trust["device_cas"].as_array().context("our maker has no device CA")?;
        Ok(all.iter().filter_map(|ca| ca["certificate"].as_str()).collect())
    }

    /// Sells a device to our owner.
    pub async fn claim(&self, maker: usize, serial: &str) -> anyhow::Result<()> {
        let allocation = json!({ "buyer": BUYER, "serials": [serial] });
        let maker = &self.makers[maker];
        let _: Value = maker.api.post("/api/v1/allocations", &allocation).await?;
        let claims = json!({ "serials": [serial], "manufacturer": maker.id, "wait": 20 });
        let report: Value = self.owner.post("/api/v1/claims", &claims).await?;
        if report["results"][0]["state"] != "fulfilled" {
            bail!("our owner's claim: {report}");
        }
        Ok(())
    }

    /// Signs a voucher over to a key, by the route of go-fdo-server's scripts; PEM.
    pub async fn extend(&self, maker: usize, guid: &str, key: &str) -> anyhow::Result<String> {
        let maker = &self.makers[maker];
        let url = format!("{}/api/v2/vouchers/{guid}/extend", maker.api_url);
        let request = self.http.post(url).bearer_auth(&maker.token).body(key.to_owned());
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("our manufacturer: {status}: {text}");
        }
        Ok(text)
    }

    /// A voucher from elsewhere.
    pub async fn import(&self, voucher: String) -> anyhow::Result<()> {
        let report: Value =
            self.owner.post_bytes("/api/v1/vouchers", "application/x-pem-file", voucher.into_bytes()).await?;
        if report["results"][0]["status"] != "imported" {
            bail!("our owner's import: {report}");
        }
        Ok(())
    }

    /// Sells a device on to the owner of a key; the extended voucher, PEM.
    pub async fn resell(&self, guid: &str, key: &str) -> anyhow::Result<String> {
        let sale = json!({ "to": key, "even_if_never_onboarded": true });
        let _: Value = self.owner.post(&format!("/api/v1/vouchers/{guid}/resell"), &sale).await?;
        let step = async |name: &str| -> anyhow::Result<Value> {
            Ok(self.owner.post(&format!("/api/v1/resales/{guid}/{name}"), &json!({})).await?)
        };
        let handed_over = step("hand-over").await?;
        step("confirm").await?;
        handed_over["voucher"].as_str().map(str::to_owned).context("a sale without a voucher")
    }

    /// Waits until TO0 is done.
    pub async fn registered(&self, guid: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/registrations?guid={guid}");
        until(&format!("TO0 of {guid}"), || async {
            let list: Value = self.owner.get(&path).await.ok()?;
            let items = list["items"].as_array()?;
            (!items.is_empty() && items.iter().all(|item| !item["granted"].is_null())).then_some(())
        })
        .await
    }

    /// What the device gets in TO2, all of it required.
    pub async fn plan(&self, guid: &str, modules: &[Module], url: &str) -> anyhow::Result<()> {
        let step = |module: &Module| {
            let step = match module {
                Module::Download => json!({ "file": "sent.bin", "name": "received.bin" }),
                Module::Upload => json!({ "name": "report.bin" }),
                Module::Wget => {
                    let (sha384, length) = (&self.file["sha384"], &self.file["length"]);
                    json!({ "url": url, "name": "fetched.bin", "sha384": sha384, "length": length })
                }
                Module::Command => json!({ "command": "sh", "args": ["-c", COMMAND], "output": true }),
            };
            with(step, json!({ "module": module.name(), "required": true }))
        };
        let steps: Vec<Value> = modules.iter().map(step).collect();
        let plan = json!({ "scope": "device", "target": guid, "steps": steps });
        let _: Value = self.owner.put(&format!("/api/v1/plans/device:{guid}"), &plan).await?;
        Ok(())
    }

    /// What the device sent.
    pub async fn uploaded(&self, guid: &str) -> anyhow::Result<Vec<u8>> {
        let list: Value = self.owner.get(&format!("/api/v1/uploads?device={guid}")).await?;
        let id = list["items"][0]["id"].as_str().with_context(|| format!("our owner has no upload: {list}"))?;
        Ok(self.owner.get_bytes(&format!("/api/v1/uploads/{id}/content"), "*/*").await?)
    }

    /// The owner has the device, with all that was required.
    pub async fn onboarded(&self, guid: &str) -> anyhow::Result<()> {
        let device: Value = self.owner.get(&format!("/api/v1/devices/{guid}")).await?;
        if device["state"] != "onboarded" {
            bail!("our owner says {}: {}", device["state"], device["reason"]);
        }
        if device["guid"] == guid {
            bail!("the device kept its GUID");
        }
        Ok(())
    }
}
