//! `fdo.payload`: something of a MIME type that the device shall use while its system runs: a script, a configuration.
//! A draft, built on generic chunking.

mod signed;

use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Kind, RawItem, Reader, Writer, decode};
use crate::error::Error;
use crate::service_info::chunking::{Ack, Begin, End, MAX_MESSAGE, Outcome, Part, decode_chunk, fields};
use crate::service_info::{
    ModuleMessage, ServiceInfoKv, bounded_text, decode_active, kv_of_bytes, shortened_text,
};

pub use signed::OwnerSignature;

/// The module's name.
pub const MODULE: &str = "fdo.payload";
/// What the names of its messages begin with.
pub const PREFIX: &str = "payload";
/// What the names of the messages of a log begin with.
pub const LOG_PREFIX: &str = "payload-log";
/// The longest MIME type, name and version, in bytes.
pub const MAX_TEXT: usize = 255;

/// Key of the MIME type in `payload-begin`.
const MIME_TYPE: i64 = -1;
/// Key of the name.
const NAME: i64 = -2;
/// Key of the version.
const VERSION: i64 = -4;

/// What is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its MIME type.
    pub mime_type: String,
    /// Its name, for people or as a file's.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The rest.
    pub begin: Begin,
}

impl Announcement {
    /// The `payload-begin` that says it.
    pub fn to_begin(&self) -> Begin {
        let mut begin = self.begin.clone().with_own(MIME_TYPE, &self.mime_type);
        if let Some(name) = &self.name {
            begin = begin.with_own(NAME, name);
        }
        if let Some(version) = &self.version {
            begin = begin.with_own(VERSION, version);
        }
        begin
    }

    /// Reads the fields of a `payload-begin`.
    ///
    /// # Errors
    /// [`Error::Malformed`] without a MIME type, or with texts of another type or beyond [`MAX_TEXT`].
    pub fn of(mut begin: Begin) -> Result<Self, Error> {
        let mut text = |key| begin.own.remove(&key).map(|RawItem(item)| bounded_text(&item, MAX_TEXT)).transpose();
        let mime_type = text(MIME_TYPE)?.ok_or(Error::Malformed("a payload without a MIME type"))?;
        Ok(Self { mime_type, name: text(NAME)?, version: text(VERSION)?, begin })
    }
}

impl Encode for Announcement {
    fn encode_into(&self, writer: &mut Writer) {
        writer.value(&self.to_begin());
    }
}

impl Decode for Announcement {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::of(Begin::decode_from(reader)?)
    }
}

/// A `payload-begin` as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// Believed because the tunnel's other end is the owner.
    Bare(Box<Announcement>),
    /// A COSE_Sign1 over the map, not verified.
    Signed(RawItem),
}

/// Numbers of `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// 1
    #[error("its MIME type is not offered")]
    UnknownMimeType,
    /// 2
    #[error("it does not decode")]
    InvalidFormat,
    /// 4
    #[error("it could not be applied")]
    UnableToApply,
    /// 5
    #[error("it needs a feature that is not offered")]
    UnsupportedFeature,
    /// 6
    #[error("pieces were lost, or there were too many")]
    Transfer,
    /// 7
    #[error("there is no space for it")]
    Resource,
    /// 11
    #[error("its hash differs")]
    Hash,
    /// 14
    #[error("it would have to be fetched")]
    DeliveryMode,
    /// 15
    #[error("it is signed by somebody who may not")]
    NotAuthorized,
    /// Any other number.
    #[error("error {0}")]
    Other(u64),
}

impl PayloadError {
    const ALL: [(Self, u64); 9] = [
        (Self::UnknownMimeType, 1),
        (Self::InvalidFormat, 2),
        (Self::UnableToApply, 4),
        (Self::UnsupportedFeature, 5),
        (Self::Transfer, 6),
        (Self::Resource, 7),
        (Self::Hash, 11),
        (Self::DeliveryMode, 14),
        (Self::NotAuthorized, 15),
    ];

    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Self::Other(number) => number,
            known => Self::ALL.iter().find(|(other, _)| *other == known).map_or(0, |(_, number)| *number),
        }
    }

    /// The error with this number.
    pub fn from_number(number: u64) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == number).map_or(Self::Other(number), |(known, _)| *known)
    }
}

