//! `fdo-owner voucher list|get|import|export|download|pull|resell|block|unblock`.

use std::path::PathBuf;

use clap::Subcommand;
use fdo_service::cli::{ApiClient, Output, Table};

use super::resale::{self, Resell};
use super::{Error, voucher_export, voucher_import};
use crate::vouchers::routes::{CBOR, VoucherView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All vouchers.
    List {
        /// imported, onboarded, replaced, archived, blocked, sold or delivered.
        #[arg(long)]
        state: Option<String>,
    },
    /// One voucher.
    Get { guid: String },
    /// Import vouchers: PEM (one or many in a file), CBOR, folders of these, tar archives.
    Import(voucher_import::Import),
    /// Write vouchers to files that another implementation reads.
    Export(voucher_export::Export),
    /// Write a voucher as PEM to standard output.
    Download {
        guid: String,
        /// As CBOR.
        #[arg(long)]
        cbor: bool,
        /// To this file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Fetch the vouchers that a partner or manufacturer has extended to our keys.
    Pull {
        /// Its name, id, DID or URL; add it with `fdo-owner partner add` first.
        #[arg(value_name = "PARTNER|URL")]
        from: String,
    },
    /// Sell a device on: extend its voucher to the next owner's key.
    Resell(Resell),
    /// Stop a device: no onboarding, no registration.
    Block { guid: String },
    /// Let it go on.
    Unblock { guid: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List { state } => {
            let query = state.as_ref().map(|state| format!("?state={state}")).unwrap_or_default();
            let all: Vec<VoucherView> = api.pages(&format!("/api/v1/vouchers{query}")).await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Get { guid } => {
            let voucher: VoucherView = api.get(&format!("/api/v1/vouchers/{guid}")).await?;
            Ok(output.print(&voucher, |voucher| table(std::slice::from_ref(voucher)))?)
        }
        Command::Import(args) => voucher_import::run(args, api, output).await,
        Command::Export(args) => voucher_export::run(args, api, output).await,
        Command::Download { guid, cbor, out } => {
            let accept = if *cbor { CBOR } else { "application/x-pem-file" };
            let bytes = api.get_bytes(&format!("/api/v1/vouchers/{guid}/download"), accept).await?;
            match out {
                Some(path) => {
                    std::fs::write(path, bytes).map_err(|source| Error::File { path: path.clone(), source })
                }
                None => Ok(output.bytes(&bytes)?),
            }
        }
        Command::Pull { from } => super::transfer::pull(from, api, output).await,
        Command::Resell(args) => resale::resell(args, api, output).await,
        Command::Block { guid } | Command::Unblock { guid } => {
            let verb = if matches!(command, Command::Block { .. }) { "block" } else { "unblock" };
            let voucher: VoucherView = api.post(&format!("/api/v1/vouchers/{guid}/{verb}"), &()).await?;
            Ok(output.print(&voucher, |voucher| table(std::slice::from_ref(voucher)))?)
        }
    }
}

fn table(vouchers: &[VoucherView]) -> Table {
    let head = Table::new(&["GUID", "STATE", "ENTRIES", "MAKER TRUSTED", "REPLACED BY"]);
    vouchers.iter().fold(head, |table, voucher| {
        let trusted = if voucher.trusted { "yes" } else { "no" };
        let next = voucher.replaced_by.as_deref().unwrap_or("-");
        table.row([voucher.guid.as_str(), voucher.state.name(), &voucher.entries.to_string(), trusted, next])
    })
}
