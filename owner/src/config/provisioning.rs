//! Settings of TO0, of the CA and of what devices get in TO2.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How devices are registered at their rendezvous.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrationSettings {
    /// How many days a rendezvous is asked to keep a registration, 1 to 30.
    pub days: u32,
    /// How many rendezvous are spoken to at a time.
    pub parallel: usize,
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        Self { days: 7, parallel: 16 }
    }
}

impl RegistrationSettings {
    /// What TO0 asks for, in seconds.
    pub fn wait_seconds(&self) -> u32 {
        self.days.clamp(1, 30) * 86_400
    }
}

/// The owner's certificate authority.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaSettings {
    /// What the names of root and issuing CA begin with; it counts on the first start only.
    pub name: String,
    /// The organization in certificates.
    pub organization: Option<String>,
    /// Life of an LDevID in days, at most 366.
    pub validity_days: u64,
    /// Whether a device may have an LDevID for an RSA key.
    pub rsa_device_keys: bool,
    /// Whether devices that ask for it get a key that is made here, instead of making their own.
    pub server_key_generation: bool,
    /// Into how many lists the revoked certificates of a CA are divided, 1 to 256; it counts for new certificates.
    pub crl_shards: u16,
}

impl Default for CaSettings {
    fn default() -> Self {
        Self {
            name: "Firstlight owner".to_owned(),
            organization: None,
            validity_days: 90,
            rsa_device_keys: false,
            server_key_generation: false,
            crl_shards: 256,
        }
    }
}

/// TO2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnboardingSettings {
    /// Devices keep their GUID, key and HMAC: for demonstrations, since whoever sold a device can still name it.
    pub credential_reuse: bool,
    /// The largest service info that is taken from a device in one message, in bytes.
    pub max_service_info_size: u16,
    /// A device without `fdo.wifi` that has networks to get ends as failed.
    pub wifi_required: bool,
    /// A device without `fdo.csr` ends as failed, instead of onboarded without a certificate.
    pub csr_required: bool,
}

impl Default for OnboardingSettings {
    fn default() -> Self {
        Self {
            credential_reuse: false,
            max_service_info_size: 16 * 1024,
            wifi_required: false,
            csr_required: false,
        }
    }
}

/// Files that plans name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSettings {
    /// Where their content lies: `files` in the data directory if absent. Replicas share it.
    pub directory: Option<PathBuf>,
    /// The most bytes of one file.
    pub file_bytes: u64,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { directory: None, file_bytes: 16 << 30 }
    }
}

impl FileSettings {
    /// Where their content lies.
    pub fn folder(&self, data_dir: &Path) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| data_dir.join("files"))
    }
}

/// Files that devices send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UploadSettings {
    /// Where they lie: `uploads` in the data directory if absent. Replicas share it.
    pub directory: Option<PathBuf>,
    /// The most bytes of one file, of all files of a device, and of all.
    pub file_bytes: u64,
    pub device_bytes: u64,
    pub total_bytes: u64,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self { directory: None, file_bytes: 1 << 30, device_bytes: 4 << 30, total_bytes: 64 << 30 }
    }
}

impl UploadSettings {
    /// Where they lie.
    pub fn folder(&self, data_dir: &Path) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| data_dir.join("uploads"))
    }
}

/// A file for each device that no plan is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownloadSetting {
    /// Its name on the device.
    pub name: String,
    /// Where it lies here; it is hashed again when it has changed.
    pub file: PathBuf,
    /// A device that does not take it ends as failed.
    #[serde(default)]
    pub required: bool,
}

/// A command for each device that no plan is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSetting {
    /// The program.
    pub command: String,
    #[serde(default)]
    pub args: Vec<String>,
    /// A device that does not run it, or in which it fails, ends as failed.
    #[serde(default)]
    pub required: bool,
}
