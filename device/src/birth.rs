//! Birth: the device makes its key, asks the manufacturer for its credential (DI, 10 to 13), and keeps it.

use std::sync::Arc;

use fdo_http::BaseUrl;
use fdo_pki::DeviceSerial;
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::di;
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::{Guid, HmacType, PublicKeyEncoding};
use rand_core::Rng as _;
use zeroize::Zeroizing;

use crate::agent::{Agent, Run, RunError, Secrets};
use crate::store::{Draft, DraftPurpose, Status, StoreError};
use crate::transport::{Channel, Transport};

/// Where the serial number of this machine stands.
const DMI_SERIAL: &str = "/sys/class/dmi/id/product_serial";

/// What a device is born with.
#[derive(Debug, Clone)]
pub struct Birth {
    /// The manufacturer's service.
    pub manufacturer: BaseUrl,
    /// The serial number.
    pub serial: String,
    /// The model.
    pub model: String,
    /// The curve of its key.
    pub key_type: KeyType,
    /// Throw an earlier identity away.
    pub force: bool,
}

/// Why a device was not born.
#[derive(Debug, thiserror::Error)]
pub enum BirthError {
    /// The serial number does not fit a certificate.
    #[error("{0}")]
    Serial(fdo_pki::Error),
    /// The state of the device.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The conversation with the manufacturer failed.
    #[error("the manufacturer at {at} gave no credential: {source}")]
    Run {
        /// The manufacturer's service.
        at: BaseUrl,
        /// What went wrong.
        source: RunError,
    },
}

impl<T: Transport> Agent<T> {
    /// Runs DI. The credential counts once it is durable.
    ///
    /// # Errors
    /// [`BirthError`]; then the identity is as it was, and the next try goes on with the same key.
    pub async fn init(&self, birth: &Birth) -> Result<Guid, BirthError> {
        let _alone = self.work_alone().await?;
        if self.store.is_initialised()? && !birth.force {
            return Err(StoreError::AlreadyInitialised.into());
        }
        let serial = DeviceSerial::parse(&birth.serial).map_err(BirthError::Serial)?;
        let failed = |source| BirthError::Run { at: birth.manufacturer.clone(), source };
        let draft = self.draft(birth)?;
        self.tell_progress(&format!("asking {} for a credential", birth.manufacturer));
        let mut run = self.open(&birth.manufacturer, &self.settings.manufacturer_trust).map_err(failed)?;
        let outcome = self.initialise(&mut run, birth, &serial, draft).await;
        self.conclude(&run, outcome).await.map_err(failed)
    }

    /// The secrets of this birth, durable: a manufacturer that has heard of them takes no others for the serial number.
    fn draft(&self, birth: &Birth) -> Result<Draft, StoreError> {
        let purpose = DraftPurpose {
            manufacturer: birth.manufacturer.to_string(),
            serial: birth.serial.clone(),
            key_type: birth.key_type,
        };
        if let Some(draft) = self.store.draft(&purpose)? {
            self.tell_progress("trying again with the key of a birth that did not finish");
            return Ok(draft);
        }
        let mut rng = self.random.rng();
        let key = SigningKey::generate(birth.key_type, &mut rng).map_err(StoreError::Key)?;
        let mut hmac_secret = Zeroizing::new(vec![0; HmacType::for_keys(birth.key_type, birth.key_type).length()]);
        rng.fill_bytes(&mut hmac_secret);
        let draft = Draft { purpose, key, hmac_secret };
        self.store.keep_draft(&draft)?;
        Ok(draft)
    }

    async fn initialise(
        &self,
        run: &mut Run<T::Channel>,
        birth: &Birth,
        serial: &DeviceSerial,
        draft: Draft,
    ) -> Result<Guid, RunError>
    where
        T::Channel: Channel,
    {
        let key = Arc::new(draft.key);
        let csr = fdo_pki::build_csr(&*key, None, serial)
            .map_err(|_| fdo_protocol::Error::Internal("certification request"))?;
        let secrets = Secrets::new(key.clone(), draft.hmac_secret);
        let (request, state) = di::device::begin(DeviceMfgInfo {
            key_type: birth.key_type.into(),
            key_encoding: PublicKeyEncoding::X509,
            serial_number: birth.serial.clone(),
            device_info: birth.model.clone(),
            csr: ByteString(csr),
        });
        let reply = run.exchange(&request).await?;
        let (request, state) = state.set_credentials(&reply, &secrets, secrets.hmac_secret())?;
        let reply = run.exchange(&request).await?;
        let credential = state.done(&reply)?;
        let status = Status {
            serial: birth.serial.clone(),
            model: birth.model.clone(),
            initialised_at: Some(self.clock.now()),
            ..Status::default()
        };
        self.store.initialise(&key, &credential, &status)?;
        tracing::info!(guid = %credential.guid, serial = birth.serial, "the device has its credential");
        Ok(credential.guid)
    }
}

/// The serial number of this machine, if its firmware tells a usable one.
pub fn machine_serial() -> Option<String> {
    clean_serial(&std::fs::read_to_string(DMI_SERIAL).ok()?)
}

/// Firmware fills the field with blanks, zeros or phrases where nobody entered a number.
fn clean_serial(raw: &str) -> Option<String> {
    const PLACEHOLDERS: [&str; 8] = [
        "none",
        "n/a",
        "not specified",
        "not applicable",
        "default string",
        "system serial number",
        "to be filled by o.e.m.",
        "unknown",
    ];
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-+.:/".contains(c);
    let trimmed = raw.trim();
    let lower = trimmed.to_ascii_lowercase();
    let serial: String = trimmed.chars().map(|c| if allowed(c) { c } else { '-' }).take(64).collect();
    let useless =
        PLACEHOLDERS.contains(&lower.as_str()) || !serial.chars().any(|c| c.is_ascii_alphanumeric() && c != '0');
    (!useless).then_some(serial)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn firmware_serials_are_cleaned_and_placeholders_ignored() {
        assert_eq!(clean_serial(" PF-3X_01 \n").unwrap(), "PF-3X-01");
        assert_eq!(clean_serial("VMware-56 4d").unwrap(), "VMware-56-4d");
        for useless in ["", "\n", "0000000", "None", "To Be Filled By O.E.M.", "Default string", "---"] {
            assert_eq!(clean_serial(useless), None, "{useless}");
        }
        let long = "A".repeat(100);
        assert!(DeviceSerial::parse(&clean_serial(&long).unwrap()).is_ok());
    }
}
