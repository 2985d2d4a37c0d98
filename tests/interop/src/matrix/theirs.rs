//! go-fdo-server's three services as its operators run them: keys by `openssl`, configuration files, management calls.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::cell::{By, COMMAND, Cell, Key, Module};
use super::credentials::{Credentials, sha384, text};
use super::files::Files;
use super::server::{Program, Server};

/// A rendezvous; an owner for each key, and for each module more; makers.
pub struct Theirs {
    program: Program,
    pub rendezvous: Server,
    pub device_ca: Credentials,
    owners: Vec<Owner>,
    makers: Vec<Maker>,
}

/// It has one key, and one plan for all devices.
struct Owner {
    key: Key,
    module: Module,
    credentials: Credentials,
    server: Server,
    /// Where it puts what devices send, in a folder for each new GUID.
    uploads: PathBuf,
}

/// It has one key, names one rendezvous, and extends every voucher to one owner.
struct Maker {
    key: Key,
    rendezvous: By,
    owner: By,
    server: Server,
}

/// Which rendezvous a maker of theirs names.
fn place(rendezvous: &str) -> anyhow::Result<String> {
    Ok(Url::parse(rendezvous)?.port().context("a URL without a port")?.to_string())
}

impl Theirs {
    /// Rendezvous and owners; the makers need the certificates of both sides' owners.
    pub async fn start(program: &Path, directory: &Path, files: &Files) -> anyhow::Result<Self> {
        let directory = directory.join("go-fdo-server");
        std::fs::create_dir_all(&directory)?;
        let program = Program { program: program.to_owned(), directory };
        let rendezvous = program.start("rendezvous", "rendezvous", &[], &json!({})).await?;
        let device_ca = Credentials::make(&program.directory, "device-ca", Key::Ec384)?;
        let mut theirs = Self { program, rendezvous, device_ca, owners: Vec::new(), makers: Vec::new() };
        for key in Key::OF_GO_OWNER {
            let name = format!("owner-{}", key.name());
            let credentials = Credentials::make(&theirs.program.directory, &name, key)?;
            theirs.add_owner(&name, key, Module::Download, credentials, files).await?;
        }
        for module in [Module::Upload, Module::Wget, Module::Command] {
            let credentials = theirs.owner(Key::Ec256, Module::Download)?.credentials.clone();
            theirs.add_owner(&format!("owner-{module:?}"), Key::Ec256, module, credentials, files).await?;
        }
        Ok(theirs)
    }

    async fn add_owner(
        &mut self,
        name: &str,
        key: Key,
        module: Module,
        credentials: Credentials,
        files: &Files,
    ) -> anyhow::Result<()> {
        let uploads = self.program.directory.join(format!("{name}-uploads"));
        std::fs::create_dir_all(&uploads)?;
        let params = match module {
            Module::Download => json!({ "files": [{ "src": files.sent, "dst": "received.bin" }] }),
            Module::Upload => json!({ "dir": uploads, "files": [{ "src": "report.bin" }] }),
            Module::Wget => {
                let (length, sum) = (files.content().len(), sha384(&files.sent)?);
                let file = json!({ "url": files.url, "dst": "fetched.bin", "length": length, "checksum": sum });
                json!({ "files": [file] })
            }
            Module::Command => {
                json!({ "cmd": "sh", "args": ["-c", COMMAND], "return_stdout": true, "return_stderr": true })
            }
        };
        let fsims = json!([{ "fsim": module.name(), "params": params }]);
        let config = json!({ "owner": { "service_info": { "fsims": fsims } } });
        let server = self.start_owner(name, &credentials, &config).await?;
        let here = json!([{ "ip": "127.0.0.1", "port": place(&server.url)?, "protocol": "http" }]);
        server.send(Method::POST, "/api/v1/owner/redirect", &here.to_string()).await?;
        self.owners.push(Owner { key, module, credentials, server, uploads });
        Ok(())
    }

    async fn start_owner(&self, name: &str, of: &Credentials, config: &Value) -> anyhow::Result<Server> {
        let ca = text(&self.device_ca.certificate)?;
        let arguments = ["--owner-key", text(&of.key)?, "--device-ca-cert", ca];
        self.program.start(name, "owner", &arguments, config).await
    }

    /// Whether its owner starts with a key of this type.
    pub async fn owner_starts(&self, key: Key) -> anyhow::Result<()> {
        let name = format!("owner-alone-{}", key.name());
        let credentials = Credentials::make(&self.program.directory, &name, key)?;
        self.start_owner(&name, &credentials, &json!({})).await.map(|_| ())
    }

