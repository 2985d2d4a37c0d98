//! Generic chunking (drafts of the FIDO Alliance's members): one value in a `begin`, pieces and an `end`, which the
//! receiver may accept first and answers with a result. The modules that are built on it differ in the prefix of the
//! messages' names and in the negative keys of `begin`.

mod begin;
mod receiver;
mod sender;

use std::collections::BTreeMap;

use crate::cbor::{ByteString, Decode, Encode, Kind, Reader, Writer, decode};
use crate::error::Error;
use crate::service_info::shortened_text;
pub use begin::{Begin, ContentHash, HashAlgorithm};
pub use receiver::{ChunkError, Receiver};
pub use sender::Sender;

/// The longest piece that every receiver takes, in bytes.
pub const MAX_CHUNK: usize = 1014;
/// The longest piece that is taken, in bytes.
pub const MAX_RECEIVED_CHUNK: usize = 65_535;
/// How much of a text for people is kept, in bytes.
pub const MAX_MESSAGE: usize = 1024;

/// A message of the scheme, by what stands behind the prefix and its hyphen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `-begin`
    Begin,
    /// `-ack`
    Ack,
    /// `-data-<n>`
    Data(u64),
    /// `-end`
    End,
    /// `-result`
    Result,
}

impl Part {
    /// The part that a message's name says, if it is one of this prefix.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a piece whose number is not written as it should be.
    pub fn of(prefix: &str, message: &str) -> Result<Option<Self>, Error> {
        let rest = message.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
        Ok(match rest {
            Some("begin") => Some(Self::Begin),
            Some("ack") => Some(Self::Ack),
            Some("end") => Some(Self::End),
            Some("result") => Some(Self::Result),
            Some(rest) => match rest.strip_prefix("data-") {
                Some(number) => Some(Self::Data(index(number)?)),
                None => None,
            },
            None => None,
        })
    }

    /// The name of the message.
    pub fn name(self, prefix: &str) -> String {
        match self {
            Self::Begin => format!("{prefix}-begin"),
            Self::Ack => format!("{prefix}-ack"),
            Self::Data(number) => format!("{prefix}-data-{number}"),
            Self::End => format!("{prefix}-end"),
            Self::Result => format!("{prefix}-result"),
        }
    }
}

/// Decimal, without padding.
fn index(number: &str) -> Result<u64, Error> {
    let padded = number.len() > 1 && number.starts_with('0');
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = number.parse().ok().filter(|_| digits && !padded);
    parsed.ok_or(Error::Malformed("a piece without a plain number"))
}

/// A piece of the value.
///
/// # Errors
/// [`Error::Malformed`] for anything but a byte string of at most [`MAX_RECEIVED_CHUNK`] bytes.
pub fn decode_chunk(item: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
    if Reader::new(item)?.kind() != Kind::Bytes {
        return Err(Error::Malformed("a piece that is no byte string"));
    }
    super::bounded_bytes(item, MAX_RECEIVED_CHUNK)
}

/// `-end`: the value is complete, or its sender gave up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct End {
    /// 0 unless the sender gave up.
    pub status: u64,
    /// The hash of the value.
    pub hash: Option<Vec<u8>>,
    /// For people.
    pub message: Option<String>,
}

impl Encode for End {
    fn encode_into(&self, writer: &mut Writer) {
        writer.map(1 + usize::from(self.hash.is_some()) + usize::from(self.message.is_some()));
        writer.unsigned(0).unsigned(self.status);
        if let Some(hash) = &self.hash {
            writer.unsigned(1).bytes(hash);
        }
        if let Some(message) = &self.message {
            writer.unsigned(2).text(message);
        }
    }
}

impl Decode for End {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut end = Self::default();
        for (key, value) in fields(reader)? {
            match key {
                0 => end.status = decode(value)?,
                1 => end.hash = Some(decode::<ByteString>(value)?.0),
                2 => end.message = Some(shortened_text(value, MAX_MESSAGE)?),
                _ => {}
            }
        }
        Ok(end)
    }
}

/// `-ack`: whether the receiver wants the value; sent only where `begin` asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Whether it does.
    pub accepted: bool,
    /// Why not: 1 type, 2 size, 3 not applicable, 4 policy, 5 already there (of a log: not wanted).
    pub reason: Option<u64>,
    /// For people.
    pub message: Option<String>,
}

impl Ack {
    /// Send it.
    pub const ACCEPTED: Self = Self { accepted: true, reason: None, message: None };

    /// Do not send it.
    pub fn refused(reason: u64, message: &str) -> Self {
        Self { accepted: false, reason: Some(reason), message: Some(message.to_owned()) }
    }
}

