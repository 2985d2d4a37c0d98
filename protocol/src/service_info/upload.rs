//! `fdo.upload`: a file from the device to the owner.

use zeroize::Zeroizing;

use crate::cbor::decode;
use crate::error::Error;
use crate::service_info::{
    ModuleMessage, ServiceInfoKv, bounded_bytes, bounded_text, decode_active, kv_of_bytes, sha384,
};

/// The module's name.
pub const MODULE: &str = "fdo.upload";
/// The longest name of a file, in bytes.
pub const MAX_NAME: usize = 1024;
/// The longest piece of a file that every owner takes, in bytes.
pub const MAX_DATA: usize = 1014;

/// What the owner says; the name is the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `need-sha`: whether the file's hash is to follow it.
    NeedSha(bool),
    /// `name`: which file; the device decides below which directory.
    Name(String),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::NeedSha(needed) => ServiceInfoKv::new(MODULE, "need-sha", needed),
            Self::Name(name) => ServiceInfoKv::new(MODULE, "name", name),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "need-sha" => Self::NeedSha(decode(item)?),
            "name" => Self::Name(bounded_text(item, MAX_NAME)?),
            _ => return Ok(None),
        }))
    }
}

/// What the device says: the length, the data in pieces (an empty one for an empty file), the hash if it was wanted.
#[derive(Clone, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`; false when the device does not give the file.
    Active(bool),
    /// `length` of the file, in bytes.
    Length(u64),
    /// `data`: the next piece.
    Data(Zeroizing<Vec<u8>>),
    /// `sha-384` of the file.
    Sha384([u8; 48]),
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Length(length) => ServiceInfoKv::new(MODULE, "length", length),
            Self::Data(data) => kv_of_bytes(MODULE, "data", data),
            Self::Sha384(digest) => kv_of_bytes(MODULE, "sha-384", digest),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "length" => Self::Length(decode(item)?),
            "data" => Self::Data(bounded_bytes(item, usize::from(u16::MAX))?),
            "sha-384" => Self::Sha384(sha384(item)?),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{ByteString, encode};

    #[test]
    fn both_directions_come_back() {
        for message in [ToDevice::Active(true), ToDevice::NeedSha(true), ToDevice::Name("log/a".into())] {
            let kv = message.to_kv();
            assert_eq!(ToDevice::decode(kv.message(), &kv.value).unwrap(), Some(message));
        }
        for message in [
            ToOwner::Active(false),
            ToOwner::Length(1 << 40),
            ToOwner::Data(Zeroizing::new(vec![1; 1014])),
            ToOwner::Data(Zeroizing::default()),
            ToOwner::Sha384([7; 48]),
        ] {
            let kv = message.to_kv();
            assert!(ToOwner::decode(kv.message(), &kv.value).unwrap() == Some(message));
        }
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        for (message, item) in [
            ("need-sha", encode(&1_u8)),
            ("name", encode(&"n".repeat(1025))),
            ("name", encode(&ByteString(vec![b'n']))),
            ("active", encode("true")),
        ] {
            assert!(ToDevice::decode(message, &item).is_err(), "{message}");
        }
        for (message, item) in [
            ("length", encode(&-1_i64)),
            ("length", encode("3")),
            ("data", encode(&3_u8)),
            ("data", encode(&ByteString(vec![0; 65_536]))),
            ("sha-384", encode(&ByteString(vec![0; 32]))),
            ("sha-384", vec![0xf6]),
        ] {
            assert!(ToOwner::decode(message, &item).is_err(), "{message}");
        }
        assert!(ToOwner::decode("eot", &[0xf6]).unwrap().is_none());
    }
}
