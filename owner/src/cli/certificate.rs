//! `fdo-owner certificate list|get|revoke|release`.

use clap::Subcommand;
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::{at, escaped};
use crate::ca::IssuedCertificate;
use crate::revocation::routes::Revoke;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The certificates of devices.
    List {
        /// Only those of this GUID.
        #[arg(long)]
        guid: Option<String>,
        /// Only those of the device with this serial.
        #[arg(long)]
        device: Option<String>,
        /// prepared, issued or revoked.
        #[arg(long)]
        state: Option<String>,
    },
    /// One certificate, by its serial number.
    Get {
        /// Hexadecimal, with or without colons.
        serial: String,
        /// Its PEM only.
        #[arg(long)]
        pem: bool,
    },
    /// Revoke a certificate: its CRL and OCSP say so within seconds.
    Revoke {
        serial: String,
        /// unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold,
        /// privilegeWithdrawn, .., or the number (RFC 5280, 5.3.1). Only certificateHold can be lifted.
        #[arg(long, default_value = "unspecified")]
        reason: String,
    },
    /// Lift the hold of a certificate.
    Release { serial: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), CliError> {
    let path = |serial: &str, deed: &str| format!("/api/v1/certificates/{}{deed}", escaped(serial));
    let certificate: IssuedCertificate = match command {
        Command::List { guid, device, state } => {
            let mut filters = Vec::new();
            for (name, value) in [("guid", guid), ("serial", device), ("state", state)] {
                filters.extend(value.as_ref().map(|value| format!("{name}={}", escaped(value))));
            }
            let filters = if filters.is_empty() { String::new() } else { format!("?{}", filters.join("&")) };
            let issued: Vec<IssuedCertificate> = api.pages(&format!("/api/v1/certificates{filters}")).await?;
            return output.print(&issued, |issued| table(issued));
        }
        Command::Get { serial, pem } => {
            let found: IssuedCertificate = api.get(&path(serial, "")).await?;
            match found.pem.as_ref().filter(|_| *pem) {
                Some(text) => return output.bytes(text.as_bytes()),
                None => found,
            }
        }
        Command::Revoke { serial, reason } => {
            api.post(&path(serial, "/revoke"), &Revoke { reason: Some(reason.clone()) }).await?
        }
        Command::Release { serial } => api.post(&path(serial, "/unrevoke"), &()).await?,
    };
    output.print(&certificate, details)
}

/// Certificates for people.
pub(super) fn table(issued: &[IssuedCertificate]) -> Table {
    let head = Table::new(&["SERIAL", "DEVICE", "SUBJECT", "STATE", "UNTIL"]);
    issued.iter().fold(head, |table, row| {
        table.row([row.serial.as_str(), &row.guid, &row.subject, &state(row), &at(row.not_after)])
    })
}

fn state(row: &IssuedCertificate) -> String {
    row.reason.as_ref().map_or(row.state.to_string(), |reason| format!("{} ({reason})", row.state))
}

fn details(row: &IssuedCertificate) -> Table {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = [
        ("serial", row.serial.clone()),
        ("subject", row.subject.clone()),
        ("device", or_dash(&row.device_serial)),
        ("guid", row.guid.clone()),
        ("state", state(row)),
        ("revoked", row.revoked.map_or_else(|| "-".to_owned(), at)),
        ("from", at(row.not_before)),
        ("until", at(row.not_after)),
        ("ca", row.authority.clone()),
        ("profile", row.profile.clone()),
        ("crl shard", row.shard.to_string()),
        ("sha-256", or_dash(&row.fingerprint)),
    ];
    rows.into_iter().fold(Table::new(&["FIELD", "VALUE"]), |table, (name, value)| table.row([name, &value]))
}