impl Encode for Ack {
    fn encode_into(&self, writer: &mut Writer) {
        let length = match (&self.reason, &self.message) {
            (None, None) => 1,
            (_, None) => 2,
            (_, Some(_)) => 3,
        };
        writer.array(length).bool(self.accepted);
        if length > 1 {
            writer.value(&self.reason);
        }
        if let Some(message) = &self.message {
            writer.text(message);
        }
    }
}

impl Decode for Ack {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = reader.array_length()?;
        if !(1..=3).contains(&length) {
            return Err(Error::Malformed("wrong number of elements"));
        }
        let accepted = reader.bool()?;
        let reason = if length > 1 { Option::decode_from(reader)? } else { None };
        let message = if length > 2 { optional_text(reader)? } else { None };
        Ok(Self { accepted, reason, message })
    }
}

/// `-result`: what came of the value; the receiver's last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// 0 success, 1 with a warning, 2 error; modules may add to these.
    pub status: u64,
    /// For people.
    pub message: Option<String>,
}

impl Encode for Outcome {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(1 + usize::from(self.message.is_some())).unsigned(self.status);
        if let Some(message) = &self.message {
            writer.text(message);
        }
    }
}

impl Decode for Outcome {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = reader.array_length()?;
        if !(1..=2).contains(&length) {
            return Err(Error::Malformed("wrong number of elements"));
        }
        let status = reader.unsigned()?;
        let message = if length > 1 { optional_text(reader)? } else { None };
        Ok(Self { status, message })
    }
}

fn optional_text(reader: &mut Reader<'_>) -> Result<Option<String>, Error> {
    if reader.null() { Ok(None) } else { shortened_text(reader.raw()?, MAX_MESSAGE).map(Some) }
}

/// The values under integer keys; all others are unknown and ignored.
pub(in crate::service_info) fn fields<'a>(reader: &mut Reader<'a>) -> Result<BTreeMap<i64, &'a [u8]>, Error> {
    let mut fields = BTreeMap::new();
    for _ in 0..reader.map_length()? {
        let key = decode::<i64>(reader.raw()?).ok();
        let value = reader.raw()?;
        fields.extend(key.map(|key| (key, value)));
    }
    Ok(fields)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::encode;

    #[test]
    fn names_tell_the_part_and_come_back() {
        for part in [Part::Begin, Part::Ack, Part::Data(0), Part::Data(u64::MAX), Part::End, Part::Result] {
            assert_eq!(Part::of("payload", &part.name("payload")).unwrap(), Some(part));
        }
        for other in ["payload-log-begin", "payload", "payloadbegin", "error", "payload-data", "payload-"] {
            assert_eq!(Part::of("payload", other).unwrap(), None, "{other}");
        }
        for broken in ["01", "", "+1", "1a", "18446744073709551616", "-1"] {
            assert!(Part::of("payload", &format!("payload-data-{broken}")).is_err(), "{broken}");
        }
    }

    #[test]
    fn small_messages_are_read_in_every_form() {
        let end: End = decode(&hex::decode("a0").unwrap()).unwrap();
        assert_eq!(end, End::default());
        let end = End { status: 1, hash: Some(vec![1; 32]), message: Some("gone".into()) };
        assert_eq!(decode::<End>(&encode(&end)).unwrap(), end);
        // Long integers, a negative and a text key.
        let end: End = decode(&hex::decode("a31b00000000000000001b00000000000000022005616101").unwrap()).unwrap();
        assert_eq!(end.status, 2);
        assert!(decode::<End>(&hex::decode("a10061").unwrap()).is_err());
        for ack in [Ack::ACCEPTED, Ack::refused(1, "no"), Ack { message: None, ..Ack::refused(2, "") }] {
            assert_eq!(decode::<Ack>(&encode(&ack)).unwrap(), ack);
        }
        assert_eq!(decode::<Ack>(&hex::decode("83f5f6f6").unwrap()).unwrap(), Ack::ACCEPTED);
        for broken in ["80", "84f5f6f6f6", "8101", "82f56161"] {
            assert!(decode::<Ack>(&hex::decode(broken).unwrap()).is_err(), "{broken}");
        }
        for outcome in [Outcome { status: 0, message: None }, Outcome { status: 2, message: Some("x".into()) }] {
            assert_eq!(decode::<Outcome>(&encode(&outcome)).unwrap(), outcome);
        }
        assert_eq!(decode::<Outcome>(&hex::decode("8200f6").unwrap()).unwrap().message, None);
        for broken in ["80", "83000000", "8120", "820000"] {
            assert!(decode::<Outcome>(&hex::decode(broken).unwrap()).is_err(), "{broken}");
        }
        assert!(decode_chunk(&encode("text")).is_err());
    }
}
