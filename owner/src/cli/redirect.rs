//! `fdo-owner redirect show|set|reset`.

use clap::Subcommand;
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use crate::redirect::routes::{NewRedirect, RedirectView};

const PATH: &str = "/api/v1/redirect";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What the next registrations say.
    Show,
    /// Set it; what is registered already says the same as before until it is renewed.
    Set {
        /// http://HOST:PORT or https://HOST:PORT, in the order in which devices try them.
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
    },
    /// Go back to `public_url` of the configuration.
    Reset,
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), CliError> {
    let view: RedirectView = match command {
        Command::Show => api.get(PATH).await?,
        Command::Set { urls } => api.put(PATH, &NewRedirect { urls: urls.clone() }).await?,
        Command::Reset => {
            api.delete(PATH).await?;
            api.get(PATH).await?
        }
    };
    output.print(&view, |view| {
        let origin = if view.set { "operators" } else { "configuration" };
        view.urls
            .iter()
            .fold(Table::new(&["DEVICES ARE SENT TO", "SET BY"]), |table, url| table.row([url.as_str(), origin]))
    })
}
