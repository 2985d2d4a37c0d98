//! `fdo-rendezvous registration list|get|delete`.

use clap::Subcommand;
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::at;
use crate::registrations::routes::RegistrationView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All registrations.
    List,
    /// Those of one GUID.
    Get { guid: String },
    /// Remove those of one GUID; its owner may register again.
    Delete { guid: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), CliError> {
    match command {
        Command::List => {
            let all: Vec<RegistrationView> = api.pages("/api/v1/registrations").await?;
            output.print(&all, |all| table(all))
        }
        Command::Get { guid } => {
            let found: Vec<RegistrationView> = api.get(&format!("/api/v1/registrations/{guid}")).await?;
            output.print(&found, |found| table(found))
        }
        Command::Delete { guid } => {
            api.delete(&format!("/api/v1/registrations/{guid}")).await?;
            output.line(format!("{guid} is not registered any more"))
        }
    }
}

fn table(rows: &[RegistrationView]) -> Table {
    let head = Table::new(&["GUID", "OWNER", "SENT TO", "EXPIRES", "ASKED"]);
    rows.iter().fold(head, |table, row| {
        let owner = row.owner.get(..16).unwrap_or(&row.owner);
        let asked = if row.proven { "yes" } else { "no" };
        table.row([row.guid.as_str(), owner, &row.addresses.join(" "), &at(row.expires), asked])
    })
}
