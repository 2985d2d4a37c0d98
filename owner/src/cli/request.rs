//! `fdo-owner request list|get|approve|refuse|upload`: devices' requests for certificates that wait.

use std::path::PathBuf;

use clap::Subcommand;
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, at, escaped, read_file};
use crate::enrollment::external::routes::{Refusal, RequestView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All requests.
    List {
        /// requested, approved, forwarded, issued or refused
        #[arg(long)]
        state: Option<String>,
    },
    /// The certification request of one, PEM, for the outside CA.
    Get {
        #[arg(value_name = "REQUEST")]
        id: String,
    },
    /// Have it signed: by our own CA at once, by the outside CA as it is reached.
    Approve {
        #[arg(value_name = "REQUEST")]
        id: String,
    },
    /// Refuse it; the device is told.
    Refuse {
        #[arg(value_name = "REQUEST")]
        id: String,
        /// For the device's log and the audit trail
        #[arg(long, default_value = "an operator refused it")]
        reason: String,
    },
    /// Bring the certificate that the outside CA signed.
    Upload {
        #[arg(value_name = "REQUEST")]
        id: String,
        /// PEM, without any private key
        certificate: PathBuf,
    },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    let path = |id: &str, deed: &str| format!("/api/v1/requests/{}{deed}", escaped(id));
    let changed: RequestView = match command {
        Command::List { state } => {
            let query = state.as_ref().map(|state| format!("?state={}", escaped(state))).unwrap_or_default();
            let all: Vec<RequestView> = api.pages(&format!("/api/v1/requests{query}")).await?;
            return Ok(output.print(&all, |all| table(all))?);
        }
        Command::Get { id } => {
            let found: RequestView = api.get(&path(id, "")).await?;
            if output.json {
                return Ok(output.value(&found)?);
            }
            return Ok(output.bytes(found.csr.as_bytes())?);
        }
        Command::Approve { id } => api.post(&path(id, "/approve"), &()).await?,
        Command::Refuse { id, reason } => {
            api.post(&path(id, "/refuse"), &Refusal { reason: reason.clone() }).await?
        }
        Command::Upload { id, certificate } => {
            api.post_bytes(&path(id, "/certificate"), "application/x-pem-file", read_file(certificate)?).await?
        }
    };
    Ok(output.print(&changed, |changed| table(std::slice::from_ref(changed)))?)
}

fn table(all: &[RequestView]) -> Table {
    let head = Table::new(&["REQUEST", "DEVICE", "PROFILE", "CA", "STATE", "SINCE", "CERTIFICATE", "REASON"]);
    all.iter().fold(head, |table, request| {
        let device = request.device_serial.as_deref().unwrap_or(&request.guid);
        let state = match request.confirmed {
            true => request.state.name().to_owned(),
            false => format!("{} (onboarding)", request.state),
        };
        let certificate = request.certificate.as_deref().unwrap_or("-");
        let reason = request.reason.as_deref().unwrap_or("-");
        let since = at(request.created);
        table.row([&request.id, device, &request.profile, &request.authority, &state, &since, certificate, reason])
    })
}
