//! `fdo-owner registration`: where devices are registered at a rendezvous.

use clap::Subcommand;
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::{at, escaped};
use crate::registration::Registration;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Where and until when.
    List {
        /// Only this device's.
        #[arg(long)]
        guid: Option<String>,
    },
    /// Register a device anew, now.
    Renew { guid: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), CliError> {
    match command {
        Command::List { guid } => {
            let query = guid.as_ref().map(|guid| format!("?guid={}", escaped(guid))).unwrap_or_default();
            let rows: Vec<Registration> = api.pages(&format!("/api/v1/registrations{query}")).await?;
            output.print(&rows, |rows| table(rows))
        }
        Command::Renew { guid } => {
            api.post_bytes::<serde_json::Value>(
                &format!("/api/v1/registrations/{guid}/renew"),
                "application/json",
                Vec::new(),
            )
            .await?;
            output.line(format!("{guid} is being registered; see `fdo-owner registration list --guid {guid}`"))
        }
    }
}

fn table(rows: &[Registration]) -> Table {
    let head = Table::new(&["GUID", "RENDEZVOUS", "UNTIL", "NEXT", "FAILURES", "ERROR"]);
    rows.iter().fold(head, |table, row| {
        let until = row.expires.map_or("-".to_owned(), at);
        let error = row.error.as_deref().unwrap_or("-");
        let failures = row.failures.to_string();
        table.row([row.guid.as_str(), &row.rendezvous, &until, &at(row.next_at), &failures, error])
    })
}