    /// Makers for all that is put together with them; `our_owner` gives our owner's certificate for a key.
    pub async fn start_makers(
        &mut self,
        our_rendezvous: &str,
        our_owner: impl Fn(Key) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<()> {
        for key in Key::ALL {
            let name = format!("maker-{}", key.name());
            let credentials = Credentials::make(&self.program.directory, &name, key)?;
            for owner in [By::Us, By::Go] {
                let certificate = match self.owner(key, Module::Download) {
                    _ if owner == By::Us => our_owner(key)?,
                    Ok(owner) => owner.credentials.certificate.clone(),
                    // Its owner has no such key.
                    Err(_) => continue,
                };
                for rendezvous in [By::Us, By::Go] {
                    let url = if rendezvous == By::Us { our_rendezvous } else { &self.rendezvous.url };
                    let there = place(url)?;
                    let name = format!("{name}-{owner:?}-{rendezvous:?}");
                    let server = self.start_maker(&name, &credentials, &certificate).await?;
                    let there = json!([
                        { "ip": "127.0.0.1", "device_port": there, "owner_port": there, "protocol": "http" }
                    ]);
                    server.send(Method::POST, "/api/v1/rvinfo", &there.to_string()).await?;
                    self.makers.push(Maker { key, rendezvous, owner, server });
                }
            }
        }
        Ok(())
    }

    async fn start_maker(&self, name: &str, of: &Credentials, owner: &Path) -> anyhow::Result<Server> {
        let ca = &self.device_ca;
        let keys = ["--manufacturing-key", text(&of.key)?, "--owner-cert", text(owner)?];
        let cas = ["--device-ca-cert", text(&ca.certificate)?, "--device-ca-key", text(&ca.key)?];
        self.program.start(name, "manufacturing", &[keys, cas].concat(), &json!({})).await
    }

    /// Its rendezvous registers devices of these CAs only, PEM.
    pub async fn trust(&self, device_cas: &str) -> anyhow::Result<()> {
        let report = self.rendezvous.send(Method::POST, "/api/v1/device-ca", device_cas).await?;
        let report: Value = serde_json::from_str(&report)?;
        if report["imported"] != report["detected"] || report["imported"] == 0 {
            bail!("go-fdo-server's rendezvous: {report}");
        }
        Ok(())
    }

    fn owner(&self, key: Key, module: Module) -> anyhow::Result<&Owner> {
        let found = self.owners.iter().find(|owner| owner.key == key && owner.module == module);
        found.with_context(|| format!("go-fdo-server has no owner with {key:?} for {module:?}"))
    }

    /// The owner of a cell.
    fn owner_of(&self, cell: &Cell) -> anyhow::Result<&Owner> {
        match cell.modules[..] {
            [module] => self.owner(cell.key, module),
            _ => bail!("go-fdo-server's owners have one module each"),
        }
    }

    fn maker_of(&self, cell: &Cell) -> anyhow::Result<&Server> {
        // What its owner sells on was its owner's first.
        let first = if cell.resold { By::Go } else { cell.owner };
        let wanted = (cell.key, cell.rendezvous, first);
        let found = self.makers.iter().find(|maker| (maker.key, maker.rendezvous, maker.owner) == wanted);
        Ok(&found.context("go-fdo-server has no such maker")?.server)
    }

    /// Where a device of this cell is born.
    pub fn maker_url(&self, cell: &Cell) -> anyhow::Result<&str> {
        Ok(&self.maker_of(cell)?.url)
    }

    /// The voucher of a device that was born there, PEM: it ends in the owner's key, as a certificate.
    pub async fn voucher(&self, cell: &Cell, guid: &str) -> anyhow::Result<String> {
        self.maker_of(cell)?.get(&format!("/api/v1/vouchers/{}", guid.replace('-', ""))).await
    }

    /// The public key of a cell's owner, PEM.
    pub fn owner_key(&self, cell: &Cell) -> anyhow::Result<&str> {
        Ok(&self.owner_of(cell)?.credentials.public_key)
    }

    pub async fn import(&self, cell: &Cell, voucher: &str) -> anyhow::Result<()> {
        let owner = self.owner_of(cell)?;
        owner.server.send(Method::POST, "/api/v1/owner/vouchers", voucher).await.map(|_| ())
    }

    /// Its owner sells a device on; the voucher for the new owner's key, PEM.
    pub async fn resell(&self, cell: &Cell, guid: &str, key: &str) -> anyhow::Result<String> {
        let path = format!("/api/v1/owner/resell/{}", guid.replace('-', ""));
        self.owner_of(cell)?.server.send(Method::POST, &path, key).await
    }

    /// Waits until its owner has done TO0 at the rendezvous that the voucher names; it looks for work every ten seconds.
    pub async fn registered(&self, cell: &Cell, guid: &str) -> anyhow::Result<()> {
        let guid = format!("guid: {}", guid.replace('-', ""));
        self.owner_of(cell)?.server.says(&["DEBUG: to0 scheduler: register 'RV2TO0Addr' completed", &guid]).await
    }

    /// One TO2 at a time with its owner.
    pub async fn turn(&self, cell: &Cell) -> anyhow::Result<tokio::sync::MutexGuard<'_, ()>> {
        Ok(self.owner_of(cell)?.server.turn.lock().await)
    }

    /// The GUID that a device got from its owner, which says that TO2 is done; 32 digits.
    pub async fn onboarded(&self, cell: &Cell, guid: &str) -> anyhow::Result<String> {
        let path = format!("/api/v1/owner/devices?old_guid={}", guid.replace('-', ""));
        let list: Value = serde_json::from_str(&self.owner_of(cell)?.server.get(&path).await?)?;
        match (&list[0]["guid"], &list[0]["to2_completed"]) {
            (Value::String(new), Value::Bool(true)) => Ok(new.clone()),
            _ => Err(anyhow!("go-fdo-server's owner says {list}")),
        }
    }

    /// What a device sent, by its new GUID.
    pub fn uploaded(&self, cell: &Cell, guid: &str, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.owner_of(cell)?.uploads.join(guid).join(name))
    }

    /// What commands said, which it writes to its log.
    pub fn said(&self, cell: &Cell) -> anyhow::Result<String> {
        self.owner_of(cell)?.server.log()
    }
}
