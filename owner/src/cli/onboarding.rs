//! `fdo-owner onboarding list`: what became of each TO2, and how far those that run have come.

use clap::{Args, Subcommand};
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::{at, escaped};
use crate::onboarding::routes::OnboardingView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The onboardings, the newest first.
    List(Onboardings),
}

#[derive(Debug, Args)]
pub(super) struct Onboardings {
    /// Only those of this GUID, before or after.
    #[arg(long)]
    guid: Option<String>,
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), CliError> {
    let Command::List(which) = command;
    let query = which.guid.as_ref().map(|guid| format!("?guid={}", escaped(guid))).unwrap_or_default();
    let runs: Vec<OnboardingView> = api.pages(&format!("/api/v1/onboardings{query}")).await?;
    output.print(&runs, |runs| {
        let head =
            Table::new(&["STARTED", "GUID", "NEW GUID", "PLAN", "OUTCOME", "FILES", "CERTIFICATE", "REASON"]);
        runs.iter().fold(head, |table, run| {
            let outcome = run.outcome.map_or(run.phase.name().to_owned(), |outcome| outcome.to_string());
            let certificate = run.certificate.as_deref().unwrap_or("-");
            let reason = run.reason.as_deref().unwrap_or("-");
            let plan = run.facts.plan.as_deref().unwrap_or("-");
            table.row([
                &at(run.started),
                run.guid.as_str(),
                &run.new_guid,
                plan,
                &outcome,
                &files(run),
                certificate,
                reason,
            ])
        })
    })
}

/// The file on its way, else how many have gone.
fn files(run: &OnboardingView) -> String {
    match run.transfers.iter().rfind(|transfer| !transfer.is_whole()) {
        Some(transfer) => transfer.to_string(),
        None if run.transfers.is_empty() => "-".to_owned(),
        None => format!("{} whole", run.transfers.len()),
    }
}
