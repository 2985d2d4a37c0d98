//! `fdo-owner admission list|add|remove|test|group`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use fdo_service::cli::{ApiClient, Output, Table};
use serde_json::Value;

use super::Error;
use crate::admission::routes::{AdmissionView, GroupMembers, NewRule, Trial, TrialView};
use crate::admission::{Criteria, Deed, Effect, Rule};
use crate::inventory::DeviceState;

const PATH: &str = "/api/v1/admission";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The rules in the order in which they are looked at, and what counts where none fits.
    List,
    /// Add a rule; all that is given must hold for it to fit a device.
    Add(Add),
    /// Remove a rule.
    Remove { id: String },
    /// What rules and webhook would say of a device.
    Test {
        /// Its serial or GUID.
        device: String,
        /// What it wants.
        #[arg(long = "for", value_name = "DEED", default_value = "onboard")]
        deed: What,
    },
    /// Make a group of serials that rules can name, or replace it; without serials, show it.
    Group {
        name: String,
        serials: Vec<String>,
        /// A file with a serial on each line.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Remove the group.
        #[arg(long)]
        remove: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum What {
    Onboard,
    Enrol,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Says {
    Allow,
    Deny,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// A name of your choice.
    id: String,
    /// What it says of the devices that it fits.
    says: Says,
    /// What it is about; both if absent.
    #[arg(long = "for", value_name = "DEED")]
    deed: Option<What>,
    /// Where it stands; after all others if absent.
    #[arg(long, value_name = "NUMBER")]
    position: Option<u32>,
    /// The fingerprint of the key that vouchers begin with.
    #[arg(long, value_name = "FINGERPRINT")]
    maker_key: Option<String>,
    #[arg(long, value_name = "TEXT")]
    serial_prefix: Option<String>,
    /// The first serial of a range, of the same length as the last.
    #[arg(long, value_name = "SERIAL", requires = "serial_to")]
    serial_from: Option<String>,
    #[arg(long, value_name = "SERIAL", requires = "serial_from")]
    serial_to: Option<String>,
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// A group of serials.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// imported, registered, started, onboarded or failed.
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<DeviceState>,
}

fn state(text: &str) -> Result<DeviceState, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| "there is no such state".to_owned())
}

impl From<What> for Deed {
    fn from(what: What) -> Self {
        match what {
            What::Onboard => Self::Onboard,
            What::Enrol => Self::Enrol,
        }
    }
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List => {
            let view: AdmissionView = api.get(PATH).await?;
            output.print(&view, rules)?;
        }
        Command::Add(add) => {
            let _: Rule = api.post(&format!("{PATH}/rules"), &add.rule()).await?;
            let view: AdmissionView = api.get(PATH).await?;
            output.print(&view, rules)?;
        }
        Command::Remove { id } => {
            api.delete(&format!("{PATH}/rules/{}", super::escaped(id))).await?;
            output.line(format!("{id} is removed"))?;
        }
        Command::Test { device, deed } => {
            let trial = Trial { device: device.clone(), deed: (*deed).into() };
            let said: TrialView = api.post(&format!("{PATH}/test"), &trial).await?;
            output.print(&said, |said| {
                let admitted = if said.admitted { "yes" } else { "no" };
                Table::new(&["ADMITTED", "BY"]).row([admitted, &said.by])
            })?;
        }
        Command::Group { name, serials, file, remove } => {
            group(name, serials, file.as_deref(), *remove, api, output).await?;
        }
    }
    Ok(())
}

async fn group(
    name: &str,
    serials: &[String],
    file: Option<&std::path::Path>,
    remove: bool,
    api: &ApiClient,
    output: Output,
) -> Result<(), Error> {
    let path = format!("{PATH}/groups/{}", super::escaped(name));
    if remove {
        api.delete(&path).await?;
        return Ok(output.line(format!("{name} is removed"))?);
    }
    let mut serials = serials.to_vec();
    if let Some(file) = file {
        let text = String::from_utf8_lossy(&super::read_file(file)?).into_owned();
        serials.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned));
    }
    let members: GroupMembers = match serials.is_empty() {
        true => api.get(&path).await?,
        false => api.put(&path, &GroupMembers { serials }).await?,
    };
    Ok(output.print(&members, |members| {
        members.serials.iter().fold(Table::new(&["SERIAL"]), |table, serial| table.row([serial.as_str()]))
    })?)
}

impl Add {
    fn rule(&self) -> NewRule {
        NewRule {
            id: self.id.clone(),
            position: self.position,
            effect: match self.says {
                Says::Allow => Effect::Allow,
                Says::Deny => Effect::Deny,
            },
            deed: self.deed.map(Deed::from),
            criteria: Criteria {
                maker_key: self.maker_key.clone(),
                serial_prefix: self.serial_prefix.clone(),
                serial_from: self.serial_from.clone(),
                serial_to: self.serial_to.clone(),
                model: self.model.clone(),
                group: self.group.clone(),
                state: self.state,
            },
        }
    }
}

fn rules(view: &AdmissionView) -> Table {
    let head = Table::new(&["POSITION", "RULE", "SAYS", "FOR", "OF"]);
    let table = view.rules.iter().fold(head, |table, rule| {
        let deed = rule.deed.map_or("both", Deed::name);
        table.row([&rule.position.to_string(), &rule.id, rule.effect.name(), deed, &fits(&rule.criteria)])
    });
    let otherwise = match view.default {
        crate::config::Otherwise::Allow => "allow",
        crate::config::Otherwise::Deny => "deny",
    };
    let table = table.row(["", "(no rule fits)", otherwise, "both", "all others"]);
    if view.webhook { table.row(["", "(webhook)", "decides", "both", "all that are let in above"]) } else { table }
}

fn fits(criteria: &Criteria) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, value: Option<&str>| parts.extend(value.map(|value| format!("{name} {value}")));
    part("maker key", criteria.maker_key.as_deref());
    part("serials from", criteria.serial_prefix.as_deref());
    let range = criteria.serial_from.as_ref().zip(criteria.serial_to.as_ref());
    part("serials", range.map(|(from, to)| format!("{from} to {to}")).as_deref());
    part("model", criteria.model.as_deref());
    part("group", criteria.group.as_deref());
    part("state", criteria.state.map(DeviceState::name));
    if parts.is_empty() { "every device".to_owned() } else { parts.join(", ") }
}
