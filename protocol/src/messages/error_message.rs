//! Message 255: what a peer is told when a conversation fails (FDO 1.1, error message).

use std::fmt;

use crate::cbor::{Decode, Encode, Kind, Reader, Writer};
use crate::error::{Error, ErrorCode};

/// `[EMErrorCode, EMPrevMsgID, EMErrorStr, EMErrorTs, EMErrorCID]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What kind of error; numbers beyond the table are kept.
    pub code: u16,
    /// Type of the message that caused it.
    pub previous: u8,
    /// A short text for people.
    pub text: String,
    /// Seconds since 1970, where the peer gave them as a number.
    pub timestamp: Option<u64>,
    /// Joins this error to the log of the side that sent it; wider ones are kept by their low 64 bits.
    pub correlation: Option<u64>,
}

impl ErrorMessage {
    /// The message for an error: a fixed text and nothing of the reason.
    pub fn of(error: &Error, previous: u8, now: u64, correlation: u32) -> Self {
        Self { text: error.text().to_owned(), ..Self::new(error.code(), previous, now, correlation) }
    }

    /// The message for a code, with its fixed text.
    pub fn new(code: ErrorCode, previous: u8, now: u64, correlation: u32) -> Self {
        Self {
            code: code.number(),
            previous,
            text: code.text().to_owned(),
            timestamp: Some(now),
            correlation: Some(u64::from(correlation)),
        }
    }
}

impl fmt::Display for ErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text.chars().filter(|c| !c.is_control()).take(120).collect();
        write!(f, "error {} on message {}: {text}", self.code, self.previous)?;
        match self.correlation {
            Some(id) => write!(f, " (correlation id {id})"),
            None => Ok(()),
        }
    }
}

impl Encode for ErrorMessage {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(5).value(&self.code).value(&self.previous).text(&self.text);
        writer.value(&self.timestamp).value(&self.correlation);
    }
}

impl Decode for ErrorMessage {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(5)?;
        Ok(Self {
            code: u16::decode_from(reader)?,
            previous: u8::decode_from(reader)?,
            text: reader.text()?.to_owned(),
            timestamp: timestamp(reader)?,
            correlation: correlation(reader)?,
        })
    }
}

/// Peers send null, a bare integer, or either of the two tagged times.
fn timestamp(reader: &mut Reader<'_>) -> Result<Option<u64>, Error> {
    if reader.kind() == Kind::Tag {
        reader.tag()?;
    }
    if reader.kind() == Kind::Integer {
        return reader.unsigned().map(Some);
    }
    reader.raw()?;
    Ok(None)
}

/// Null, an integer, or a big number.
fn correlation(reader: &mut Reader<'_>) -> Result<Option<u64>, Error> {
    match reader.kind() {
        Kind::Integer => reader.unsigned().map(Some),
        Kind::Tag => {
            reader.tag()?;
            let digits = reader.bytes()?;
            let low = &digits[digits.len().saturating_sub(8)..];
            Ok(Some(low.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
        }
        _ => {
            reader.raw()?;
            Ok(None)
        }
    }
}
