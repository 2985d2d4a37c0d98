//! `fdo-owner network list|add|set|delete`. A password comes from a file or standard input, never from the command line.

use std::io::BufRead;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use fdo_service::cli::{ApiClient, Output, Table};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Error, escaped, read_file};
use crate::networks::Scope;
use crate::networks::routes::{NetworkChange, NetworkView, Password};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All networks, without their passwords.
    List,
    /// Add a network.
    Add {
        /// Its name here.
        id: String,
        #[arg(long)]
        ssid: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change a network; what is not named stays.
    Set {
        id: String,
        #[arg(long)]
        ssid: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Take a network away; devices that have it keep it.
    Delete { id: String },
}

#[derive(Debug, Args)]
pub(super) struct Settings {
    /// open, wpa2-psk or wpa3-psk [default: wpa2-psk with a password, else open]
    #[arg(long)]
    auth: Option<String>,
    /// A file that holds the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the password from standard input.
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// 1: to keep, 0: for onboarding only [default: 1]
    #[arg(long)]
    trust_level: Option<u8>,
    /// true or false [default: true]
    #[arg(long)]
    enabled: Option<bool>,
    /// For devices of this model only.
    #[arg(long, conflicts_with_all = ["device", "all"])]
    model: Option<String>,
    /// For this device only: its serial or GUID.
    #[arg(long, conflicts_with = "all")]
    device: Option<String>,
    /// For all devices [default]
    #[arg(long)]
    all: bool,
}

impl Settings {
    fn change(&self, id: Option<&str>, ssid: Option<&str>) -> Result<NetworkChange, Error> {
        let auth = self.auth.as_ref().map(|auth| serde_json::from_value(json!(auth))).transpose();
        let (scope, target) = match (&self.model, &self.device, self.all) {
            (Some(model), _, _) => (Some("model"), Some(model)),
            (_, Some(device), _) => (Some("device"), Some(device)),
            (_, _, true) => (Some("all"), None),
            _ => (None, None),
        };
        Ok(NetworkChange {
            id: id.map(str::to_owned),
            ssid: ssid.map(str::to_owned),
            auth: auth.map_err(|_| Error::Usage("--auth is open, wpa2-psk or wpa3-psk"))?,
            password: self.password()?,
            trust_level: self.trust_level,
            enabled: self.enabled,
            scope: scope.map(str::to_owned),
            target: target.cloned(),
        })
    }

    fn password(&self) -> Result<Option<Password>, Error> {
        let text = if let Some(path) = &self.password_file {
            Zeroizing::new(String::from_utf8_lossy(&Zeroizing::new(read_file(path)?)).into_owned())
        } else if self.password_stdin {
            let mut line = Zeroizing::new(String::new());
            std::io::stdin().lock().read_line(&mut line)?;
            line
        } else {
            return Ok(None);
        };
        Ok(Some(Password::new(text.trim_end_matches(['\r', '\n']))))
    }
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    let written: NetworkView = match command {
        Command::List => {
            let all: Vec<NetworkView> = api.pages("/api/v1/networks").await?;
            return Ok(output.print(&all, |all| table(all))?);
        }
        Command::Delete { id } => {
            api.delete(&format!("/api/v1/networks/{}", escaped(id))).await?;
            return Ok(output.line(format!("network {id} is not given to devices any more"))?);
        }
        Command::Add { id, ssid, settings } => {
            api.post("/api/v1/networks", &settings.change(Some(id), Some(ssid))?).await?
        }
        Command::Set { id, ssid, settings } => {
            api.put(&format!("/api/v1/networks/{}", escaped(id)), &settings.change(None, ssid.as_deref())?).await?
        }
    };
    Ok(output.print(&written, |written| table(std::slice::from_ref(written)))?)
}

fn table(networks: &[NetworkView]) -> Table {
    let head = Table::new(&["ID", "SSID", "AUTH", "PASSWORD", "FOR", "TRUST", "ENABLED"]);
    networks.iter().fold(head, |table, network| {
        let scope = match &network.scope {
            Scope::All => "all".to_owned(),
            Scope::Model(model) => format!("model {model}"),
            Scope::Device(device) => format!("device {device}"),
        };
        let auth = json!(network.auth).as_str().unwrap_or_default().to_owned();
        let password = if network.has_password { "set" } else { "none" };
        let enabled = if network.enabled { "yes" } else { "no" };
        let trust = network.trust_level.to_string();
        table.row([network.id.as_str(), &network.ssid, &auth, password, &scope, &trust, enabled])
    })
}
