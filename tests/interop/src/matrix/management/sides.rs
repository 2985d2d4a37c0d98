//! Both sides with nothing in them: a manufacturer, a rendezvous and an owner each, and a device that is born there.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fdo_tests::process::Process;
use serde_json::{Value, json};

use super::Service;
use crate::matrix::cell::{By, Cell};
use crate::matrix::credentials::{Credentials, certify, text};
use crate::matrix::device::Device;
use crate::matrix::ours::{Starter, address, listeners, owner_at, with};
use crate::matrix::peers::Peers;
use crate::matrix::server::{Program, Server};

/// One side's three services as scripts see them.
pub struct Side {
    pub by: By,
    manufacturer: String,
    rendezvous: String,
    owner: String,
    /// The CA that signs its devices, PEM.
    pub device_ca: String,
    /// Of the device that was born there; 32 digits.
    pub guid: String,
    /// As its manufacturer gave it.
    pub voucher: String,
}

impl Side {
    pub fn url(&self, service: Service) -> &str {
        match service {
            Service::Manufacturer => &self.manufacturer,
            Service::Rendezvous => &self.rendezvous,
            Service::Owner => &self.owner,
        }
    }

    /// The port of a service, as version 1 writes it.
    pub fn port(&self, service: Service) -> String {
        self.url(service).rsplit(':').next().unwrap_or_default().to_owned()
    }
}

/// Both, and what keeps them running.
pub struct Sides {
    pub theirs: Side,
    pub ours: Side,
    cells: [Cell; 2],
    peers: Peers,
    directory: PathBuf,
    servers: [Server; 3],
    _processes: Vec<Process>,
}

impl Sides {
    pub async fn start(peers: &Peers, directory: &Path, cell: &Cell) -> anyhow::Result<Self> {
        let directory = directory.join("management");
        std::fs::create_dir_all(&directory)?;
        let (theirs, servers) = start_theirs(peers, &directory, cell).await?;
        let (ours, processes) = start_ours(&directory).await?;
        let cells = [By::Go, By::Us].map(|by| Cell { maker: by, rendezvous: by, owner: by, ..cell.clone() });
        let peers = peers.clone();
        Ok(Self { theirs, ours, cells, peers, directory, servers, _processes: processes })
    }

    fn device(&self, at: usize) -> anyhow::Result<Device<'_>> {
        Device::new(&self.cells[at], &self.peers, self.directory.join(format!("device-{at}")))
    }

    /// DI on both sides.
    pub async fn birth(&mut self) -> anyhow::Result<()> {
        for at in [0, 1] {
            let maker = [&self.theirs, &self.ours][at].manufacturer.clone();
            let guid = self.device(at)?.born(&maker, "MANAGED-1").await.context("DI")?.replace('-', "");
            [&mut self.theirs, &mut self.ours][at].guid = guid;
        }
        Ok(())
    }

    /// TO1 and TO2 on both sides, when their owners have done TO0.
    pub async fn onboard(&self) -> anyhow::Result<()> {
        let done = "DEBUG: to0 scheduler: register 'RV2TO0Addr' completed";
        self.servers[2].says(&[done, &format!("guid: {}", self.theirs.guid)]).await?;
        self.device(0)?.onboard().await.context("our device with go-fdo-server")?;
        self.device(1)?.onboard().await.context("our device with ours")
    }
}

async fn start_theirs(peers: &Peers, directory: &Path, cell: &Cell) -> anyhow::Result<(Side, [Server; 3])> {
    let program = Program { program: peers.server.clone(), directory: directory.to_owned() };
    let make = |name| Credentials::make(directory, name, cell.key);
    let (maker, owner, ca) = (make("maker")?, make("owner")?, make("device-ca")?);
    let ca_certificate = text(&ca.certificate)?;
    let keys = ["--manufacturing-key", text(&maker.key)?, "--owner-cert", text(&owner.certificate)?];
    let cas = ["--device-ca-cert", ca_certificate, "--device-ca-key", text(&ca.key)?];
    let nothing = json!({});
    let manufacturer = program.start("maker", "manufacturing", &[keys, cas].concat(), &nothing).await?;
    let rendezvous = program.start("rendezvous", "rendezvous", &[], &nothing).await?;
    let arguments = ["--owner-key", text(&owner.key)?, "--device-ca-cert", ca_certificate];
    let owner = program.start("owner", "owner", &arguments, &nothing).await?;
    let side = Side {
        by: By::Go,
        manufacturer: manufacturer.url.clone(),
        rendezvous: rendezvous.url.clone(),
        owner: owner.url.clone(),
        device_ca: std::fs::read_to_string(&ca.certificate)?,
        guid: String::new(),
        voucher: String::new(),
    };
    Ok((side, [manufacturer, rendezvous, owner]))
}

/// With the listener that they find, and with the settings that make ours do what theirs does.
async fn start_ours(directory: &Path) -> anyhow::Result<(Side, Vec<Process>)> {
    let services = directory.join("ours");
    let mut starter = Starter::new(&services, Vec::new())?;
    let compat = || json!({ "address": address(), "operator": "first start" });
    let url = |settings: &Value| {
        let address = settings["compat"]["address"].as_str().context("no compat address")?;
        anyhow::Ok(format!("http://{address}"))
    };
    let rendezvous = with(listeners(&address(), "info"), json!({ "compat": compat() }));
    starter.start("rendezvous", "rendezvous", &rendezvous).await?;
    let owner = with(owner_at(&address()), json!({ "compat": compat(), "compat_accept_any_maker": true }));
    let api = starter.start("owner", "owner", &owner).await?;
    let keys: Value = api.get("/api/v1/keys").await?;
    let keys = keys["items"].as_array().context("no keys")?;
    let key = keys.iter().find(|key| key["key_type"] == "P-256").context("no P-256 key")?;
    let certificate = directory.join("our-owner-cert.pem");
    certify(Path::new(key["file"].as_str().context("no file")?), "Our fleet", &certificate)?;
    let maker_settings = json!({
        "compat": compat(),
        "admission": "open",
        "claims": { "address": address() },
        "compat_extend_to": certificate,
    });
    let manufacturer = with(listeners(&address(), "info"), maker_settings);
    let maker = starter.start("maker", "manufacturer", &manufacturer).await?;
    let trust: Value = maker.get("/api/v1/trust").await?;
    let cas = trust["device_cas"].as_array().context("no device CA")?;
    let ca = cas.iter().find(|ca| ca["key_type"] == "P-256").context("no device CA with P-256")?;
    let side = Side {
        by: By::Us,
        manufacturer: url(&manufacturer)?,
        rendezvous: url(&rendezvous)?,
        owner: url(&owner)?,
        device_ca: ca["certificate"].as_str().context("no certificate")?.to_owned(),
        guid: String::new(),
        voucher: String::new(),
    };
    Ok((side, starter.processes))
}
