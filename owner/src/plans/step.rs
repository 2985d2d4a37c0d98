//! The steps of a plan: a module each, with its parameters, as they stand in files, in the API and, sealed, in the
//! database.

use std::collections::HashSet;
use std::path::PathBuf;

use fdo_protocol::service_info::{command, csr, download, wifi};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::files;

/// How many steps a plan may have.
const MAX_STEPS: usize = 100;

/// One module that a device is led through.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "module")]
pub enum Step {
    #[serde(rename = "fdo.wifi")]
    Wifi(WifiStep),
    #[serde(rename = "fdo.csr")]
    Csr(CsrStep),
    #[serde(rename = "fdo.download")]
    Download(DownloadStep),
    #[serde(rename = "fdo.command")]
    Command(CommandStep),
}

/// Its Wi-Fi networks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WifiStep {
    /// A device that does not take them ends as failed.
    pub required: bool,
    /// Whether networks are sent at all.
    pub enabled: bool,
    /// Which layout is written.
    pub layout: WifiLayout,
    /// Only those of these ids; without it, all whose scope takes the device in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
}

impl Default for WifiStep {
    fn default() -> Self {
        Self { required: false, enabled: true, layout: WifiLayout::default(), networks: None }
    }
}

/// The layouts of `network-add`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WifiLayout {
    /// What Go programs read.
    #[default]
    Go,
    /// The draft's table.
    Schema,
}

/// An LDevID.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsrStep {
    /// A device that does not get one ends as failed.
    pub required: bool,
}

/// A file for the device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownloadStep {
    /// Its name here.
    pub file: String,
    /// Its name on the device.
    pub name: String,
    #[serde(default)]
    pub required: bool,
    /// Where it lies, for a file of the configuration.
    #[serde(skip)]
    pub path: Option<PathBuf>,
}

/// A program to run on the device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandStep {
    pub command: String,
    #[serde(default)]
    pub args: Vec<String>,
    /// A device that does not run it, or in which it fails, ends as failed.
    #[serde(default)]
    pub required: bool,
    /// Whether another exit code than 0 counts as done; by default where it is not required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_fail: Option<bool>,
    /// Whether its output is sent here, and shown with the onboarding.
    #[serde(default)]
    pub output: bool,
}

impl CommandStep {
    /// Whether another exit code than 0 counts as done.
    pub fn may_fail(&self) -> bool {
        self.may_fail.unwrap_or(!self.required)
    }
}

impl Step {
    /// The module's name.
    pub fn module(&self) -> &'static str {
        match self {
            Self::Wifi(_) => wifi::MODULE,
            Self::Csr(_) => csr::MODULE,
            Self::Download(_) => download::MODULE,
            Self::Command(_) => command::MODULE,
        }
    }

    /// Whether a device without it fails.
    pub fn is_required(&self) -> bool {
        match self {
            Self::Wifi(step) => step.required,
            Self::Csr(step) => step.required,
            Self::Download(step) => step.required,
            Self::Command(step) => step.required,
        }
    }

    /// The file here that it needs.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Download(step) => Some(&step.file),
            Self::Wifi(_) | Self::Csr(_) | Self::Command(_) => None,
        }
    }

    /// What it does, for people; it holds no secret.
    pub fn describe(&self) -> String {
        match self {
            Self::Wifi(step) if !step.enabled => "networks, switched off".to_owned(),
            Self::Wifi(step) => match &step.networks {
                None => "networks".to_owned(),
                Some(ids) => format!("networks {}", ids.join(", ")),
            },
            Self::Csr(_) => "certificate".to_owned(),
            Self::Download(step) => format!("{} to {}", step.file, step.name),
            Self::Command(step) => match step.args.len() {
                0 => step.command.clone(),
                arguments => format!("{} with {arguments} arguments", step.command),
            },
        }
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        match self {
            Self::Wifi(step) => match &step.networks {
                Some(ids) if ids.is_empty() || ids.len() > 64 => {
                    Err(("networks", "name 1 to 64 networks, or leave it out for all".to_owned()))
                }
                _ => Ok(()),
            },
            Self::Csr(_) => Ok(()),
            Self::Download(step) => {
                files::check_name(&step.file).map_err(|error| ("file", error.to_string()))?;
                target("name", &step.name, download::MAX_NAME)
            }
            Self::Command(step) => {
                text("command", &step.command, command::MAX_TEXT)?;
                if step.args.len() > command::MAX_ARGUMENTS {
                    return Err(("args", format!("use at most {} arguments", command::MAX_ARGUMENTS)));
                }
                if step.args.iter().any(|argument| argument.len() > command::MAX_TEXT || argument.contains('\0')) {
                    return Err((
                        "args",
                        format!("an argument has at most {} bytes, none of them 0", command::MAX_TEXT),
                    ));
                }
                Ok(())
            }
        }
    }
}

fn text(field: &'static str, text: &str, most: usize) -> Result<(), (&'static str, String)> {
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err((field, format!("use 1 to {most} bytes without control characters")));
    }
    Ok(())
}

/// A file's name on a device.
fn target(field: &'static str, name: &str, most: usize) -> Result<(), (&'static str, String)> {
    text(field, name, most)?;
    if name.ends_with('/') || name.split('/').any(|part| part == "..") {
        return Err((field, "name a file, without `..`".to_owned()));
    }
    Ok(())
}

/// Checks the steps of a plan, each for itself and all together.
pub fn check(steps: &[Step]) -> Result<(), Error> {
    if steps.len() > MAX_STEPS {
        return Err(Error::Field("steps", format!("a plan has at most {MAX_STEPS} steps")));
    }
    let mut once = HashSet::new();
    for (index, step) in steps.iter().enumerate() {
        let wrong = |field, problem| Error::Step { number: index + 1, module: step.module(), field, problem };
        step.check().map_err(|(field, problem)| wrong(field, problem))?;
        let unique = match step {
            Step::Wifi(_) | Step::Csr(_) => Some(("module", String::new())),
            Step::Download(step) => Some(("name", step.name.clone())),
            Step::Command(_) => None,
        };
        if let Some((field, value)) = unique
            && !once.insert((step.module(), value))
        {
            return Err(wrong(field, "an earlier step has it already".to_owned()));
        }
    }
    Ok(())
}