/// What the owner says.
#[derive(Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `payload-begin`
    Begin(Beginning),
    /// `payload-data-<n>`
    Data(u64, Zeroizing<Vec<u8>>),
    /// `payload-end`
    End(End),
    /// `payload-log-ack`: whether a log is wanted.
    LogAck(Ack),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Begin(Beginning::Bare(announcement)) => {
                ServiceInfoKv::new(MODULE, &Part::Begin.name(PREFIX), announcement.as_ref())
            }
            Self::Begin(Beginning::Signed(item)) => ServiceInfoKv::new(MODULE, &Part::Begin.name(PREFIX), item),
            Self::Data(index, piece) => kv_of_bytes(MODULE, &Part::Data(*index).name(PREFIX), piece),
            Self::End(end) => ServiceInfoKv::new(MODULE, &Part::End.name(PREFIX), end),
            Self::LogAck(ack) => ServiceInfoKv::new(MODULE, &Part::Ack.name(LOG_PREFIX), ack),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        if message == "active" {
            return Ok(Some(Self::Active(decode_active(item)?)));
        }
        if Part::of(LOG_PREFIX, message)? == Some(Part::Ack) {
            return Ok(Some(Self::LogAck(decode(item)?)));
        }
        Ok(match Part::of(PREFIX, message)? {
            Some(Part::Begin) if Reader::new(item)?.kind() == Kind::Tag => {
                Some(Self::Begin(Beginning::Signed(RawItem(item.to_vec()))))
            }
            Some(Part::Begin) => Some(Self::Begin(Beginning::Bare(Box::new(decode(item)?)))),
            Some(Part::Data(index)) => Some(Self::Data(index, decode_chunk(item)?)),
            Some(Part::End) => Some(Self::End(decode(item)?)),
            Some(Part::Ack | Part::Result) | None => None,
        })
    }
}

/// What the device says.
#[derive(Clone, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`
    Active(bool),
    /// `payload-ack`
    Ack(Ack),
    /// `payload-result`; status 3 means applied, and that the session should be begun again.
    Result(Outcome),
    /// `error`, instead of any of these: the number and a text for people.
    Error(PayloadError, Option<String>),
    /// `payload-log-begin`
    LogBegin(Begin),
    /// `payload-log-data-<n>`
    LogData(u64, Zeroizing<Vec<u8>>),
    /// `payload-log-end`
    LogEnd(End),
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Ack(ack) => ServiceInfoKv::new(MODULE, &Part::Ack.name(PREFIX), ack),
            Self::Result(outcome) => ServiceInfoKv::new(MODULE, &Part::Result.name(PREFIX), outcome),
            Self::Error(error, text) => {
                let mut map = Writer::default();
                map.map(1 + usize::from(text.is_some())).unsigned(0).unsigned(error.number());
                if let Some(text) = text {
                    map.unsigned(1).text(text);
                }
                ServiceInfoKv::from_item(format!("{MODULE}:error"), map.into_bytes())
            }
            Self::LogBegin(begin) => ServiceInfoKv::new(MODULE, &Part::Begin.name(LOG_PREFIX), begin),
            Self::LogData(index, piece) => kv_of_bytes(MODULE, &Part::Data(*index).name(LOG_PREFIX), piece),
            Self::LogEnd(end) => ServiceInfoKv::new(MODULE, &Part::End.name(LOG_PREFIX), end),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        match message {
            "active" => return Ok(Some(Self::Active(decode_active(item)?))),
            "error" => return error(item).map(Some),
            _ => {}
        }
        Ok(match (Part::of(PREFIX, message)?, Part::of(LOG_PREFIX, message)?) {
            (Some(Part::Ack), _) => Some(Self::Ack(decode(item)?)),
            (Some(Part::Result), _) => Some(Self::Result(decode(item)?)),
            (_, Some(Part::Begin)) => Some(Self::LogBegin(decode(item)?)),
            (_, Some(Part::Data(index))) => Some(Self::LogData(index, decode_chunk(item)?)),
            (_, Some(Part::End)) => Some(Self::LogEnd(decode(item)?)),
            _ => None,
        })
    }
}

