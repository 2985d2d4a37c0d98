//! What renewal keeps on disk: where to renew, the key and request of a renewal under way (written before it is sent,
//! so that the same is asked after a crash), and what became of the attempts.

use fdo_pki::Certificate;
use fdo_protocol::Error;
use fdo_protocol::cbor::{Decode, Reader, Writer};
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::service_info::est::RenewalSource;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{LDEVID, Store, StoreError, damaged};

/// The names within a generation of the LDevID.
pub const KEY: &str = "ldevid-key.pem";
pub const CERTIFICATE: &str = "ldevid.pem";
pub const AUTHORITIES: &str = "ldevid-ca.pem";
const SOURCE: &str = "renewal-source.cbor";
const RENEWAL: &str = "renewal-draft.cbor";
const ENROLMENT: &str = "enrolment-draft.cbor";
const STATUS: &str = "renewal.json";

/// An LDevID that works: the key is the certificate's.
pub struct LdevidPair {
    /// The private key.
    pub key: SigningKey,
    /// The certificate.
    pub certificate: Certificate,
    /// The CA certificates that came with it, in DER.
    pub authorities: Vec<Vec<u8>>,
}

/// The key and the request of a renewal that has not ended.
pub struct RenewalDraft {
    /// The SHA-256 of the certificate that it is to follow; empty where the device asks by its certificate of birth.
    pub follows: Vec<u8>,
    /// The new key.
    pub key: SigningKey,
    /// The request, to be sent byte for byte each time.
    pub csr: Vec<u8>,
}

impl RenewalDraft {
    fn to_file(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut writer = Writer::default();
        writer.array(3).bytes(&self.follows).bytes(&self.key.to_pkcs8_der()?).bytes(&self.csr);
        Ok(Zeroizing::new(writer.into_bytes()))
    }
}

impl Decode for RenewalDraft {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        Ok(Self {
            follows: reader.bytes()?.to_vec(),
            key: SigningKey::from_der(reader.bytes()?)?,
            csr: reader.bytes()?.to_vec(),
        })
    }
}

/// How renewal goes, for `status` and for the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RenewalStatus {
    /// SHA-256 of the LDevID that `obtained_at` is about, hexadecimal.
    pub certificate: Option<String>,
    /// When that LDevID was taken into use, unix seconds.
    pub obtained_at: Option<u64>,
    /// How often an LDevID was renewed.
    pub renewals: u64,
    /// When the next attempt is made, unix seconds.
    pub next_at: Option<u64>,
    /// Attempts that failed since the last that did not.
    pub failures: u32,
    /// When the last attempt failed, unix seconds.
    pub failed_at: Option<u64>,
    /// Why it failed.
    pub failure: Option<String>,
    /// Whether the owner has yet to be told of it.
    pub unreported: bool,
    /// What the owner makes the device wait for.
    pub waiting: Option<String>,
    /// What is wrong with this device's clock.
    pub clock: Option<String>,
    /// The latest time that this device has seen, unix seconds.
    pub seen: u64,
    /// SHA-256 of the LDevID that the hook was last run for, hexadecimal.
    pub hooked: Option<String>,
    /// Why the hook failed, if it did.
    pub hook_failure: Option<String>,
}

impl Store {
    /// Where the owner of the last TO2 renews certificates, if it said so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn renewal_source(&self) -> Result<Option<RenewalSource>, StoreError> {
        self.read_value(SOURCE)
    }

    /// Keeps it; another owner's is forgotten.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn set_renewal_source(&self, source: Option<&RenewalSource>) -> Result<(), StoreError> {
        match source {
            Some(source) => self.write_value(SOURCE, source),
            None => self.state.remove(SOURCE).map_err(StoreError::file(SOURCE)),
        }
    }

    /// The LDevID with its key, if both are there and belong together.
    pub fn ldevid_pair(&self) -> Option<LdevidPair> {
        let text = |name: &str| {
            let content = self.state.read(&format!("{LDEVID}/{name}")).ok()??;
            String::from_utf8(content.to_vec()).ok().map(Zeroizing::new)
        };
        let key = SigningKey::from_pem(&text(KEY)?).ok()?;
        let certificate = self.ldevid()?;
        let authorities = text(AUTHORITIES).and_then(|pem| fdo_pki::pem::decode_certificates(&pem).ok());
        let fits = certificate.spki() == key.verifying_key().spki_der();
        fits.then(|| LdevidPair { key, certificate, authorities: authorities.unwrap_or_default() })
    }

    /// The renewal under way that follows this certificate. One that does not read is none: its key is for nothing yet.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn renewal_draft(&self, follows: &[u8]) -> Result<Option<RenewalDraft>, StoreError> {
        match self.read_value::<RenewalDraft>(draft_file(follows)) {
            Ok(draft) => Ok(draft.filter(|draft| draft.follows == follows)),
            Err(StoreError::Damaged { reason, .. }) => {
                tracing::warn!(reason, "an unfinished renewal does not read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes key and request of a renewal durable.
    ///
    /// # Errors
    /// [`StoreError`]; then the request must not be sent.
    pub fn keep_renewal_draft(&self, draft: &RenewalDraft) -> Result<(), StoreError> {
        let file = draft_file(&draft.follows);
        self.write(file, &draft.to_file().map_err(damaged(file))?)
    }

    /// The key of this renewal is not to be used.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn drop_renewal_draft(&self, draft: &RenewalDraft) -> Result<(), StoreError> {
        let file = draft_file(&draft.follows);
        self.state.remove(file).map_err(StoreError::file(file))
    }

    /// What was under way is over, by whatever it was asked.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn drop_renewal_drafts(&self) -> Result<(), StoreError> {
        [RENEWAL, ENROLMENT].iter().try_for_each(|file| self.state.remove(file).map_err(StoreError::file(file)))
    }

    /// How renewal goes. What does not read is nothing: it is worked out anew.
    pub fn renewal_status(&self) -> RenewalStatus {
        let content = self.state.read(STATUS).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    /// Writes down how renewal goes.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn set_renewal_status(&self, status: &RenewalStatus) -> Result<(), StoreError> {
        let json = serde_json::to_vec_pretty(status)
            .map_err(|error| StoreError::Damaged { file: STATUS, reason: error.to_string() })?;
        self.write(STATUS, &json)
    }

    /// Removes generations of the LDevID that a crash left behind.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn prune_ldevids(&self) -> Result<(), StoreError> {
        match self.state.pointed(LDEVID) {
            Some(generation) => self.remove_generations(LDEVID, Some(&generation)),
            None => self.remove_generations(LDEVID, None),
        }
    }

    /// Another identity renews nothing of this one's.
    pub(super) fn forget_renewal(&self) -> Result<(), StoreError> {
        for file in [SOURCE, RENEWAL, ENROLMENT, STATUS] {
            self.state.remove(file).map_err(StoreError::file(file))?;
        }
        Ok(())
    }
}

/// One that is refused by the LDevID must not cost the one by the IDevID its key.
fn draft_file(follows: &[u8]) -> &'static str {
    if follows.is_empty() { ENROLMENT } else { RENEWAL }
}
