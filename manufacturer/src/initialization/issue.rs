//! The IDevID of a device (IEEE 802.1AR): its subject comes from the maker's record and profile, never from the request.

use fdo_pki::{Certificate, Csr, DeviceSerial, HardwareModule, IdevidProfile, IdevidSubject, VerifiedCsr};
use fdo_protocol::Error;
use fdo_protocol::crypto::KeyType;
use fdo_service::endpoint::Fault;

use super::{Candidate, Initialization, REUSED_SECONDS, store};
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
    /// The certificate of this key and serial number: the one there is, else a new one.
    pub(super) async fn issue(&self, candidate: &Candidate, now: u64) -> Result<IssuedIdevid, Fault> {
        let csr = &candidate.csr;
        let key_type = csr.public_key().key_type();
        if let Some(voucher) = &candidate.unfinished {
            let certificates = voucher.voucher()?.certificates().unwrap_or_default().to_vec();
            return Ok(IssuedIdevid {
                chain: certificates.into_iter().map(|certificate| certificate.0).collect(),
                serial: voucher.certificate_serial.clone(),
                device_key_type: key_type,
            });
        }
        let canon = candidate.serial.canon();
        let failed = |error| Fault::internal(&error);
        if store::key_used_by_another(&self.db, &csr.spki_sha256(), canon).await.map_err(failed)? {
            return Err(Fault::new(Error::Rejected("the key belongs to another device")));
        }
        let ca = self.keys.device_ca(key_type);
        let chain = |leaf: Vec<u8>| std::iter::once(leaf).chain(ca.chain_der()).collect();
        let since = now.saturating_sub(REUSED_SECONDS);
        for leaf in store::list_signed(&self.db, canon, &csr.spki_sha256(), since).await.map_err(failed)? {
            // A certificate of a CA that was replaced since then would not fit the chain.
            if let Ok(certificate) = Certificate::parse(&leaf)
                && certificate.verify_signed_by(ca.certificate()).is_ok()
            {
                let serial = certificate.serial().to_owned();
                return Ok(IssuedIdevid { chain: chain(leaf), serial, device_key_type: key_type });
            }
        }
        let profile = IdevidProfile {
            organization: Some(self.profile.organization.clone()),
            // A subject has room for 64 characters; the voucher keeps the whole model.
            model: Some(candidate.model.chars().take(64).collect()),
        };
        let unusable = |error: fdo_pki::Error| Fault::internal(&error);
        let subject = self.profile.subject(candidate).map_err(unusable)?;
        let tbs = profile.prepare(csr, &subject, ca.issuer(), now, &mut self.random.rng()).map_err(unusable)?;
        let serial = tbs.serial().to_string();
        store::insert(&self.db, canon, &tbs, &ca.certificate().subject(), now).await.map_err(failed)?;
        let issued = tbs.sign(ca.signing()).map_err(unusable)?;
        store::set_signed(&self.db, &serial, issued.der()).await.map_err(failed)?;
        Ok(IssuedIdevid { chain: chain(issued.der().to_vec()), serial, device_key_type: key_type })
    }
}

pub(super) fn checked(csr: &[u8]) -> Result<VerifiedCsr, Fault> {
    let refused = |error: fdo_pki::Error| {
        Fault::new(Error::Rejected("the certification request does not hold")).because(error.to_string())
    };
    Csr::parse(csr).and_then(Csr::verify).map_err(refused)
}
