//! The LDevID profile (IEEE 802.1AR-2018, section 8): the certificate that an owner gives its device, renewed often.

use der::asn1::Ia5String;
use fdo_protocol::Guid;
use fdo_protocol::crypto::KeyType;
use rand_core::CryptoRng;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;

use crate::issue::Decided;
use crate::name::NameBuilder;
use crate::template::{Facts, Placeholder, percent, plain};
use crate::{
    CertificateSerial, DeviceSerial, Error, ExtendedKeyUse, HardwareModule, Issuer, KeyUse, NameTemplate,
    SubjectAttribute, Template, ToBeSigned, VerifiedCsr, extensions,
};

const DAY: u64 = 24 * 60 * 60;
/// A longer life would make an LDevID what it is not: an identity for good.
const MAX_VALIDITY: u64 = 366 * DAY;
/// More than this would hide how old a certificate is.
const MAX_BACKDATE: u64 = 7 * DAY;

/// The device that asks: found by its voucher, never by what the request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdevidSubject {
    /// The serial number in the device's IDevID; without one the GUID takes its place.
    pub serial: Option<DeviceSerial>,
    /// The GUID by which the owner knows the device from now on.
    pub guid: Guid,
    /// The model that its maker says.
    pub model: Option<String>,
    /// The hardware in its IDevID.
    pub hardware: Option<HardwareModule>,
}

impl LdevidSubject {
    /// A device of which only the GUID is known.
    #[must_use]
    pub fn new(guid: Guid) -> Self {
        Self { serial: None, guid, model: None, hardware: None }
    }
}

/// How an owner's LDevIDs look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdevidProfile {
    /// Life in seconds, at most 366 days; cut where the issuer's own ends earlier.
    pub validity_seconds: u64,
    /// How far notBefore lies in the past, in seconds, for devices whose clock is late; at most 7 days.
    pub backdate_seconds: u64,
    /// The owner, for `{organization}`.
    pub organization: Option<String>,
    /// The subject before its serialNumber, in this order; what names an unknown fact is left out.
    pub subject: Vec<(SubjectAttribute, Template)>,
    /// Alternative names beside `urn:uuid:` and the GUID; what names an unknown fact is left out.
    pub names: Vec<NameTemplate>,
    /// What the key may do. Those that a key of its type cannot do are left out.
    pub key_uses: Vec<KeyUse>,
    /// What the certificate may be used for.
    pub extended_key_uses: Vec<ExtendedKeyUse>,
    /// The types of key that are certified.
    pub key_types: Vec<KeyType>,
    /// Whether the hardware in the IDevID is named here too.
    pub hardware_module: bool,
    /// That nothing is published about its revocation (RFC 9608), for certificates of a short life.
    pub no_rev_avail: bool,
}

impl Default for LdevidProfile {
    /// 90 days, backdated by 5 minutes, for TLS clients with elliptic curve keys.
    fn default() -> Self {
        Self {
            validity_seconds: 90 * DAY,
            backdate_seconds: 5 * 60,
            organization: None,
            subject: vec![(SubjectAttribute::Organization, Template::of(Placeholder::Organization))],
            names: Vec::new(),
            key_uses: vec![KeyUse::DigitalSignature],
            extended_key_uses: vec![ExtendedKeyUse::ClientAuth],
            key_types: KeyType::ELLIPTIC.to_vec(),
            hardware_module: false,
            no_rev_avail: false,
        }
    }
}

/// Where to learn whether a certificate is revoked, and who issued it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusPointers {
    /// URI of the CRL; the CRL's own distribution point is the same, byte for byte.
    pub crl: Option<String>,
    /// URI of the OCSP responder.
    pub ocsp: Option<String>,
    /// URI of the issuer's certificate.
    pub issuer: Option<String>,
}

impl LdevidProfile {
    /// What can be said of the profile before any device asks.
    pub fn check(&self) -> Result<(), Error> {
        let refused = |field, reason| Err(Error::InvalidField { field, reason });
        if self.validity_seconds == 0 || self.validity_seconds > MAX_VALIDITY {
            return refused("LDevID validity", "it must be between 1 second and 366 days");
        }
        if self.backdate_seconds > MAX_BACKDATE {
            return refused("backdating", "it must be at most 7 days");
        }
        if !self.key_uses.contains(&KeyUse::DigitalSignature) {
            return refused(
                "key usages",
                "digitalSignature must be among them, or the device cannot prove its key",
            );
        }
        if self.key_types.is_empty() {
            return refused("key types", "name at least one");
        }
        Ok(())
    }

