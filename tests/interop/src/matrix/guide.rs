//! docs/guides/foreign-devices.md, walked: its commands as they stand there, with go-fdo-server and go-fdo-client as the
//! maker's; then the way back, with the voucher that our owner exports.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fdo_service::cli::ApiClient;
use fdo_tests::process::program;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::cell::{Key, Place};
use super::credentials::{Credentials, der, text};
use super::files::until;
use super::ours::{Starter, address, owner_at};
use super::peers::Peers;
use super::report::Outcome;
use super::server::{Program, Server};

const TABLE: &str = "docs/guides/foreign-devices.md, its commands with go-fdo-server and go-fdo-client";
const GUIDE: &str = include_str!("../../../../docs/guides/foreign-devices.md");
/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory in which the guide's commands run, with the names of this run in place of the guide's.
struct Walk {
    directory: PathBuf,
    path: String,
    api: String,
    token: String,
    names: Vec<(&'static str, String)>,
}

impl Walk {
    /// Runs a command that stands in the guide; what it said.
    async fn run(&self, command: &str) -> anyhow::Result<String> {
        ensure!(GUIDE.lines().any(|line| line == format!("$ {command}")), "the guide does not say: {command}");
        self.run_any(command).await
    }

    async fn run_any(&self, command: &str) -> anyhow::Result<String> {
        let mut line = command.to_owned();
        for (there, here) in &self.names {
            line = line.replace(there, here);
        }
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &line]).current_dir(&self.directory).stdin(Stdio::null());
        shell.env("PATH", &self.path).env("FDO_API", &self.api).env("FDO_TOKEN", &self.token);
        let done = tokio::time::timeout(LIMIT, shell.kill_on_drop(true).output()).await;
        let done = done.with_context(|| format!("no end: {line}"))??;
        let [told, complaint] =
            [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        ensure!(done.status.success(), "{line}: {told}{complaint}");
        Ok(told + &complaint)
    }
}

/// All steps; the first that fails is red, and those after it are not there.
pub async fn walk(peers: &Peers, directory: &Path) -> Vec<(Place, Outcome)> {
    let directory = directory.join("guide");
    let mut done = Vec::new();
    let ended = steps(peers, &directory, &mut done).await;
    let mut seen: Vec<_> =
        done.into_iter().map(|step| (Place::new(TABLE, step, "it works"), Outcome::Green)).collect();
    if let Err(error) = ended {
        seen.push((Place::new(TABLE, "the next step", "it works"), Outcome::Red(format!("{error:#}"))));
    }
    seen
}

async fn steps(peers: &Peers, directory: &Path, done: &mut Vec<&'static str>) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let theirs = Program { program: peers.server.clone(), directory: directory.to_owned() };
    let mut starter = Starter::new(directory, Vec::new())?;
    let settings = owner_at(&address());
    let api = starter.start("our-owner", "owner", &settings).await?;
    let mut walk = Walk {
        directory: directory.to_owned(),
        path: path(peers)?,
        api: format!("http://{}", settings["operators"]["address"].as_str().context("no address")?),
        token: starter.token("our-owner")?,
        names: vec![("~/.local/state/firstlight/owner", text(&directory.join("our-owner"))?.to_owned())],
    };

    walk.run("fdo-owner key list").await?;
    walk.run("fdo-owner key export --key-type P-256 > owner-key.pem").await?;
    let certificate =
        GUIDE.lines().find_map(|line| line.strip_prefix("$ ").filter(|rest| rest.starts_with("openssl ")));
    walk.run(certificate.context("no openssl in the guide")?).await?;
    done.push("Give the maker your key");

    let (maker, rendezvous) = start_maker(&theirs, directory).await?;
    walk.names.push(("http://maker.example:8038", maker.url.clone()));
    walk.names.push(("http://rv.example:8041", rendezvous.url.clone()));
    walk.run("fdo-owner trust add device-ca device_ca_cert.pem --name \"The maker\"").await?;
    walk.run("fdo-owner trust add manufacturer-key manufacturer_cert.pem --name \"The maker\"").await?;
    done.push("Trust the maker");

    let guid = born(&walk, &maker).await?;
    walk.names.push(("8fee8e8d0d724a5bb5f6a0d6b0d0a0c1", guid.clone()));
    walk.run("curl -fsS http://maker.example:8038/api/v1/vouchers/8fee8e8d0d724a5bb5f6a0d6b0d0a0c1 > device.pem")
        .await?;
    walk.run("fdo-owner voucher import device.pem").await?;
    done.push("From go-fdo-server: fetch the voucher and import it");

    // As the guide says of that rendezvous.
    registration(&api, &guid, "its rendezvous refuses", |item| !item["error"].is_null()).await?;
    walk.run("curl -fsS -X POST --data-binary @device_ca_cert.pem http://rv.example:8041/api/v1/device-ca")
        .await?;
    registration(&api, &guid, "TO0", |item| !item["granted"].is_null()).await?;
    done.push("From go-fdo-server: its rendezvous refuses until the device CA is loaded");

    way_back(&walk, &theirs, directory, &guid).await?;
    done.push("Many at once: the voucher that ours exports, in its owner with the same key");

    // It does not end by itself when it fails.
    let told = walk.run("go-fdo-client onboard --key ec256 --kex ECDH256 --blob cred.bin").await?;
    ensure!(told.contains("FIDO Device Onboard Complete"), "no success: {told}");
    done.push("From go-fdo-server: then switch the device on");

    walk.run("fdo-owner registration list").await?;
    let shown = walk.run("fdo-owner device get 8fee8e8d0d724a5bb5f6a0d6b0d0a0c1").await?;
    ensure!(shown.contains("onboarded"), "{shown}");
    walk.run("fdo-owner onboarding list").await?;
    done.push("See it happen");
    Ok(())
}

