//! Service info: key and value pairs that the owner and the device exchange inside TO2's tunnel (FDO 1.1, messages 68
//! and 69, and the modules that ride on them).

mod assemble;
mod chunk;
pub mod chunking;
pub mod command;
pub mod conformance;
pub mod csr;
pub mod devmod;
pub mod download;
pub mod est;
pub mod owner;
pub mod payload;
mod turn;
pub mod upload;
pub mod wget;
pub mod wifi;

use std::fmt;

use zeroize::Zeroizing;

use crate::cbor::{ByteString, Decode, Encode, Kind, Reader, Writer, decode, encode};
use crate::cbor_array;
use crate::error::Error;
pub use assemble::{Assembler, DEFAULT_VALUE_LIMIT};
pub use chunk::{DEFAULT_SIZE, MINIMUM_SIZE, Outbox, max_value_length, negotiated_size};
pub use turn::{DeviceTurn, Floor, OwnerTurn, TurnLimits};

/// The longest key, `module:message`, in bytes.
pub const MAX_KEY_LENGTH: usize = 255;

/// One pair: `module:message`, and one CBOR item (or a part of one) as the content of a byte string.
///
/// A value may hold a password: it is wiped when dropped and not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceInfoKv {
    /// `module:message`.
    pub key: String,
    /// The content of the byte string.
    pub value: Zeroizing<Vec<u8>>,
}

impl ServiceInfoKv {
    /// A pair of our own.
    pub fn new<T: Encode + ?Sized>(module: &str, message: &str, value: &T) -> Self {
        Self::from_item(format!("{module}:{message}"), encode(value))
    }

    /// A pair whose item is encoded already.
    pub fn from_item(key: String, item: Vec<u8>) -> Self {
        Self { key, value: Zeroizing::new(item) }
    }

    /// The part of the key before the first colon.
    pub fn module(&self) -> &str {
        self.key.split_once(':').map_or(&self.key, |(module, _)| module)
    }

    /// The part of the key after the first colon.
    pub fn message(&self) -> &str {
        self.key.split_once(':').map_or("", |(_, message)| message)
    }

    /// What it takes within a list, in bytes.
    pub fn encoded_length(&self) -> usize {
        1 + chunk::string_length(self.key.len()) + chunk::string_length(self.value.len())
    }
}

impl fmt::Debug for ServiceInfoKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.key, self.value.len())
    }
}

impl Encode for ServiceInfoKv {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2).text(&self.key).bytes(&self.value);
    }
}

impl Decode for ServiceInfoKv {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        let key = reader.text()?;
        if key.len() > MAX_KEY_LENGTH {
            return Err(Error::Malformed("service info key of more than 255 bytes"));
        }
        if !key.contains(':') {
            return Err(Error::Malformed("service info key without a module"));
        }
        Ok(Self::from_item(key.to_owned(), reader.bytes()?.to_vec()))
    }
}

/// `[ * [key, value] ]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceInfo(pub Vec<ServiceInfoKv>);

impl ServiceInfo {
    /// Nothing to say.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Encode for ServiceInfo {
    fn encode_into(&self, writer: &mut Writer) {
        self.0.encode_into(writer);
    }
}

impl Decode for ServiceInfo {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Vec::decode_from(reader).map(Self)
    }
}

/// 68: what the device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceServiceInfo {
    /// The device goes on in its next message; the owner must answer with nothing.
    pub is_more: bool,
    /// The pairs.
    pub service_info: ServiceInfo,
}
cbor_array!(DeviceServiceInfo { is_more, service_info });

/// 69: what the owner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerServiceInfo {
    /// The owner goes on in its next message; the device must answer with nothing.
    pub is_more: bool,
    /// The owner has nothing left; 70 follows.
    pub is_done: bool,
    /// The pairs.
    pub service_info: ServiceInfo,
}
cbor_array!(OwnerServiceInfo { is_more, is_done, service_info });

/// A message of a module, in one direction.
pub trait ModuleMessage: Sized {
    /// The module's name.
    const MODULE: &'static str;

