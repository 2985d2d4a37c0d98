//! The device's state: its identity (key and credential) or the draft of one, the end of a TO2 under way, its LDevID,
//! and its status.
//!
//! `identity` and `ldevid` are links to generations, so that what belongs together changes together. A new credential
//! is written before 70 is sent and the old one is kept until 71 was verified (FDO 1.1, device credential).

mod directory;
mod draft;
mod error;
mod lock;
mod pending;
mod renewal;
mod status;

use fdo_pki::Certificate;
use fdo_protocol::cbor::{self, Decode, Encode};
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::{DeviceCredential, Hash, HashType};
use zeroize::Zeroizing;

pub use directory::Directory;
pub(crate) use directory::sync_directory;
pub use draft::{Draft, DraftPurpose};
pub use error::StoreError;
pub use lock::Lock;
pub use pending::{NamedFile, Pending};
pub use renewal::{LdevidPair, RenewalDraft, RenewalStatus};
pub use status::{LdevidStatus, Status};

const IDENTITY: &str = "identity";
const KEY: &str = "identity/device-key.pem";
const CREDENTIAL: &str = "identity/credential.cbor";
const SERIAL: &str = "identity/serial.txt";
const PENDING: &str = "identity/pending.cbor";
const DRAFT: &str = "draft";
const STATUS: &str = "status.json";
const LDEVID: &str = "ldevid";
const WIFI_CA: &str = "wifi-ca";
/// Only files that begin so are ever replaced or removed in the directory of Wi-Fi networks.
pub const WIFI_PREFIX: &str = "fdo-";

/// The state of one device.
#[derive(Clone)]
pub struct Store {
    state: Directory,
    wifi: Option<Directory>,
}

impl Store {
    /// Opens the state, and finishes what a crash left unfinished. `wifi` is where networks are written, if anywhere.
    ///
    /// # Errors
    /// [`StoreError`] when the state cannot be read or finished.
    pub fn open(state: Directory, wifi: Option<Directory>) -> Result<Self, StoreError> {
        state.make_private().map_err(StoreError::file("."))?;
        let store = Self { state, wifi };
        match store.lock() {
            // Whoever is at work finishes it, or whoever comes next.
            Ok(_) | Err(StoreError::Busy) => Ok(store),
            Err(error) => Err(error),
        }
    }

    /// Keeps other agents out, and finishes what a crash left unfinished. To be held while the state changes.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another agent is at work; any other when the state cannot be read or finished.
    pub fn lock(&self) -> Result<Lock, StoreError> {
        let lock = Lock::take(self.state.path())?;
        if let Some(pending) = self.pending()?.filter(|pending| pending.confirmed) {
            tracing::info!("finishing the onboarding that was interrupted");
            self.carry_out(&pending)?;
        }
        self.finish_birth()?;
        Ok(lock)
    }

    /// Keeps other daemons out. Whoever does one thing and ends is not kept out.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another daemon is at work.
    pub fn daemon_lock(&self) -> Result<Lock, StoreError> {
        Lock::take_for_daemon(self.state.path())
    }

    /// Where the state is, for messages and for configuration files that point into it.
    pub fn directory(&self) -> &Directory {
        &self.state
    }

    /// Whether DI has ended here.
    pub fn is_initialised(&self) -> Result<bool, StoreError> {
        Ok(self.state.read(CREDENTIAL).map_err(StoreError::file(CREDENTIAL))?.is_some())
    }

