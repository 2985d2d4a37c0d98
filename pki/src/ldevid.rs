//! The LDevID profile (IEEE 802.1AR-2018, section 8): the certificate that an owner gives its device, renewed often.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use der::asn1::Ia5String;
use fdo_protocol::Guid;
use rand_core::CryptoRng;
use x509_cert::ext::pkix::name::GeneralName;

use crate::issue::Decided;
use crate::name::NameBuilder;
use crate::{DeviceSerial, Error, Issuer, ToBeSigned, VerifiedCsr, extensions};

const DAY: u64 = 24 * 60 * 60;
/// A longer life would make an LDevID what it is not: an identity for good.
const MAX_VALIDITY: u64 = 366 * DAY;

/// What a certificate may be used for, beyond signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedKeyUse {
    /// To log in to TLS servers.
    ClientAuth,
    /// To be a TLS server itself.
    ServerAuth,
}

impl ExtendedKeyUse {
    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::ClientAuth => ID_KP_CLIENT_AUTH,
            Self::ServerAuth => ID_KP_SERVER_AUTH,
        }
    }
}

/// The device that asks: found by its voucher, never by what the request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdevidSubject {
    /// The serial number in the device's IDevID; without one the GUID takes its place.
    pub serial: Option<DeviceSerial>,
    /// The GUID by which the owner knows the device from now on.
    pub guid: Guid,
}

/// How an owner's LDevIDs look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdevidProfile {
    /// Life in seconds, at most 366 days; cut where the issuer's own ends earlier.
    pub validity_seconds: u64,
    /// How far notBefore lies in the past, in seconds, for devices whose clock is late.
    pub backdate_seconds: u64,
    /// The owner, as organization.
    pub organization: Option<String>,
    /// What the certificate may be used for.
    pub extended_key_uses: Vec<ExtendedKeyUse>,
    /// Whether a device may have its LDevID for an RSA key.
    pub allow_rsa: bool,
}

impl Default for LdevidProfile {
    /// 90 days, backdated by 5 minutes, for TLS clients with elliptic curve keys.
    fn default() -> Self {
        Self {
            validity_seconds: 90 * DAY,
            backdate_seconds: 5 * 60,
            organization: None,
            extended_key_uses: vec![ExtendedKeyUse::ClientAuth],
            allow_rsa: false,
        }
    }
}

impl LdevidProfile {
    /// Decides the LDevID of `device` for the key in `csr`.
    pub fn prepare(
        &self,
        csr: &VerifiedCsr,
        device: &LdevidSubject,
        issuer: &Issuer,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<ToBeSigned, Error> {
        if self.validity_seconds == 0 || self.validity_seconds > MAX_VALIDITY {
            let reason = "it must be between 1 second and 366 days";
            return Err(Error::InvalidField { field: "LDevID validity", reason });
        }
        if csr.public_key().key_type().curve().is_none() && !self.allow_rsa {
            return Err(Error::UnsupportedKey { reason: "the profile of LDevIDs has no RSA keys" });
        }
        if now >= issuer.not_after() {
            return Err(Error::NotValidNow {
                what: "issuing CA",
                reason: "its certificate has expired; renew it first",
            });
        }
        let guid = device.guid.to_string();
        let serial = match &device.serial {
            Some(serial) => serial.clone(),
            None => DeviceSerial::parse(&guid)?,
        };
        let subject =
            NameBuilder::default().organization(self.organization.as_deref())?.serial_number(&serial)?.build()?;
        let uri = Ia5String::new(&format!("urn:uuid:{guid}")).map_err(Error::encoding("GUID"))?;
        let mut list = vec![
            extensions::end_entity()?,
            extensions::digital_signature()?,
            extensions::subject_key(&extensions::key_identifier(csr.public_key().spki_der())?)?,
            extensions::authority_key(issuer.key_identifier())?,
            extensions::subject_alternative_names(vec![GeneralName::UniformResourceIdentifier(uri)])?,
        ];
        if !self.extended_key_uses.is_empty() {
            let uses = self.extended_key_uses.iter().map(|usage| usage.oid()).collect();
            list.push(extensions::extended_key_usage(uses)?);
        }
        let decided = Decided {
            subject,
            key: csr.public_key(),
            not_before: now.saturating_sub(self.backdate_seconds),
            not_after: now.saturating_add(self.validity_seconds).min(issuer.not_after()),
            extensions: list,
        };
        ToBeSigned::new(issuer, decided, rng)
    }
}