    /// Decides the LDevID of `device` for the key in `csr`, without pointers to its status.
    pub fn prepare(
        &self,
        csr: &VerifiedCsr,
        device: &LdevidSubject,
        issuer: &Issuer,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<ToBeSigned, Error> {
        self.prepare_with(csr, device, issuer, |_| StatusPointers::default(), now, rng)
    }

    /// Decides the LDevID of `device` for the key in `csr`; where its status stands may depend on its serial number.
    pub fn prepare_with(
        &self,
        csr: &VerifiedCsr,
        device: &LdevidSubject,
        issuer: &Issuer,
        pointers: impl FnOnce(CertificateSerial) -> StatusPointers,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<ToBeSigned, Error> {
        self.check()?;
        if !self.key_types.contains(&csr.public_key().key_type()) {
            return Err(Error::UnsupportedKey { reason: "the profile has no keys of this type" });
        }
        if now >= issuer.not_after() {
            return Err(Error::NotValidNow {
                what: "issuing CA",
                reason: "its certificate has expired; renew it first",
            });
        }
        let serial = CertificateSerial::random(rng);
        let decided = Decided {
            subject: self.subject(device)?,
            key: csr.public_key(),
            not_before: now.saturating_sub(self.backdate_seconds),
            not_after: now.saturating_add(self.validity_seconds).min(issuer.not_after()),
            extensions: self.extensions(csr, device, issuer, &pointers(serial))?,
        };
        ToBeSigned::with_serial(issuer, decided, serial)
    }

    fn facts<'a>(&'a self, device: &'a LdevidSubject) -> Facts<'a> {
        Facts { device, organization: self.organization.as_deref() }
    }

    /// The binding is not the profile's to leave out: the serial number is always there, and always the last.
    fn subject(&self, device: &LdevidSubject) -> Result<der::Any, Error> {
        let mut name = NameBuilder::default();
        for (attribute, template) in &self.subject {
            let text = template.fill(self.facts(device), plain);
            name = name.attribute(*attribute, text.as_deref())?;
        }
        let serial = match &device.serial {
            Some(serial) => serial.clone(),
            None => DeviceSerial::parse(&device.guid.to_string())?,
        };
        name.serial_number(&serial)?.build()
    }

    fn alternative_names(&self, device: &LdevidSubject) -> Result<Vec<GeneralName>, Error> {
        let uuid = Ia5String::new(&format!("urn:uuid:{}", device.guid)).map_err(Error::encoding("GUID"))?;
        let mut names = vec![GeneralName::UniformResourceIdentifier(uuid)];
        for template in &self.names {
            names.extend(template.fill(self.facts(device), percent)?);
        }
        if let Some(hardware) = device.hardware.as_ref().filter(|_| self.hardware_module) {
            names.push(hardware.general_name()?);
        }
        Ok(names)
    }

    fn extensions(
        &self,
        csr: &VerifiedCsr,
        device: &LdevidSubject,
        issuer: &Issuer,
        pointers: &StatusPointers,
    ) -> Result<Vec<Extension>, Error> {
        let mut list = vec![
            extensions::end_entity()?,
            extensions::key_usage(&self.key_uses, csr.public_key().key_type())?,
            extensions::subject_key(&extensions::key_identifier(csr.public_key().spki_der())?)?,
            extensions::authority_key(issuer.key_identifier())?,
            extensions::subject_alternative_names(self.alternative_names(device)?)?,
        ];
        if !self.extended_key_uses.is_empty() {
            let uses = self.extended_key_uses.iter().map(|usage| usage.oid()).collect();
            list.push(extensions::extended_key_usage(uses)?);
        }
        if self.no_rev_avail {
            list.push(extensions::no_rev_avail()?);
        } else if let Some(uri) = &pointers.crl {
            list.push(extensions::crl_distribution_point(uri)?);
        }
        let ocsp = pointers.ocsp.as_deref().filter(|_| !self.no_rev_avail);
        list.extend(extensions::authority_information(ocsp, pointers.issuer.as_deref())?);
        Ok(list)
    }
}