    /// The secrets of an earlier DI of this purpose that did not finish. One that does not read is none: there is
    /// nothing left to save in it.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn draft(&self, purpose: &DraftPurpose) -> Result<Option<Draft>, StoreError> {
        Ok(self.read_draft(&draft_directory(purpose))?.filter(|draft| draft.purpose == *purpose))
    }

    /// Makes the secrets of a DI durable.
    ///
    /// # Errors
    /// [`StoreError`]; then 10 must not be sent.
    pub fn keep_draft(&self, draft: &Draft) -> Result<(), StoreError> {
        let content = draft.to_file().map_err(damaged(DRAFT))?;
        self.write(&draft_file(&draft_directory(&draft.purpose)), &content)
    }

    fn read_draft(&self, directory: &str) -> Result<Option<Draft>, StoreError> {
        let content = self.state.read(&draft_file(directory)).map_err(StoreError::file(DRAFT))?;
        let read = content.map(|content| cbor::decode::<Draft>(&content)).transpose();
        Ok(read.inspect_err(|error| tracing::warn!(%error, "an unfinished DI does not read")).unwrap_or_default())
    }

    /// A draft whose key is the identity's means that a crash came before the end of [`Store::initialise`].
    fn finish_birth(&self) -> Result<(), StoreError> {
        let names = self.state.names().map_err(StoreError::file("."))?;
        for name in names.iter().filter(|name| name.starts_with("draft-")) {
            let Some(draft) = self.read_draft(name)?.filter(|_| self.state.pointed(IDENTITY).is_some()) else {
                continue;
            };
            if self.device_key()?.verifying_key() != draft.key.verifying_key() {
                continue;
            }
            let credential = self.credential()?;
            if !credential.active {
                // It has an owner since then, and what is there is of that owner.
                return self.remove_generations(DRAFT, None);
            }
            tracing::info!("finishing the birth that was interrupted");
            let (serial, model) = (draft.purpose.serial, credential.device_info.clone());
            return self.forget_earlier(&Status { serial, model, ..Status::default() });
        }
        Ok(())
    }

    /// Keeps the outcome of DI as a new identity; an earlier one, its LDevID and all drafts are thrown away after that.
    ///
    /// # Errors
    /// [`StoreError`]; then the earlier identity still stands, or the next [`Store::open`] finishes the new one.
    pub fn initialise(
        &self,
        key: &SigningKey,
        credential: &DeviceCredential,
        status: &Status,
    ) -> Result<(), StoreError> {
        let pem = key.to_pkcs8_pem().map_err(damaged("device-key.pem"))?;
        let generation = format!("{IDENTITY}-{}", fingerprint(key.verifying_key().spki_der()));
        self.write(&format!("{generation}/device-key.pem"), pem.as_bytes())?;
        self.write_value(&format!("{generation}/credential.cbor"), credential)?;
        self.write(&format!("{generation}/serial.txt"), status.serial.as_bytes())?;
        // The identity counts from here.
        self.state.point(IDENTITY, &generation).map_err(StoreError::file(IDENTITY))?;
        self.forget_earlier(status)
    }

    /// What is of an earlier identity goes, and the drafts of this one last: until then it is known to be unfinished.
    fn forget_earlier(&self, status: &Status) -> Result<(), StoreError> {
        self.state.remove(LDEVID).map_err(StoreError::file(LDEVID))?;
        self.remove_generations(LDEVID, None)?;
        self.remove_generations(IDENTITY, self.state.pointed(IDENTITY).as_deref())?;
        self.forget_renewal()?;
        self.set_status(status)?;
        self.remove_generations(DRAFT, None)
    }

    /// The device's attestation key.
    ///
    /// # Errors
    /// [`StoreError::NotInitialised`] before DI.
    pub fn device_key(&self) -> Result<SigningKey, StoreError> {
        let pem = self.state.read(KEY).map_err(StoreError::file(KEY))?.ok_or(StoreError::NotInitialised)?;
        let pem = std::str::from_utf8(&pem)
            .map_err(|_| StoreError::Damaged { file: KEY, reason: "it is not text".to_owned() })?;
        SigningKey::from_pem(pem).map_err(damaged(KEY))
    }

    /// The credential of DI or of the last TO2 whose 71 was verified.
    ///
    /// # Errors
    /// [`StoreError::NotInitialised`] before DI.
    pub fn credential(&self) -> Result<DeviceCredential, StoreError> {
        self.read_value(CREDENTIAL)?.ok_or(StoreError::NotInitialised)
    }

    /// The end of a TO2 that was written before 70 and never confirmed.
    pub fn pending(&self) -> Result<Option<Pending>, StoreError> {
        self.read_value(PENDING)
    }

    /// Makes durable what a TO2 will change, before 70 is sent. `used` is the credential that this TO2 ran with: its
    /// owner has proven itself with it, so it is from now on the one to fall back on.
    ///
    /// # Errors
    /// [`StoreError`]; then 70 must not be sent.
    pub fn stage(&self, used: &DeviceCredential, pending: &Pending) -> Result<(), StoreError> {
        if let Some(wifi) = &self.wifi {
            let probe = format!(".{WIFI_PREFIX}probe");
            let tried = wifi.replace(&probe, b"").and_then(|()| wifi.remove(&probe));
            tried.map_err(StoreError::file("the directory of Wi-Fi networks"))?;
        }
        // Not by the GUID alone: an owner may keep it, and the secret is another all the same.
        let fallback = Zeroizing::new(cbor::encode(&self.credential()?));
        let used = Zeroizing::new(cbor::encode(used));
        if fallback != used {
            self.write(CREDENTIAL, &used)?;
        }
        self.write_value(PENDING, pending)
    }

    /// Commits after 71 was verified, and carries the changes out.
    ///
    /// # Errors
    /// [`StoreError`]; the next [`Store::open`] tries again.
    pub fn confirm(&self, mut pending: Pending) -> Result<(), StoreError> {
        pending.confirmed = true;
        self.write_value(PENDING, &pending)?;
        self.carry_out(&pending)
    }

    /// Each step may be repeated; the credential comes after what it promises, and the record goes last.
    fn carry_out(&self, pending: &Pending) -> Result<(), StoreError> {
        self.write_networks(pending)?;
        self.replace_ldevid(&pending.ldevid)?;
        self.set_renewal_source(pending.renewal.as_ref())?;
        let mut credential = match &pending.credential {
            Some(credential) => credential.clone(),
            None => self.credential()?,
        };
        credential.active = false;
        self.write_value(CREDENTIAL, &credential)?;
        self.write(STATUS, pending.status.as_bytes())?;
        self.state.remove(PENDING).map_err(StoreError::file(PENDING))
    }

    fn write_networks(&self, pending: &Pending) -> Result<(), StoreError> {
        let (Some(files), Some(wifi)) = (&pending.wifi, &self.wifi) else {
            return Ok(());
        };
        for file in &pending.wifi_ca {
            self.write(&format!("{WIFI_CA}/{}", file.name), &file.content)?;
        }
        for file in files.iter().filter(|file| file.name.starts_with(WIFI_PREFIX)) {
            wifi.replace(&file.name, &file.content).map_err(StoreError::file(&file.name))?;
        }
        let names = wifi.names().map_err(StoreError::file("the directory of Wi-Fi networks"))?;
        let ours = |name: &String| {
            name.starts_with(WIFI_PREFIX) && (name.ends_with(".nmconnection") || name.ends_with(".conf"))
        };
        for name in names.iter().filter(|name| ours(name)) {
            if !files.iter().any(|file| file.name == *name) {
                wifi.remove(name).map_err(StoreError::file(name))?;
            }
        }
        Ok(())
    }

    fn remove_generations(&self, link: &str, kept: Option<&str>) -> Result<(), StoreError> {
        let prefix = format!("{link}-");
        for name in self.state.names().map_err(StoreError::file("."))? {
            if name.starts_with(&prefix) && Some(name.as_str()) != kept {
                self.state.remove_subdirectory(&name).map_err(StoreError::file(&name))?;
            }
        }
        Ok(())
    }

    /// The status. Where there is none or it does not read, serial number and model are those of the identity, and
    /// nothing relies on the rest.
    pub fn status(&self) -> Status {
        let content = self.state.read(STATUS).ok().flatten();
        let mut status: Status =
            content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default();
        if let Ok(Some(serial)) = self.state.read(SERIAL) {
            status.serial = String::from_utf8_lossy(&serial).into_owned();
        }
        if let Some(ldevid) = self.ldevid() {
            status.ldevid = Some(LdevidStatus::of(&ldevid));
        }
        if status.model.is_empty()
            && let Ok(credential) = self.credential()
        {
            status.model = credential.device_info;
        }
        status
    }

    /// Puts a new generation of key, certificate and CA certificates in the place of the one there is, in one step.
    /// Without a certificate among the files nothing changes.
    ///
    /// # Errors
    /// [`StoreError::File`]; then the earlier generation still stands, or the new one does and the earlier is left over.
    pub fn replace_ldevid(&self, files: &[NamedFile]) -> Result<(), StoreError> {
        let Some(certificate) = files.iter().find(|file| file.name == renewal::CERTIFICATE) else { return Ok(()) };
        let generation = format!("{LDEVID}-{}", fingerprint(&certificate.content));
        for file in files {
            self.write(&format!("{generation}/{}", file.name), &file.content)?;
        }
        self.state.point(LDEVID, &generation).map_err(StoreError::file(LDEVID))?;
        self.remove_generations(LDEVID, Some(&generation))
    }

    /// Whether an owner has given this device a certificate.
    pub fn has_ldevid(&self) -> bool {
        self.state.pointed(LDEVID).is_some()
    }

    /// The LDevID that this device has, if it can be read.
    pub fn ldevid(&self) -> Option<Certificate> {
        let pem = self.state.read(&format!("{LDEVID}/ldevid.pem")).ok()??;
        let chain = fdo_pki::pem::decode_certificates(std::str::from_utf8(&pem).ok()?).ok()?;
        Certificate::parse(chain.first()?).ok()
    }

    /// Writes the status.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn set_status(&self, status: &Status) -> Result<(), StoreError> {
        let json = serde_json::to_vec_pretty(status)
            .map_err(|error| StoreError::Damaged { file: STATUS, reason: error.to_string() })?;
        self.write(STATUS, &json)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.state.replace(name, content).map_err(StoreError::file(name))
    }

    fn write_value<T: Encode>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        self.write(name, &Zeroizing::new(cbor::encode(value)))
    }

    fn read_value<T: Decode>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        let content = self.state.read(name).map_err(StoreError::file(name))?;
        content.map(|content| cbor::decode(&content).map_err(damaged(name))).transpose()
    }
}

fn draft_directory(purpose: &DraftPurpose) -> String {
    format!("{DRAFT}-{}", fingerprint(&cbor::encode(purpose)))
}

fn draft_file(directory: &str) -> String {
    format!("{directory}/{DRAFT}.cbor")
}

fn damaged(file: &'static str) -> impl FnOnce(fdo_protocol::Error) -> StoreError {
    move |error| StoreError::Damaged { file, reason: error.to_string() }
}

fn fingerprint(content: &[u8]) -> String {
    hex::encode(&Hash::of(HashType::Sha256, &[content]).digest()[..8])
}

#[cfg(test)]
mod tests;
