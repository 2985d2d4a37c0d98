//! Which steps a device gets and with what in them: worked out once, for a TO2 and for a dry run alike.

use std::path::PathBuf;

use fdo_protocol::Guid;
use fdo_protocol::service_info::wifi::{AuthType, Network, Secret, TrustLevel};

use super::{Error, Source};
use crate::app::App;
use crate::config::Config;
use crate::files::{self, Described};
use crate::inventory::{self, Device};
use crate::networks::{self, Auth, DeviceNetwork, DeviceScope};
use crate::plans::{self, CommandStep, CsrStep, DownloadStep, Step, Subject, WifiStep};

/// Where the steps come from.
pub enum Origin {
    /// A plan of the database, and those for the device that are wider.
    Plan { id: String, outranked: Vec<String> },
    /// No plan is for the device: what the configuration says.
    Configuration,
}

impl Origin {
    /// The plan's id, or `configuration`.
    pub fn name(&self) -> &str {
        match self {
            Self::Plan { id, .. } => id,
            Self::Configuration => "configuration",
        }
    }
}

/// What a device gets.
pub struct Outline {
    pub origin: Origin,
    pub steps: Vec<Outlined>,
}

/// A step, and what is in it for this device.
pub struct Outlined {
    pub step: Step,
    pub content: Content,
}

/// What a step carries.
pub enum Content {
    /// All is in the step itself.
    Plain,
    Networks(Vec<Network>),
    File(Described, Source),
    /// The step is not sent, and why.
    Skipped(String),
    /// The step is sent and fails, and why.
    Missing(String),
}

/// What is known of a device that plans could name it by.
pub async fn subject(app: &App, device: &Device) -> Result<Subject, Error> {
    let guids = inventory::guids_of(&app.reader, &device.id).await?;
    Ok(Subject {
        id: Some(device.id.clone()),
        serial: device.serial.clone(),
        guids: guids.into_iter().map(|(guid, _)| guid).collect(),
        model: Some(device.model.clone().unwrap_or_else(|| device.device_info.clone())),
    })
}

/// What this device gets.
pub async fn outline(app: &App, subject: &Subject) -> Result<Outline, Error> {
    let (origin, steps) = match plans::for_device(&app.reader, &app.sealing, subject).await? {
        Some(chosen) => {
            let id = chosen.plan.scope.to_string();
            (Origin::Plan { id, outranked: chosen.outranked }, chosen.plan.steps)
        }
        None => (Origin::Configuration, configured(&app.settings)),
    };
    let mut outlined = Vec::with_capacity(steps.len());
    for step in steps {
        let content = match &step {
            Step::Wifi(wifi) => networks_for(app, subject, wifi).await?,
            Step::Download(download) => file(app, &download.file, download.path.as_ref()).await?,
            Step::Payload(payload) => file(app, &payload.file, None).await?,
            Step::Csr(_) | Step::Command(_) | Step::Upload(_) | Step::Wget(_) | Step::Conformance(_) => {
                Content::Plain
            }
        };
        outlined.push(Outlined { step, content });
    }
    Ok(Outline { origin, steps: outlined })
}

/// The configuration's plan, for devices that no plan of the database is for.
fn configured(settings: &Config) -> Vec<Step> {
    let onboarding = &settings.onboarding;
    let mut steps = vec![
        Step::Wifi(WifiStep { required: onboarding.wifi_required, ..WifiStep::default() }),
        Step::Csr(CsrStep { required: onboarding.csr_required }),
    ];
    steps.extend(settings.downloads.iter().map(|download| {
        Step::Download(DownloadStep {
            file: download.file.display().to_string(),
            name: download.name.clone(),
            required: download.required,
            path: Some(download.file.clone()),
        })
    }));
    steps.extend(settings.commands.iter().map(|command| {
        Step::Command(CommandStep {
            command: command.command.clone(),
            args: command.args.clone(),
            required: command.required,
            may_fail: None,
            output: false,
            timeout: None,
        })
    }));
    steps
}

async fn networks_for(app: &App, subject: &Subject, step: &WifiStep) -> Result<Content, Error> {
    if !step.enabled {
        return Ok(Content::Skipped("the plan switches networks off".to_owned()));
    }
    let nobody = Guid::from_bytes([0; 16]);
    let scope = DeviceScope {
        id: subject.id.as_deref().unwrap_or_default(),
        guid: subject.guids.first().unwrap_or(&nobody),
        serial: subject.serial.as_deref(),
        model: subject.model.as_deref(),
    };
    let named =
        |network: &DeviceNetwork| step.networks.as_ref().is_none_or(|ids| ids.contains(&network.network_id));
    let assigned = networks::for_device(&app.reader, &app.sealing, &scope).await?;
    let usable: Vec<Network> = assigned.iter().filter(|network| named(network)).filter_map(network).collect();
    Ok(match usable.is_empty() {
        true => Content::Skipped("no network is for this device".to_owned()),
        false => Content::Networks(usable),
    })
}

fn network(assigned: &DeviceNetwork) -> Option<Network> {
    let auth = match assigned.auth {
        Auth::Open => AuthType::Open,
        Auth::Wpa2Psk => AuthType::Wpa2Psk,
        Auth::Wpa3Psk => AuthType::Wpa3Psk,
    };
    let ssid = assigned.ssid.as_bytes();
    let secret = assigned.secret.as_deref().map(Vec::as_slice);
    let mut network = Network::with_password(&assigned.network_id, ssid, auth, secret.unwrap_or_default());
    network.password = secret.map(Secret::new);
    network.trust = TrustLevel::from_number(assigned.trust_level.into()).unwrap_or(TrustLevel::FullAccess);
    if network.check().is_err() {
        tracing::warn!(network = %assigned.network_id, "a network breaks a rule of fdo.wifi and is not sent");
        return None;
    }
    Some(network)
}

/// A file of the configuration by its path, or one that was added by its name.
async fn file(app: &App, name: &str, path: Option<&PathBuf>) -> Result<Content, Error> {
    if let Some(path) = path {
        return Ok(match app.files.describe(path).await {
            Ok(described) => Content::File(described, Source::Path(path.display().to_string())),
            Err(error) => missing(name, &error.to_string()),
        });
    }
    let Some(file) = files::find(&app.reader, name).await? else {
        return Ok(missing(name, "it was removed"));
    };
    // Known by its row, it may yet be gone from a disk, or have been added at a replica with another one.
    let content = app.folder.path(&file.content);
    Ok(match tokio::fs::metadata(&content).await {
        Ok(found) if found.len() == file.length => Content::File(file.described(), Source::Stored(file.content)),
        Ok(_) => missing(name, "its content has another length than when it was added"),
        Err(error) => missing(name, &error.to_string()),
    })
}

fn missing(name: &str, why: &str) -> Content {
    tracing::error!(file = name, why, "a file of a plan cannot be read");
    Content::Missing(format!("the file {name} cannot be read here: {why}"))
}
