//! `fdo.wifi` on the device: networks are collected while the owner speaks, and become files when TO2 has ended
//! (fsim-drafts, sections 2 and 9). Networks for onboarding only (trust level 0) are dropped then.

mod keyfile;
mod profile;
mod supplicant;
#[cfg(test)]
mod tests;

use fdo_protocol::Error;
use fdo_protocol::cbor::Writer;
use fdo_protocol::service_info::decode_active;
use fdo_protocol::service_info::wifi::WifiError;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Answers;
use crate::store::NamedFile;
use profile::{EapMethod, Network, Refusal, Security, invalid};

/// More networks than this are refused.
const MAX_NETWORKS: usize = 64;

/// Who reads the networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum WifiFormat {
    /// NetworkManager: a keyfile a network.
    #[default]
    #[serde(rename = "networkmanager")]
    #[value(name = "networkmanager")]
    NetworkManager,
    /// wpa_supplicant: one file with all networks.
    #[value(name = "wpa_supplicant")]
    WpaSupplicant,
    /// Nobody: the module is not offered.
    None,
}

/// What the configuration of this device says about networks.
#[derive(Debug, Clone, Default)]
pub struct WifiSettings {
    /// Who reads the networks.
    pub format: WifiFormat,
    /// The network interface, for NetworkManager; any if none.
    pub interface: Option<String>,
    /// Two letters of a country, for wpa_supplicant.
    pub country: Option<String>,
    /// What the authentication server's name must end in; PEAP and TTLS are refused without it.
    pub server_domain: Option<String>,
}

/// The files that an enterprise network names, as paths.
pub struct CertificateFiles {
    authorities: String,
    certificate: String,
    key: String,
    identity: String,
}

/// What the module needs to know of the device when it writes files.
pub struct WifiContext<'a> {
    /// The serial number.
    pub serial: &'a str,
    /// The state directory as a path.
    pub state: &'a str,
    /// Whether there is, or will be, an LDevID.
    pub has_ldevid: bool,
}

/// What TO2 brought.
#[derive(Default)]
pub struct WifiOutcome {
    /// The whole new set of files; none where no network was taken.
    pub files: Option<Vec<NamedFile>>,
    /// CA certificates that they name.
    pub authorities: Vec<NamedFile>,
    /// The networks that are kept, by name.
    pub kept: Vec<String>,
    /// Networks that could not be written.
    pub refused: Vec<String>,
}

/// The module's state.
pub struct Wifi {
    settings: WifiSettings,
    networks: Vec<Network>,
    refusal: Option<WifiError>,
    told: bool,
}

impl Wifi {
    /// The module's name.
    pub const NAME: &'static str = "fdo.wifi";

    /// The module, if the settings say who reads the networks.
    pub fn new(settings: &WifiSettings) -> Option<Self> {
        (settings.format != WifiFormat::None).then(|| Self {
            settings: settings.clone(),
            networks: Vec::new(),
            refusal: None,
            told: false,
        })
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for an `active` that is no boolean.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        match message {
            "active" => {
                if decode_active(item)? {
                    answers.say("active", &true);
                }
            }
            "network-add" => {
                if let Err(refusal) = self.add(item) {
                    let number = self.networks.len() + 1;
                    let why = refusal.detail.map_or_else(|| refusal.error.to_string(), str::to_owned);
                    answers.refuse(format!("Wi-Fi network {number}: {why}"));
                    self.refusal.get_or_insert(refusal.error);
                }
            }
            // Certificates come by fdo.csr; an owner that waits for a result must not wait for ever.
            "cert-end" | "ca-end" => {
                answers.refuse(format!("{}:{message}: certificates for Wi-Fi come by fdo.csr", Self::NAME));
                let mut result = Writer::default();
                result.array(2).unsigned(2).text("not supported, use fdo.csr");
                let name = if message == "ca-end" { "ca-result" } else { "cert-result" };
                answers.say_item(name, result.into_bytes());
            }
            _ => answers.ignored(message),
        }
        Ok(())
    }

    fn add(&mut self, item: &[u8]) -> Result<(), Refusal> {
        let network = Network::decode(item)?;
        if let Security::Enterprise(enterprise) = &network.security
            && enterprise.method != EapMethod::Tls
            && self.settings.server_domain.is_none()
        {
            return Err(invalid("PEAP and TTLS need `wifi_server_domain` in the configuration of this device"));
        }
        if self.networks.len() >= MAX_NETWORKS {
            return Err(invalid("more than 64 networks"));
        }
        if self.networks.iter().any(|known| known.file_id() == network.file_id()) {
            return Err(invalid("a second network of the same name"));
        }
        self.networks.push(network);
        Ok(())
    }

    /// The owner has finished its turn. It fails TO2 on an error, so only a set without any usable network is one.
    pub fn turn_ends(&mut self, answers: &mut Answers) {
        if let (true, false, Some(error)) = (self.networks.is_empty(), self.told, self.refusal) {
            self.told = true;
            answers.say("error", &error.number());
        }
    }

    /// The files to write once TO2 has ended.
    pub fn finish(&self, context: &WifiContext<'_>) -> WifiOutcome {
        let mut outcome = WifiOutcome::default();
        if self.networks.is_empty() {
            return outcome;
        }
        let mut files = Vec::new();
        let mut together = supplicant::head(&self.settings);
        for (network, priority) in
            self.networks.iter().filter(|network| network.keep).zip((1..=10).rev().chain(std::iter::repeat(1)))
        {
            let id = network.file_id();
            let paths = CertificateFiles {
                authorities: format!("{}/wifi-ca/fdo-{id}.pem", context.state),
                certificate: format!("{}/ldevid/ldevid.pem", context.state),
                key: format!("{}/ldevid/ldevid-key.pem", context.state),
                identity: context.serial.to_owned(),
            };
            if let Security::Enterprise(enterprise) = &network.security {
                if enterprise.method == EapMethod::Tls && !context.has_ldevid {
                    outcome.refused.push(format!("Wi-Fi network {id}: it needs an LDevID and there is none"));
                    continue;
                }
                match fdo_pki::pem::encode_certificates(&enterprise.authorities) {
                    Ok(pem) => outcome.authorities.push(NamedFile::text(format!("fdo-{id}.pem"), pem)),
                    Err(error) => {
                        outcome.refused.push(format!("Wi-Fi network {id}: {error}"));
                        continue;
                    }
                }
            }
            outcome.kept.push(network.id.clone());
            match self.settings.format {
                WifiFormat::NetworkManager => files.push(named(
                    keyfile::file_name(network),
                    &keyfile::render(network, priority, context.serial, &paths, &self.settings),
                )),
                WifiFormat::WpaSupplicant => {
                    supplicant::render(&mut together, network, priority, &paths, &self.settings);
                }
                WifiFormat::None => {}
            }
        }
        if self.settings.format == WifiFormat::WpaSupplicant && !outcome.kept.is_empty() {
            files.push(named(supplicant::FILE_NAME.to_owned(), &together));
        }
        outcome.files = Some(files);
        outcome
    }
}

fn named(name: String, content: &str) -> NamedFile {
    NamedFile { name, content: Zeroizing::new(content.as_bytes().to_vec()) }
}