/// Where all programs of the guide are.
fn path(peers: &Peers) -> anyhow::Result<String> {
    let folders = [program("fdo-owner"), peers.client.clone()];
    let mut all = Vec::new();
    for folder in &folders {
        all.push(text(folder.parent().context("no folder")?)?.to_owned());
    }
    all.push(std::env::var("PATH")?);
    Ok(all.join(":"))
}

/// The maker, started with the certificate that the guide made; its rendezvous knows no device CA yet.
async fn start_maker(theirs: &Program, directory: &Path) -> anyhow::Result<(Server, Server)> {
    let (maker, ca) = (
        Credentials::make(directory, "manufacturer", Key::Ec256)?,
        Credentials::make(directory, "device-ca", Key::Ec256)?,
    );
    std::fs::copy(&maker.certificate, directory.join("manufacturer_cert.pem"))?;
    std::fs::copy(&ca.certificate, directory.join("device_ca_cert.pem"))?;
    let owner = directory.join("owner-cert.pem");
    let keys = ["--manufacturing-key", text(&maker.key)?, "--owner-cert", text(&owner)?];
    let cas = ["--device-ca-cert", text(&ca.certificate)?, "--device-ca-key", text(&ca.key)?];
    let manufacturing = theirs.start("maker", "manufacturing", &[keys, cas].concat(), &json!({})).await?;
    let rendezvous = theirs.start("rendezvous", "rendezvous", &[], &json!({})).await?;
    let port = rendezvous.url.rsplit(':').next().unwrap_or_default();
    let there = json!([{ "ip": "127.0.0.1", "device_port": port, "owner_port": port, "protocol": "http" }]);
    manufacturing.send(Method::POST, "/api/v1/rvinfo", &there.to_string()).await?;
    Ok((manufacturing, rendezvous))
}

/// DI by go-fdo-client; the GUID that it prints.
async fn born(walk: &Walk, maker: &Server) -> anyhow::Result<String> {
    let init = "--device-info gateway --serial-number SN-0001 --key ec256 --blob cred.bin";
    walk.run_any(&format!("go-fdo-client device-init {} {init}", maker.url)).await?;
    let told = walk.run_any("go-fdo-client print --blob cred.bin").await?;
    let is_guid = |word: &&str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lines = told.lines().filter(|line| line.to_lowercase().contains("guid"));
    let guid = lines.flat_map(str::split_whitespace).find(is_guid);
    guid.map(str::to_owned).with_context(|| format!("no GUID: {told}"))
}

async fn registration(
    api: &ApiClient,
    guid: &str,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/registrations?guid={guid}");
    until(what, || async {
        let list: Value = api.get(&path).await.ok()?;
        list["items"].as_array()?.iter().any(&fits).then_some(())
    })
    .await
}

/// Our owner's key and its export, in an owner of theirs: the very voucher that their maker gave.
async fn way_back(walk: &Walk, theirs: &Program, directory: &Path, guid: &str) -> anyhow::Result<()> {
    walk.run("fdo-owner voucher export --format go --out vouchers/").await?;
    let mut files = std::fs::read_dir(directory.join("vouchers"))?;
    let file = files.next().context("nothing was exported")??.path();
    let exported = std::fs::read_to_string(&file)?;
    ensure!(exported == std::fs::read_to_string(directory.join("device.pem"))?, "another voucher: {exported}");
    let key = der(&directory.join("our-owner/keys/owner-p256.pem"), &directory.join("owner-p256.der"))?;
    let ca = directory.join("device_ca_cert.pem");
    let arguments = ["--owner-key", text(&key)?, "--device-ca-cert", text(&ca)?];
    let owner = theirs.start("their-owner", "owner", &arguments, &json!({})).await?;
    owner.send(Method::POST, "/api/v1/owner/vouchers", &exported).await?;
    let devices: Value = serde_json::from_str(&owner.get("/api/v1/owner/devices").await?)?;
    if devices[0]["guid"] != guid {
        bail!("its owner has {devices}");
    }
    Ok(())
}
