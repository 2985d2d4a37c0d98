//! `fdo-owner voucher list|get|import|download|resell|block|unblock`.

use std::path::PathBuf;

use clap::Subcommand;
use fdo_service::cli::{ApiClient, CliError, Output, Table, progress};

use super::resale::{self, Resell};
use super::{Error, read_file};
use crate::vouchers::routes::{CBOR, Report, ReportItem, VoucherView};

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
    /// Import vouchers: PEM (one or many in a file) or CBOR.
    Import {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Take vouchers of makers that nobody here vouches for.
        #[arg(long)]
        allow_untrusted: bool,
    },
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
        Command::Import { files, allow_untrusted } => import(files, *allow_untrusted, api, output).await,
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
        Command::Resell(args) => resale::resell(args, api, output).await,
        Command::Block { guid } | Command::Unblock { guid } => {
            let verb = if matches!(command, Command::Block { .. }) { "block" } else { "unblock" };
            let voucher: VoucherView = api.post(&format!("/api/v1/vouchers/{guid}/{verb}"), &()).await?;
            Ok(output.print(&voucher, |voucher| table(std::slice::from_ref(voucher)))?)
        }
    }
}

async fn import(files: &[PathBuf], allow_untrusted: bool, api: &ApiClient, output: Output) -> Result<(), Error> {
    let bar = progress::bar(files.len() as u64, "importing");
    let mut results: Vec<ReportItem> = Vec::new();
    let path = format!("/api/v1/vouchers?allow_untrusted={allow_untrusted}");
    for file in files {
        match api.post_bytes::<Report>(&path, "application/octet-stream", read_file(file)?).await {
            Ok(report) => results.extend(report.results),
            // One bad file does not keep the others out.
            Err(CliError::Refused(problem)) => results.push(ReportItem {
                guid: None,
                serial: None,
                status: "refused".to_owned(),
                code: Some(problem.code().to_owned()),
                detail: Some(format!("{}: {}", file.display(), problem.detail())),
            }),
            Err(error) => return Err(error.into()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    output.print(&results, |results| {
        let head = Table::new(&["GUID", "SERIAL", "STATUS", "WHY"]);
        results.iter().fold(head, |table, item| {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            table.row([or_dash(&item.guid), or_dash(&item.serial), item.status.clone(), or_dash(&item.detail)])
        })
    })?;
    let refused = results.iter().filter(|item| item.status == "refused").count();
    if refused == 0 { Ok(()) } else { Err(Error::Incomplete { refused, total: results.len() }) }
}

fn table(vouchers: &[VoucherView]) -> Table {
    let head = Table::new(&["GUID", "STATE", "ENTRIES", "MAKER TRUSTED", "REPLACED BY"]);
    vouchers.iter().fold(head, |table, voucher| {
        let trusted = if voucher.trusted { "yes" } else { "no" };
        let next = voucher.replaced_by.as_deref().unwrap_or("-");
        table.row([voucher.guid.as_str(), voucher.state.name(), &voucher.entries.to_string(), trusted, next])
    })
}
