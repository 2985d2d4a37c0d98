//! The end of a TO2 as one record: written before 70 is sent, marked when 71 was verified, and then carried out.
//!
//! Carrying it out again changes nothing, so a crash at any line is made good at the next start.

use fdo_protocol::cbor::{Decode, Encode, Reader, Writer};
use fdo_protocol::service_info::est::RenewalSource;
use fdo_protocol::{DeviceCredential, Error};
use zeroize::Zeroizing;

/// A file to be written as a whole.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Its name.
    pub name: String,
    /// Its content; may hold a secret.
    pub content: Zeroizing<Vec<u8>>,
}

impl NamedFile {
    /// A file with this text.
    pub fn text(name: String, content: String) -> Self {
        Self { name, content: Zeroizing::new(content.into_bytes()) }
    }
}

impl Encode for NamedFile {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2).text(&self.name).bytes(&self.content);
    }
}

impl Decode for NamedFile {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        Ok(Self { name: reader.text()?.to_owned(), content: Zeroizing::new(reader.bytes()?.to_vec()) })
    }
}

/// What a TO2 changes on the device.
#[derive(Clone, Default)]
pub struct Pending {
    /// 71 was verified: it only remains to carry this out.
    pub confirmed: bool,
    /// The new credential; none where the owner asked to keep the old one.
    pub credential: Option<DeviceCredential>,
    /// `ldevid-key.pem`, `ldevid.pem` and `ldevid-ca.pem`; empty where there was no enrolment.
    pub ldevid: Vec<NamedFile>,
    /// The whole set of Wi-Fi files; none where the owner did not speak of Wi-Fi.
    pub wifi: Option<Vec<NamedFile>>,
    /// CA certificates that the Wi-Fi files name.
    pub wifi_ca: Vec<NamedFile>,
    /// The status to come, JSON.
    pub status: String,
    /// Where the LDevID is renewed; none where this owner does not say.
    pub renewal: Option<RenewalSource>,
}

impl Encode for Pending {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(7).bool(self.confirmed).value(&self.credential).value(&self.ldevid);
        writer.value(&self.wifi).value(&self.wifi_ca).text(&self.status);
        writer.value(&self.renewal);
    }
}

impl Decode for Pending {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        // An earlier release wrote 6 of them, and may have been stopped between 70 and 71.
        let length = reader.array_length()?;
        if !(6..=7).contains(&length) {
            return Err(Error::Malformed("an unfinished onboarding of another release"));
        }
        Ok(Self {
            confirmed: reader.bool()?,
            credential: Option::decode_from(reader)?,
            ldevid: Vec::decode_from(reader)?,
            wifi: Option::decode_from(reader)?,
            wifi_ca: Vec::decode_from(reader)?,
            status: reader.text()?.to_owned(),
            renewal: if length == 7 { Option::decode_from(reader)? } else { None },
        })
    }
}
