//! What a device gets in TO2, as data: which modules in which order, which of them it must have, and what came of it.
//!
//! The plan is the same for all devices: its networks, a certificate, then the files and commands of the configuration.

mod facts;
mod files;

use fdo_protocol::cbor_array;
use fdo_protocol::service_info::owner::{Command, Conversation, Csr, Download, ModuleOutcome, OwnerModule, Wifi};
use fdo_protocol::service_info::wifi::{AuthType, Layout, Network, Secret, TrustLevel};
use fdo_protocol::service_info::{TurnLimits, csr};

pub use facts::{DeviceFacts, ModuleFacts, shown};
pub use files::Files;

use crate::config::Config;
use crate::networks::{Auth, DeviceNetwork};

pub use fdo_protocol::service_info::owner::{Need, Provision};

/// A plan while one device is served.
pub struct Provisioning {
    /// The exchange of 68 and 69.
    pub conversation: Conversation,
    /// For each module, whether a device without it fails.
    required: Vec<bool>,
    networks: Vec<String>,
    /// Serials of the certificates that were issued on the way.
    pub certificates: Vec<String>,
    /// Until when those are kept unconfirmed, and the TO2 counts as running.
    pub pending_until: u64,
}
cbor_array!(Provisioning { conversation, required, networks, certificates, pending_until });

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With all that was planned and a certificate.
    Onboarded,
    /// Without a certificate, which was optional.
    OnboardedWithoutCertificate(String),
    /// Without something that is required.
    Failed(String),
}

/// The plan for a device that takes service info of the size that it announced in 66.
pub async fn plan(
    settings: &Config,
    files: &Files,
    announced: Option<u16>,
    networks: &[DeviceNetwork],
) -> Provisioning {
    let mut steps: Vec<(OwnerModule, bool)> = Vec::new();
    let usable: Vec<Network> = networks.iter().filter_map(network).collect();
    if !usable.is_empty() {
        let module = Wifi::new(&usable, Layout::default());
        steps.push((OwnerModule::Wifi(module), settings.onboarding.wifi_required));
    }
    steps.push((OwnerModule::Csr(Csr::new()), settings.onboarding.csr_required));
    for download in &settings.downloads {
        match files.describe(&download.file).await {
            Ok(file) => {
                let module = Download::new(download.name.clone(), file.length, file.sha384);
                steps.push((OwnerModule::Download(module), download.required));
            }
            // Announced with a length that cannot be read, it fails in its turn with the reason that counts.
            Err(error) => {
                tracing::error!(file = %download.file.display(), %error, "a file of [[downloads]] cannot be read");
                let module = Download::new(download.name.clone(), 1, [0; 48]);
                steps.push((OwnerModule::Download(module), download.required));
            }
        }
    }
    for command in &settings.commands {
        let module = Command::new(command.command.clone(), command.args.clone(), !command.required, false);
        steps.push((OwnerModule::Command(module), command.required));
    }
    let required = steps.iter().map(|(_, required)| *required).collect();
    let modules = steps.into_iter().map(|(module, _)| module).collect();
    Provisioning {
        conversation: Conversation::new(announced, modules, TurnLimits::default()),
        required,
        networks: usable.into_iter().map(|network| network.id).collect(),
        certificates: Vec::new(),
        pending_until: 0,
    }
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

impl Provisioning {
    /// What came of it once the conversation is done.
    pub fn verdict(&self) -> Verdict {
        let mut without = None;
        for (module, required) in self.conversation.modules().zip(&self.required) {
            let outcome = match module.outcome() {
                Some(ModuleOutcome::Done) => continue,
                Some(outcome) => outcome.to_string(),
                None => "it did not end".to_owned(),
            };
            if *required {
                return Verdict::Failed(format!("{} is required: {outcome}", module.name()));
            }
            if module.name() == csr::MODULE {
                without = Some(format!("{}: {outcome}", csr::MODULE));
            }
        }
        match without {
            Some(why) => Verdict::OnboardedWithoutCertificate(why),
            None => Verdict::Onboarded,
        }
    }

    /// What the device said of itself and what it got.
    pub fn facts(&self) -> DeviceFacts {
        DeviceFacts::of(&self.conversation, &self.networks)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests.rs"]
mod tests;
