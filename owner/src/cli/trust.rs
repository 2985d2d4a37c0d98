//! `fdo-owner trust list|add|remove`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, escaped, read_file};
use crate::trust::Kind;
use crate::trust::routes::{NewTrust, TrustView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All pinned keys and CAs.
    List,
    /// Accept vouchers by a maker's key or a device CA.
    Add {
        #[arg(value_enum)]
        kind: KindName,
        /// A PUBLIC KEY or CERTIFICATE in PEM.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Whose it is.
        #[arg(long)]
        name: String,
    },
    /// Accept nothing more by it; what is here stays.
    Remove { fingerprint: String },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum KindName {
    ManufacturerKey,
    DeviceCa,
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List => {
            let all: Vec<TrustView> = api.pages("/api/v1/trust").await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Add { kind, file, name } => {
            let kind = match kind {
                KindName::ManufacturerKey => Kind::ManufacturerKey,
                KindName::DeviceCa => Kind::DeviceCa,
            };
            let pem = String::from_utf8_lossy(&read_file(file)?).into_owned();
            let pin: TrustView = api.post("/api/v1/trust", &NewTrust { kind, name: name.clone(), pem }).await?;
            Ok(output.print(&pin, |pin| table(std::slice::from_ref(pin)))?)
        }
        Command::Remove { fingerprint } => {
            api.delete(&format!("/api/v1/trust/{}", escaped(fingerprint))).await?;
            Ok(output.line(format!("{fingerprint} is not trusted any more"))?)
        }
    }
}

fn table(pins: &[TrustView]) -> Table {
    pins.iter().fold(Table::new(&["KIND", "NAME", "FINGERPRINT"]), |table, pin| {
        table.row([pin.kind.name(), &pin.name, &pin.fingerprint])
    })
}
