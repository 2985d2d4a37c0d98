//! The steps of a plan: a module each, with its parameters, as they stand in files, in the API and, sealed, in the
//! database.

use std::path::PathBuf;

use fdo_protocol::service_info::{command, conformance, csr, download, payload, upload, wget, wifi};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

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
    #[serde(rename = "fdo.upload")]
    Upload(UploadStep),
    #[serde(rename = "fdo.wget")]
    Wget(WgetStep),
    #[serde(rename = "fdo.payload")]
    Payload(PayloadStep),
    #[serde(rename = "fido_alliance")]
    Conformance(ConformanceStep),
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
    /// Seconds after which it is told to end, and soon after ended; the device's own limit without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// A file of the device's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadStep {
    /// Its name on the device.
    pub name: String,
    /// The most bytes that are taken; `uploads.file_bytes` of the configuration without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Whether a file without its hash is refused.
    #[serde(default = "yes")]
    pub need_sha: bool,
    #[serde(default)]
    pub required: bool,
}

/// A file that the device fetches.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WgetStep {
    pub url: String,
    /// Its name on the device; the last part of the URL without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In hexadecimal. Without it the device has only TLS to go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha384: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    #[serde(default)]
    pub required: bool,
}

/// Content that the device applies by its MIME type.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadStep {
    /// Its name here.
    pub file: String,
    pub mime: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How long the device may need to apply it, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Whether the device is asked before the content is sent.
    #[serde(default = "yes")]
    pub ack: bool,
    #[serde(default)]
    pub required: bool,
}

/// The token by which a device reports to the event logger of an interoperability event.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConformanceStep {
    /// Written and never shown; where it is left out, the plan keeps the one that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// Something that is written and never shown; wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl WgetStep {
    /// The hash, if it is one.
    pub fn digest(&self) -> Option<[u8; 48]> {
        let mut digest = [0; 48];
        hex::decode_to_slice(self.sha384.as_ref()?, &mut digest).ok().map(|()| digest)
    }

    /// The URL without what may be a secret in it.
    fn place(&self) -> String {
        match reqwest::Url::parse(&self.url) {
            Ok(url) => format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()),
            Err(_) => "a URL".to_owned(),
        }
    }
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
            Self::Upload(_) => upload::MODULE,
            Self::Wget(_) => wget::MODULE,
            Self::Payload(_) => payload::MODULE,
            Self::Conformance(_) => conformance::MODULE,
        }
    }

    /// Whether a device without it fails.
    pub fn is_required(&self) -> bool {
        match self {
            Self::Wifi(step) => step.required,
            Self::Csr(step) => step.required,
            Self::Download(step) => step.required,
            Self::Command(step) => step.required,
            Self::Upload(step) => step.required,
            Self::Wget(step) => step.required,
            Self::Payload(step) => step.required,
            Self::Conformance(step) => step.required,
        }
    }

    /// The file here that it needs.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Download(step) => Some(&step.file),
            Self::Payload(step) => Some(&step.file),
            _ => None,
        }
    }

    /// The same to be shown.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Self::Conformance(step) = &mut self {
            step.token = None;
        }
        self
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
            Self::Upload(step) => step.name.clone(),
            Self::Wget(step) => match &step.name {
                Some(name) => format!("{} to {name}", step.place()),
                None => step.place(),
            },
            Self::Payload(step) => format!("{} as {}", step.file, step.mime),
            Self::Conformance(_) => "token of the event logger".to_owned(),
        }
    }
}
