//! `fdo-owner claim SERIAL..`: asks, then waits for what is still asked for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use fdo_service::cli::{ApiClient, CliError, Output, Table, progress};

use super::{Error, escaped, read_file};
use crate::claims::State;
use crate::claims::routes::{ClaimReport, ClaimView, NewClaims};

/// So many serials go into one request, so that there is something to see meanwhile.
const CHUNK: usize = 50;
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Claim {
    /// The serials that were bought.
    #[arg(value_name = "SERIAL")]
    serials: Vec<String>,
    /// A file with one serial a line; empty lines and those with # are passed over.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The manufacturer's id or name; needed where there is more than one.
    #[arg(long)]
    manufacturer: Option<String>,
    /// How long to wait for vouchers that are not here at once; the service goes on asking afterwards.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

pub(super) async fn run(claim: &Claim, api: &ApiClient, output: Output) -> Result<(), Error> {
    let mut serials = claim.serials.clone();
    if let Some(path) = &claim.from {
        let text = String::from_utf8_lossy(&read_file(path)?).into_owned();
        serials.extend(
            text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned),
        );
    }
    if serials.is_empty() {
        return Err(Error::Usage("name at least one serial, or a file of them with --from"));
    }
    let deadline = Instant::now() + Duration::from_secs(claim.wait);
    let bar = progress::bar(serials.len() as u64, "claiming");
    let mut results = Vec::new();
    for chunk in serials.chunks(CHUNK) {
        let left = deadline.saturating_duration_since(Instant::now()).as_secs();
        let new =
            NewClaims { serials: chunk.to_vec(), manufacturer: claim.manufacturer.clone(), wait: Some(left) };
        let report: ClaimReport = api.post("/api/v1/claims", &new).await?;
        bar.inc(report.results.iter().filter(|result| result.state != State::Requested).count() as u64);
        results.extend(report.results);
    }
    for result in &mut results {
        while result.state == State::Requested && comes_before(result, deadline) {
            tokio::time::sleep(POLL).await;
            *result = look(api, result).await?;
        }
    }
    bar.finish_and_clear();
    output.print(&results, |results| table(results))?;
    let refused = results.iter().filter(|result| result.state != State::Fulfilled).count();
    if refused == 0 { Ok(()) } else { Err(Error::Incomplete { refused, total: results.len() }) }
}

/// Whether the service asks again before this command has waited long enough; "not found" is asked for daily.
fn comes_before(claim: &ClaimView, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now()).as_secs();
    let pause = claim.next_at.map_or(0, |next| next.saturating_sub(claim.updated));
    // The job that asks looks for what is due once a second; a claim that was never answered has no pause of its own.
    left > 0 && (claim.attempts == 0 || pause <= left)
}

async fn look(api: &ApiClient, claim: &ClaimView) -> Result<ClaimView, CliError> {
    let report: ClaimReport = api.get(&format!("/api/v1/claims/{}", escaped(&claim.serial))).await?;
    let same = report.results.into_iter().find(|other| other.manufacturer == claim.manufacturer);
    Ok(same.unwrap_or_else(|| claim.clone()))
}

fn table(claims: &[ClaimView]) -> Table {
    let head = Table::new(&["SERIAL", "STATE", "GUID", "WHY"]);
    claims.iter().fold(head, |table, claim| {
        let why = match (&claim.error, &claim.detail) {
            (Some(error), Some(detail)) => format!("{error}: {detail}"),
            (Some(error), None) => error.clone(),
            _ => String::new(),
        };
        table.row([claim.serial.as_str(), claim.state.name(), claim.guid.as_deref().unwrap_or("-"), &why])
    })
}