    /// The pair that says it.
    fn to_kv(&self) -> ServiceInfoKv;

    /// Reads the message of this name; `None` for a name that the module does not know, which is to be ignored.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the item is not what the message carries.
    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error>;
}

/// A text item of at most `limit` bytes.
pub(crate) fn bounded_text(item: &[u8], limit: usize) -> Result<String, Error> {
    let mut reader = Reader::new(item)?;
    let text = reader.text()?;
    if text.len() > limit {
        return Err(Error::Malformed("text in service info too long"));
    }
    Ok(text.to_owned())
}

/// A byte string, or a text string for its bytes, of at most `limit` bytes.
pub(crate) fn bounded_bytes(item: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut reader = Reader::new(item)?;
    let bytes = match reader.kind() {
        Kind::Text => reader.text()?.as_bytes(),
        _ => reader.bytes()?,
    };
    if bytes.len() > limit {
        return Err(Error::Malformed("byte string in service info too long"));
    }
    Ok(Zeroizing::new(bytes.to_vec()))
}

/// A text item, cut to `limit` bytes: what people are told may be long.
pub(crate) fn shortened_text(item: &[u8], limit: usize) -> Result<String, Error> {
    let mut reader = Reader::new(item)?;
    let text = reader.text()?;
    Ok(text[..text.floor_char_boundary(limit)].to_owned())
}

/// A SHA-384 digest.
pub(crate) fn sha384(item: &[u8]) -> Result<[u8; 48], Error> {
    let ByteString(digest) = decode(item)?;
    digest.try_into().map_err(|_| Error::Malformed("a SHA-384 digest has 48 bytes"))
}

/// A pair whose value is a byte string.
pub(crate) fn kv_of_bytes(module: &str, message: &str, bytes: &[u8]) -> ServiceInfoKv {
    let mut writer = Writer::default();
    writer.bytes(bytes);
    ServiceInfoKv::from_item(format!("{module}:{message}"), writer.into_bytes())
}

/// The value of an `active` message: a boolean, or a map that has one under key 0.
///
/// # Errors
/// [`Error::Malformed`] for anything else.
pub fn decode_active(item: &[u8]) -> Result<bool, Error> {
    let mut reader = Reader::new(item)?;
    if reader.kind() != Kind::Map {
        return reader.bool();
    }
    for _ in 0..reader.map_length()? {
        if reader.kind() == Kind::Integer && reader.integer()? == 0 {
            return reader.bool();
        }
        reader.raw()?;
    }
    Err(Error::Malformed("active without a boolean"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_of_an_owner_is_four_bytes() {
        let message = OwnerServiceInfo { is_more: false, is_done: true, service_info: ServiceInfo::empty() };
        assert_eq!(hex::encode(encode(&message)), "83f4f580");
        assert_eq!(decode::<OwnerServiceInfo>(&encode(&message)).unwrap(), message);
    }

    #[test]
    fn keys_are_bounded_and_name_a_module() {
        let long = ServiceInfoKv::from_item(format!("m:{}", "x".repeat(254)), vec![0xf5]);
        assert!(decode::<ServiceInfoKv>(&encode(&long)).is_err());
        let bare = ServiceInfoKv::from_item("active".into(), vec![0xf5]);
        assert!(decode::<ServiceInfoKv>(&encode(&bare)).is_err());
        let good = ServiceInfoKv::new("fdo.wifi", "active", &true);
        assert_eq!((good.module(), good.message()), ("fdo.wifi", "active"));
        assert_eq!(good.encoded_length(), encode(&good).len());
        assert_eq!(format!("{good:?}"), "fdo.wifi:active (1 bytes)");
    }

    #[test]
    fn active_is_a_boolean_or_a_map() {
        assert!(decode_active(&[0xf5]).unwrap());
        assert!(!decode_active(&hex::decode("a100f4").unwrap()).unwrap());
        assert!(decode_active(&hex::decode("a0").unwrap()).is_err());
        assert!(decode_active(&hex::decode("6474727565").unwrap()).is_err());
    }
}
