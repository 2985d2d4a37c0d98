//! `fdo-owner device list|get`.

use clap::Subcommand;
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, at, escaped};
use crate::inventory::routes::DeviceView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All devices.
    List {
        /// imported, registered, started, onboarded, failed, blocked or sold.
        #[arg(long)]
        state: Option<String>,
        /// Part of a serial, a GUID or a model.
        #[arg(long, short)]
        query: Option<String>,
    },
    /// One device, by serial or GUID.
    Get {
        #[arg(value_name = "SERIAL OR GUID")]
        name: String,
    },
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
        Command::Get { name } => {
            let device: DeviceView = api.get(&format!("/api/v1/devices/{}", escaped(name))).await?;
            Ok(output.print(&device, details)?)
        }
    }
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
        ("guids", device.guids.iter().map(|guid| guid.guid.clone()).collect::<Vec<_>>().join(" ")),
    ];
    rows.into_iter().fold(Table::new(&["FIELD", "VALUE"]), |table, (name, value)| table.row([name, &value]))
}