/// A map, or the number alone.
fn error(item: &[u8]) -> Result<ToOwner, Error> {
    let mut reader = Reader::new(item)?;
    if reader.kind() == Kind::Integer {
        return Ok(ToOwner::Error(PayloadError::from_number(reader.unsigned()?), None));
    }
    let fields = fields(&mut reader)?;
    let number = decode(fields.get(&0).ok_or(Error::Malformed("an error without a number"))?)?;
    let text = fields.get(&1).map(|item| shortened_text(item, MAX_MESSAGE)).transpose()?;
    Ok(ToOwner::Error(PayloadError::from_number(number), text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::encode;

    fn announcement() -> Announcement {
        Announcement {
            mime_type: "application/x-sh".into(),
            name: Some("setup".into()),
            version: Some("1".into()),
            begin: Begin { total_size: Some(3), require_ack: true, ..Begin::default() },
        }
    }

    #[test]
    fn both_directions_come_back() {
        for message in [
            ToDevice::Active(true),
            ToDevice::Begin(Beginning::Bare(Box::new(announcement()))),
            ToDevice::Begin(Beginning::Signed(RawItem(hex::decode("d28443a10126a04101420000").unwrap()))),
            ToDevice::Data(7, Zeroizing::new(b"abc".to_vec())),
            ToDevice::End(End { hash: Some(vec![1; 32]), ..End::default() }),
            ToDevice::LogAck(Ack::refused(5, "no")),
        ] {
            let kv = message.to_kv();
            assert!(ToDevice::decode(kv.message(), &kv.value).unwrap() == Some(message), "{}", kv.key);
        }
        for message in [
            ToOwner::Active(false),
            ToOwner::Ack(Ack::refused(1, "no")),
            ToOwner::Result(Outcome { status: 3, message: None }),
            ToOwner::Error(PayloadError::Hash, Some("differs".into())),
            ToOwner::Error(PayloadError::Other(99), None),
            ToOwner::LogBegin(Begin::default()),
            ToOwner::LogData(0, Zeroizing::new(b"log".to_vec())),
            ToOwner::LogEnd(End::default()),
        ] {
            let kv = message.to_kv();
            assert!(ToOwner::decode(kv.message(), &kv.value).unwrap() == Some(message), "{}", kv.key);
        }
        assert!(ToOwner::decode("payload-later", &[0xf6]).unwrap().is_none());
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        for (message, item) in [
            ("payload-begin", "a0"),
            ("payload-begin", "a12001"),
            ("payload-begin", "a2206161f4f5f5"),
            ("payload-begin", "f6"),
            ("payload-data-0", "6161"),
            ("payload-data-00", "4161"),
            ("payload-end", "80"),
            ("payload-log-ack", "a0"),
        ] {
            assert!(ToDevice::decode(message, &hex::decode(item).unwrap()).is_err(), "{message} {item}");
        }
        for (message, item) in
            [("error", "a0"), ("error", "6161"), ("payload-ack", "f5"), ("payload-result", "00"), ("error", "20")]
        {
            assert!(ToOwner::decode(message, &hex::decode(item).unwrap()).is_err(), "{message} {item}");
        }
        let mut long = announcement();
        long.mime_type = "x".repeat(256);
        assert!(ToDevice::decode("payload-begin", &encode(&long.to_begin())).is_err());
        assert!(matches!(
            ToOwner::decode("error", &[6]).unwrap(),
            Some(ToOwner::Error(PayloadError::Transfer, None))
        ));
    }
}
