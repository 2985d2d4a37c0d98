//! The key and the HMAC secret of an unfinished DI: written before message 10 is sent, so that the next try is made
//! by the same device (FDO 1.1, section 5.2).

use fdo_protocol::Error;
use fdo_protocol::cbor::{Decode, Encode, Reader, Writer};
use fdo_protocol::crypto::{KeyType, SigningKey};
use zeroize::Zeroizing;

/// What a DI asks for: another manufacturer, serial number or type of key is another DI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftPurpose {
    /// The manufacturer's service.
    pub manufacturer: String,
    /// The serial number.
    pub serial: String,
    /// The type of the key.
    pub key_type: KeyType,
}

/// The secrets that a DI makes, until they are an identity.
pub struct Draft {
    /// What they were made for.
    pub purpose: DraftPurpose,
    /// The attestation key to be.
    pub key: SigningKey,
    /// The HMAC secret of the credential to be.
    pub hmac_secret: Zeroizing<Vec<u8>>,
}

impl Encode for DraftPurpose {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(3).text(&self.manufacturer).text(&self.serial).text(&self.key_type.to_string());
    }
}

impl Decode for DraftPurpose {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        Ok(Self {
            manufacturer: reader.text()?.to_owned(),
            serial: reader.text()?.to_owned(),
            key_type: reader.text()?.parse()?,
        })
    }
}

impl Draft {
    /// The file that keeps it.
    ///
    /// # Errors
    /// [`Error`] when the key cannot be written down.
    pub(super) fn to_file(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut writer = Writer::default();
        writer.array(3).value(&self.purpose).bytes(&self.key.to_pkcs8_der()?).bytes(&self.hmac_secret);
        Ok(Zeroizing::new(writer.into_bytes()))
    }
}

impl Decode for Draft {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        Ok(Self {
            purpose: DraftPurpose::decode_from(reader)?,
            key: SigningKey::from_der(reader.bytes()?)?,
            hmac_secret: Zeroizing::new(reader.bytes()?.to_vec()),
        })
    }
}
