//! `fdo-owner plan list|show|set|delete|preview`: what devices get. A plan is written in TOML or JSON of one shape.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::{Error, at, escaped, read_file};
use crate::plans::routes::{PlanFile, PlanView};
use crate::serviceinfo::Preview;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All plans.
    List,
    /// One plan: `all`, `model:NAME` or `device:SERIAL`.
    Show {
        #[arg(value_name = "PLAN")]
        id: String,
    },
    /// Write the plan of a file, in the place of the one for the same devices.
    Set {
        /// TOML, or JSON where the name ends in `.json`
        file: PathBuf,
    },
    /// Take a plan away; its devices get the next wider one.
    Delete {
        #[arg(value_name = "PLAN")]
        id: String,
    },
    /// What a device would get if it came now, and why. Nothing is changed.
    Preview {
        #[arg(value_name = "SERIAL OR GUID", required_unless_present = "model", conflicts_with = "model")]
        device: Option<String>,
        /// Any device of this model
        #[arg(long)]
        model: Option<String>,
    },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List => {
            let all: Vec<PlanView> = api.pages("/api/v1/plans").await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Show { id } => {
            let plan: PlanView = api.get(&format!("/api/v1/plans/{}", escaped(id))).await?;
            if output.json {
                return Ok(output.value(&plan)?);
            }
            Ok(output.bytes(file_of(&plan)?.as_bytes())?)
        }
        Command::Set { file } => {
            let plan = read(file)?;
            let id = plan.scope().map_err(|error| Error::PlanFile(file.clone(), error.to_string()))?.to_string();
            let written: PlanView = api.put(&format!("/api/v1/plans/{}", escaped(&id)), &plan).await?;
            Ok(output.print(&written, |written| table(std::slice::from_ref(written)))?)
        }
        Command::Delete { id } => {
            api.delete(&format!("/api/v1/plans/{}", escaped(id))).await?;
            Ok(output.line(format!("plan {id} is deleted"))?)
        }
        Command::Preview { device, model } => {
            let query = match (device, model) {
                (Some(device), _) => format!("device={}", escaped(device)),
                (_, Some(model)) => format!("model={}", escaped(model)),
                _ => return Err(Error::Usage("name a device, or --model")),
            };
            let preview: Preview = api.get(&format!("/api/v1/plans/preview?{query}")).await?;
            output.line(format!("plan {}: {}", preview.plan, preview.why))?;
            if !preview.outranked.is_empty() {
                output.line(format!("not counted: {}", preview.outranked.join(", ")))?;
            }
            Ok(output.print(&preview, steps)?)
        }
    }
}

fn read(path: &Path) -> Result<PlanFile, Error> {
    let wrong = |problem: String| Error::PlanFile(path.to_owned(), problem);
    let text = String::from_utf8(read_file(path)?).map_err(|error| wrong(error.to_string()))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        return serde_json::from_str(&text).map_err(|error| wrong(error.to_string()));
    }
    toml::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// The file that would write the plan again.
fn file_of(plan: &PlanView) -> Result<String, CliError> {
    let wrong = |error: &dyn std::fmt::Display| CliError::Answer(error.to_string());
    let value = serde_json::to_value(plan).map_err(|error| wrong(&error))?;
    let file: PlanFile = serde_json::from_value(value).map_err(|error| wrong(&error))?;
    toml::to_string(&file).map_err(|error| wrong(&error))
}

fn table(plans: &[PlanView]) -> Table {
    let head = Table::new(&["PLAN", "STEPS", "UPDATED", "DESCRIPTION"]);
    plans.iter().fold(head, |table, plan| {
        let steps: Vec<&str> = plan.steps.iter().map(crate::plans::Step::module).collect();
        let description = plan.description.as_deref().unwrap_or("-");
        table.row([plan.id.as_str(), &steps.join(" "), &at(plan.updated), description])
    })
}

fn steps(preview: &Preview) -> Table {
    let head = Table::new(&["STEP", "MODULE", "REQUIRED", "SENT", "WHAT", "BYTES", "NOTE"]);
    let yes = |flag| if flag { "yes" } else { "no" };
    preview.steps.iter().fold(head, |table, step| {
        let what = match step.networks.is_empty() {
            true => step.what.clone(),
            false => format!("networks {}", step.networks.join(", ")),
        };
        let length = step.length.map_or("-".to_owned(), |length| length.to_string());
        let note = step.note.as_deref().unwrap_or("-");
        let number = step.number.to_string();
        table.row([&number, step.module.as_str(), yes(step.required), yes(step.sent), &what, &length, note])
    })
}
