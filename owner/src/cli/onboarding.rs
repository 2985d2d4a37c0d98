//! `fdo-owner onboarding`: what became of each TO2.

use clap::Args;
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::{at, escaped};
use crate::onboarding::routes::OnboardingView;

#[derive(Debug, Args)]
pub(super) struct Onboardings {
    /// Only those of this GUID, before or after.
    #[arg(long)]
    guid: Option<String>,
}

pub(super) async fn run(which: &Onboardings, api: &ApiClient, output: Output) -> Result<(), CliError> {
    let query = which.guid.as_ref().map(|guid| format!("?guid={}", escaped(guid))).unwrap_or_default();
    let runs: Vec<OnboardingView> = api.pages(&format!("/api/v1/onboardings{query}")).await?;
    output.print(&runs, |runs| {
        let head = Table::new(&["STARTED", "GUID", "NEW GUID", "OUTCOME", "CERTIFICATE", "REASON"]);
        runs.iter().fold(head, |table, run| {
            let outcome = run.outcome.map_or(run.phase.name().to_owned(), |outcome| outcome.to_string());
            let certificate = run.certificate.as_deref().unwrap_or("-");
            let reason = run.reason.as_deref().unwrap_or("-");
            table.row([&at(run.started), run.guid.as_str(), &run.new_guid, &outcome, certificate, reason])
        })
    })
}
