//! `fdo-owner ca`: the owner's certificate authority and what it issued.

use clap::{Subcommand, ValueEnum};
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::{at, certificate, escaped};
use crate::ca::IssuedCertificate;
use crate::ca::routes::{AuthorityView, CaView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Root and issuing CA: names, ends, fingerprints.
    Show,
    /// Their certificates in PEM.
    Export {
        /// Which.
        #[arg(value_enum, default_value_t = Which::Chain)]
        which: Which,
    },
    /// The certificates of devices; `fdo-owner certificate` has more.
    List {
        /// Only those of this GUID.
        #[arg(long)]
        guid: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Which {
    Root,
    Issuing,
    /// The issuing CA, then the root.
    Chain,
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), CliError> {
    if let Command::List { guid } = command {
        let query = guid.as_ref().map(|guid| format!("?guid={}", escaped(guid))).unwrap_or_default();
        let issued: Vec<IssuedCertificate> = api.pages(&format!("/api/v1/certificates{query}")).await?;
        return output.print(&issued, |issued| certificate::table(issued));
    }
    let ca: CaView = api.get("/api/v1/ca").await?;
    match command {
        Command::Show => output.print(&ca, |ca| {
            let head = Table::new(&["CA", "SUBJECT", "UNTIL", "SHA-256"]);
            let row = |table: Table, name: &str, view: &AuthorityView| {
                table.row([name, &view.subject, &at(view.not_after), &view.fingerprint])
            };
            row(row(head, "root", &ca.root), "issuing", &ca.issuing)
        }),
        Command::Export { which: Which::Root } => output.bytes(ca.root.pem.as_bytes()),
        Command::Export { which: Which::Issuing } => output.bytes(ca.issuing.pem.as_bytes()),
        _ => output.bytes(format!("{}{}", ca.issuing.pem, ca.root.pem).as_bytes()),
    }
}
