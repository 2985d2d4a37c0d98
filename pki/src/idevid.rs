//! The IDevID profile (IEEE 802.1AR-2018, section 8): the certificate that a device is born with, for life.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::ID_ON_HARDWARE_MODULE_NAME;
use der::asn1::{AnyRef, OctetString};
use der::{Decode, SliceReader};
use rand_core::CryptoRng;
use x509_cert::ext::pkix::name::{GeneralName, HardwareModuleName, OtherName};

use crate::issue::Decided;
use crate::name::NameBuilder;
use crate::validity::WITHOUT_END;
use crate::{DeviceSerial, Error, Issuer, ToBeSigned, VerifiedCsr, extensions};

/// Longest hardware serial number, in bytes; they are short identifiers of a chip.
const MAX_HARDWARE_SERIAL: usize = 64;

/// The hardware that holds the key, as `HardwareModuleName` (RFC 4108, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareModule {
    kind: ObjectIdentifier,
    serial: OctetString,
}

impl HardwareModule {
    /// `kind` is the maker's dotted OID of the hardware type, `serial` 1 to 64 bytes that identify the piece.
    pub fn new(kind: &str, serial: &[u8]) -> Result<Self, Error> {
        let invalid = |reason| Error::InvalidField { field: "hardware module", reason };
        if serial.is_empty() || serial.len() > MAX_HARDWARE_SERIAL {
            return Err(invalid("its serial number must have 1 to 64 bytes"));
        }
        Ok(Self {
            kind: kind.parse().map_err(|_| invalid("its type must be an OID such as 1.3.6.1.4.1.32473.1"))?,
            serial: OctetString::new(serial).map_err(Error::encoding("hardware module"))?,
        })
    }

    /// From the content of an `otherName`, if it is one of this kind.
    pub(crate) fn from_other_name(content: &[u8]) -> Option<Self> {
        let mut reader = SliceReader::new(content).ok()?;
        let kind = ObjectIdentifier::decode(&mut reader).ok()?;
        if kind != ID_ON_HARDWARE_MODULE_NAME {
            return None;
        }
        let explicit = AnyRef::decode(&mut reader).ok()?;
        let name = HardwareModuleName::from_der(explicit.value()).ok()?;
        let fits = (1..=MAX_HARDWARE_SERIAL).contains(&name.hw_serial_num.as_bytes().len());
        fits.then_some(Self { kind: name.hw_type, serial: name.hw_serial_num })
    }

    pub(crate) fn general_name(&self) -> Result<GeneralName, Error> {
        let name = HardwareModuleName { hw_type: self.kind, hw_serial_num: self.serial.clone() };
        OtherName::try_from(&name).map(GeneralName::OtherName).map_err(Error::encoding("hardware module"))
    }
}

/// Who the device is, from the manufacturer's record; the request has no say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdevidSubject {
    /// The device's serial number, unique with this issuer.
    pub serial: DeviceSerial,
    /// A common name, where the product wants one.
    pub common_name: Option<String>,
    /// The hardware that holds the key, where known.
    pub hardware: Option<HardwareModule>,
}

/// What all devices of a model have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdevidProfile {
    /// The maker, as organization.
    pub organization: Option<String>,
    /// The model, as organizational unit.
    pub model: Option<String>,
}

impl IdevidProfile {
    /// Decides the IDevID of the device in `record` for the key in `csr`, from `now` on and without end.
    pub fn prepare(
        &self,
        csr: &VerifiedCsr,
        record: &IdevidSubject,
        issuer: &Issuer,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<ToBeSigned, Error> {
        let subject = NameBuilder::default()
            .organization(self.organization.as_deref())?
            .organizational_unit(self.model.as_deref())?
            .common_name(record.common_name.as_deref())?
            .serial_number(&record.serial)?
            .build()?;
        // Neither subjectKeyIdentifier (8.10.2 advises against it) nor basicConstraints; the key usage
        // alone says that this is no CA.
        let mut list = vec![extensions::authority_key(issuer.key_identifier())?, extensions::digital_signature()?];
        if let Some(hardware) = &record.hardware {
            list.push(extensions::subject_alternative_names(vec![hardware.general_name()?])?);
        }
        let decided =
            Decided { subject, key: csr.public_key(), not_before: now, not_after: WITHOUT_END, extensions: list };
        ToBeSigned::new(issuer, decided, rng)
    }
}
