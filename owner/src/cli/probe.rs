//! `fdo-owner probe add|list|remove|run`: TLS endpoints whose certificates are looked at.

use clap::Subcommand;
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, at, escaped};
use crate::inventory::certificates::probes::routes::{NewProbe, ProbeView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The endpoints and how it went last.
    List,
    /// Look at an endpoint from now on.
    Add {
        /// host:port
        endpoint: String,
        /// How often [default: 86400]
        #[arg(long, value_name = "SECONDS")]
        every: Option<u64>,
    },
    /// Look at it no more; what only it served is retired.
    Remove {
        /// Its id or host:port.
        endpoint: String,
    },
    /// Look at it now and show the chain that it serves.
    Run {
        /// Its id or host:port.
        endpoint: String,
    },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    let url = |name: &str| format!("/api/v1/probes/{}", escaped(name));
    let probe: ProbeView = match command {
        Command::List => {
            let all: Vec<ProbeView> = api.pages("/api/v1/probes").await?;
            return Ok(output.print(&all, |all| table(all))?);
        }
        Command::Remove { endpoint } => {
            api.delete(&url(endpoint)).await?;
            return Ok(output.line(format!("{endpoint} is looked at no more"))?);
        }
        Command::Add { endpoint, every } => {
            let new = NewProbe { endpoint: endpoint.clone(), every_seconds: *every };
            api.post("/api/v1/probes", &new).await?
        }
        Command::Run { endpoint } => api.post(&format!("{}/run", url(endpoint)), &()).await?,
    };
    output.print(&probe, |probe| table(std::slice::from_ref(probe)))?;
    if !output.json && !probe.chain.is_empty() {
        let head = Table::new(&["PLACE", "SHA-256", "SINCE"]);
        let chain = probe.chain.iter().fold(head, |table, seen| {
            table.row([seen.position.to_string().as_str(), &seen.fingerprint, &at(seen.first_seen)])
        });
        output.line(chain.to_string().trim_end())?;
    }
    Ok(())
}

fn table(probes: &[ProbeView]) -> Table {
    let head = Table::new(&["ID", "ENDPOINT", "EVERY", "LAST SEEN", "NEXT", "FAILURES", "ERROR"]);
    probes.iter().fold(head, |table, probe| {
        table.row([
            probe.id.as_str(),
            &probe.endpoint,
            &format!("{} s", probe.every_seconds),
            &probe.last_seen.map_or_else(|| "never".to_owned(), at),
            &at(probe.next_at),
            &probe.failures.to_string(),
            probe.error.as_deref().unwrap_or_default(),
        ])
    })
}
