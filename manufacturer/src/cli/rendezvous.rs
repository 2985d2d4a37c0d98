//! `fdo-manufacturer rendezvous show|set|reset`.

use clap::Subcommand;
use fdo_service::cli::{ApiClient, CliError, Output, Table};
use serde_json::Value;

use crate::config::Place;
use crate::rendezvous::routes::{NewRendezvous, RendezvousView};

const PATH: &str = "/api/v1/rendezvous";

#[derive(Subcommand)]
pub enum RendezvousCommand {
    /// What the next device is born with.
    Show,
    /// Set it; devices that are born already keep what they have.
    Set {
        /// http://HOST:PORT or https://HOST:PORT, in the order in which they are tried.
        #[arg(required = true, value_name = "URL")]
        places: Vec<String>,
    },
    /// Go back to the configuration's.
    Reset,
}

pub(super) async fn run(command: &RendezvousCommand, api: &ApiClient, output: Output) -> Result<(), CliError> {
    let view: RendezvousView = match command {
        RendezvousCommand::Show => api.get(PATH).await?,
        RendezvousCommand::Set { places } => {
            let places = places.iter().map(|url| Place::from(url.as_str())).collect();
            api.put(PATH, &NewRendezvous { places }).await?
        }
        RendezvousCommand::Reset => {
            api.delete(PATH).await?;
            api.get(PATH).await?
        }
    };
    output.print(&view, table)
}

fn table(view: &RendezvousView) -> Table {
    let origin = if view.set { "operators" } else { "configuration" };
    let head = Table::new(&["TRIED", "DIRECTIVE", "SET BY"]);
    let directives = view.directives.as_array().into_iter().flatten();
    (1..).zip(directives).fold(head, |table, (number, directive)| {
        let parts = directive.as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
        let shown: Vec<String> = parts.map(|(key, value)| format!("{key}={}", plain(value))).collect();
        table.row([number.to_string(), shown.join(" "), origin.to_owned()])
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
