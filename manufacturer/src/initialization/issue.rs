//! The IDevID of a device (IEEE 802.1AR): its subject comes from the maker's record and profile, never from the request.

use fdo_pki::{Csr, DeviceSerial, HardwareModule, IdevidProfile, IdevidSubject, VerifiedCsr};
use fdo_protocol::Error;
use fdo_protocol::crypto::KeyType;
use fdo_service::endpoint::Fault;

use super::{Candidate, Initialization, store};
use crate::config::IdevidSettings;

/// What all IDevIDs of this maker have in common.
pub struct Profile {
    organization: String,
    hardware_type: Option<String>,
}

/// A certificate and what stands above it.
pub(super) struct IssuedIdevid {
    /// DER, the device's own first.
    pub(super) chain: Vec<Vec<u8>>,
    /// The certificate's serial number.
    pub(super) serial: String,
    pub(super) device_key_type: KeyType,
}

impl Profile {
    /// Checks the OID, so that the first device on the line is not the one to find it wrong.
    pub fn new(settings: &IdevidSettings, maker: &str) -> Result<Self, fdo_pki::Error> {
        if let Some(kind) = &settings.hardware_type {
            HardwareModule::new(kind, b"1")?;
        }
        let organization = settings.organization.clone().unwrap_or_else(|| maker.to_owned());
        Ok(Self { organization, hardware_type: settings.hardware_type.clone() })
    }

    fn subject(&self, candidate: &Candidate) -> Result<IdevidSubject, fdo_pki::Error> {
        let text = candidate.serial.as_str();
        let hardware = match &self.hardware_type {
            Some(kind) => {
                let recorded = candidate.record.as_ref().and_then(|device| device.hardware_serial.as_deref());
                Some(HardwareModule::new(kind, recorded.unwrap_or(text).as_bytes())?)
            }
            None => None,
        };
        let serial = DeviceSerial::parse(text).or_else(|_| DeviceSerial::from_certificate(text))?;
        Ok(IdevidSubject { serial, common_name: None, hardware })
    }
}

impl Initialization {
    pub(super) async fn issue(&self, csr: &[u8], candidate: &Candidate, now: u64) -> Result<IssuedIdevid, Fault> {
        let csr = checked(csr)?;
        let canon = candidate.serial.canon();
        let used = store::key_used_by_another(&self.db, &csr.spki_sha256(), canon).await;
        if used.map_err(|error| Fault::internal(&error))? {
            return Err(Fault::new(Error::Rejected("the key belongs to another device")));
        }
        let key_type = csr.public_key().key_type();
        let ca = self.keys.device_ca(key_type);
        let profile = IdevidProfile {
            organization: Some(self.profile.organization.clone()),
            // A subject has room for 64 characters; the voucher keeps the whole model.
            model: Some(candidate.model.chars().take(64).collect()),
        };
        let unusable = |error: fdo_pki::Error| Fault::internal(&error);
        let subject = self.profile.subject(candidate).map_err(unusable)?;
        let tbs = profile.prepare(&csr, &subject, ca.issuer(), now, &mut self.random.rng()).map_err(unusable)?;
        let serial = tbs.serial().to_string();
        let failed = |error| Fault::internal(&error);
        store::insert(&self.db, canon, &tbs, &ca.certificate().subject(), now).await.map_err(failed)?;
        let issued = tbs.sign(ca.signing()).map_err(unusable)?;
        store::set_signed(&self.db, &serial, issued.der()).await.map_err(failed)?;
        let chain = std::iter::once(issued.der().to_vec()).chain(ca.chain_der()).collect();
        Ok(IssuedIdevid { chain, serial, device_key_type: key_type })
    }
}

fn checked(csr: &[u8]) -> Result<VerifiedCsr, Fault> {
    let refused = |error: fdo_pki::Error| {
        Fault::new(Error::Rejected("the certification request does not hold")).because(error.to_string())
    };
    Csr::parse(csr).and_then(Csr::verify).map_err(refused)
}
