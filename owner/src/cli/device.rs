//! `fdo-owner device list|get|revoke|release|decommission|recommission|block|unblock`.

use clap::{Args, Subcommand};
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, at, escaped};
use crate::inventory::reports::RenewalReport;
use crate::inventory::routes::DeviceView;
use crate::revocation::routes::{Revoke, WithdrawnView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All devices.
    List {
        /// imported, registered, started, onboarded, failed, blocked, sold or decommissioned.
        #[arg(long)]
        state: Option<String>,
        /// Part of a serial, a GUID or a model.
        #[arg(long, short)]
        query: Option<String>,
    },
    /// One device, by serial or GUID.
    Get(Named),
    /// Revoke all certificates of a device: CRL and OCSP say so within seconds.
    Revoke {
        #[command(flatten)]
        device: Named,
        /// A reason of RFC 5280, 5.3.1, by name or number. Only certificateHold can be lifted.
        #[arg(long, default_value = "unspecified")]
        reason: String,
    },
    /// Lift the holds of a device's certificates.
    Release(Named),
    /// Take a device out of service: its certificates are revoked, and it is neither onboarded nor registered.
    Decommission(Named),
    /// Take it back into service; its certificates stay revoked.
    Recommission(Named),
    /// Stop a device: no onboarding, no renewal, no registration. Its certificates stay as they are.
    Block(Named),
    /// Let it go on.
    Unblock(Named),
}

#[derive(Debug, Args)]
pub(super) struct Named {
    #[arg(value_name = "SERIAL OR GUID")]
    name: String,
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List { state, query } => {
            let mut filters = Vec::new();
            filters.extend(state.as_ref().map(|state| format!("state={}", escaped(state))));
            filters.extend(query.as_ref().map(|query| format!("q={}", escaped(query))));
            let filters = if filters.is_empty() { String::new() } else { format!("?{}", filters.join("&")) };
            let all: Vec<DeviceView> = api.pages(&format!("/api/v1/devices{filters}")).await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Get(Named { name }) => {
            let device: DeviceView = api.get(&format!("/api/v1/devices/{}", escaped(name))).await?;
            Ok(output.print(&device, details)?)
        }
        Command::Revoke { device, reason } => {
            withdraw(device, "revoke", &Revoke { reason: Some(reason.clone()) }, api, output).await
        }
        Command::Release(device) => withdraw(device, "unrevoke", &(), api, output).await,
        Command::Decommission(device) => withdraw(device, "decommission", &(), api, output).await,
        Command::Recommission(device) => withdraw(device, "recommission", &(), api, output).await,
        Command::Block(device) => withdraw(device, "block", &(), api, output).await,
        Command::Unblock(device) => withdraw(device, "unblock", &(), api, output).await,
    }
}

async fn withdraw(
    device: &Named,
    deed: &str,
    body: &impl serde::Serialize,
    api: &ApiClient,
    output: Output,
) -> Result<(), Error> {
    let done: WithdrawnView = api.post(&format!("/api/v1/devices/{}/{deed}", escaped(&device.name)), body).await?;
    Ok(output.print(&done, |done| {
        Table::new(&["SERIAL", "GUID", "STATE", "CERTIFICATES CHANGED"]).row([
            or_dash(done.device.serial.as_deref()),
            &done.device.guid,
            done.device.state.name(),
            &done.certificates.to_string(),
        ])
    })?)
}

fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

fn table(devices: &[DeviceView]) -> Table {
    let head = Table::new(&["SERIAL", "GUID", "MODEL", "STATE", "PROGRESS", "LDEVID UNTIL"]);
    devices.iter().fold(head, |table, device| {
        let until = device.certificate_expires.map_or_else(|| "-".to_owned(), at);
        table.row([
            or_dash(device.serial.as_deref()),
            &device.guid,
            or_dash(device.model.as_deref()),
            device.state.name(),
            or_dash(device.reason.as_deref().or(device.progress.as_deref())),
            &until,
        ])
    })
}

fn renewal(report: &RenewalReport) -> String {
    let when = match report.consecutive {
        0 => "before the last one".to_owned(),
        times => format!("{times} in a row failed"),
    };
    format!("{when}, told on {}: {}", at(report.at), report.error)
}

fn details(device: &DeviceView) -> Table {
    let time = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), at);
    let rows = [
        ("serial", or_dash(device.serial.as_deref()).to_owned()),
        ("guid", device.guid.clone()),
        ("model", or_dash(device.model.as_deref()).to_owned()),
        ("state", device.state.name().to_owned()),
        ("owner key", device.owner_key_type.clone()),
        ("manufacturer", or_dash(device.manufacturer.as_deref()).to_owned()),
        ("progress", or_dash(device.progress.as_deref()).to_owned()),
        ("files", device.transfers.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        ("reason", or_dash(device.reason.as_deref()).to_owned()),
        ("onboarded", time(device.onboarded)),
        ("ldevid", or_dash(device.certificate.as_deref()).to_owned()),
        ("ldevid until", time(device.certificate_expires)),
        ("renewal", device.renewal_report.as_ref().map_or_else(|| "-".to_owned(), renewal)),
        ("guids", device.guids.iter().map(|guid| guid.guid.clone()).collect::<Vec<_>>().join(" ")),
    ];
    rows.into_iter().fold(Table::new(&["FIELD", "VALUE"]), |table, (name, value)| table.row([name, &value]))
}
