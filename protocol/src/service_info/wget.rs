//! `fdo.wget`: a file that the device fetches by itself from a URL.

use crate::cbor::{Kind, Reader, decode};
use crate::error::Error;
use crate::service_info::{
    ModuleMessage, ServiceInfoKv, bounded_text, decode_active, kv_of_bytes, sha384, shortened_text,
};

/// The module's name.
pub const MODULE: &str = "fdo.wget";
/// The longest name of a file, in bytes.
pub const MAX_NAME: usize = 1024;
/// The longest URL, in bytes.
pub const MAX_URL: usize = 2048;
/// How much of a device's complaint is kept, in bytes.
pub const MAX_ERROR: usize = 1024;

/// What the owner says, in this order; the URL is the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `sha-384` of the file, if it is known.
    Sha384([u8; 48]),
    /// `name`: a path; without it the URL's last part.
    Name(String),
    /// `url`: fetch it.
    Url(String),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Sha384(digest) => kv_of_bytes(MODULE, "sha-384", digest),
            Self::Name(name) => ServiceInfoKv::new(MODULE, "name", name),
            Self::Url(url) => ServiceInfoKv::new(MODULE, "url", url),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "sha-384" => Self::Sha384(sha384(item)?),
            "name" => Self::Name(bounded_text(item, MAX_NAME)?),
            "url" => Self::Url(bounded_text(item, MAX_URL)?),
            _ => return Ok(None),
        }))
    }
}

/// What the device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`
    Active(bool),
    /// `done`: the bytes written; `None` (-1 on the wire) when there is no file.
    Done(Option<u64>),
    /// `error`: why there is no file, cut to [`MAX_ERROR`].
    Error(String),
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Done(Some(length)) => ServiceInfoKv::new(MODULE, "done", length),
            Self::Done(None) => ServiceInfoKv::new(MODULE, "done", &-1_i64),
            Self::Error(error) => ServiceInfoKv::new(MODULE, "error", error),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "done" => Self::Done(u64::try_from(decode::<i64>(item)?).ok()),
            "error" if Reader::new(item)?.kind() == Kind::Integer => {
                Self::Error(format!("error {}", decode::<i64>(item)?))
            }
            "error" => Self::Error(shortened_text(item, MAX_ERROR)?),
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
        for message in [
            ToDevice::Active(true),
            ToDevice::Sha384([1; 48]),
            ToDevice::Name("a/b".into()),
            ToDevice::Url("https://example.net/a".into()),
        ] {
            let kv = message.to_kv();
            assert_eq!(ToDevice::decode(kv.message(), &kv.value).unwrap(), Some(message));
        }
        for message in
            [ToOwner::Active(true), ToOwner::Done(Some(9)), ToOwner::Done(None), ToOwner::Error("404".into())]
        {
            let kv = message.to_kv();
            assert_eq!(ToOwner::decode(kv.message(), &kv.value).unwrap(), Some(message));
        }
    }

    #[test]
    fn what_does_not_fit_is_malformed_and_long_complaints_are_cut() {
        assert!(ToDevice::decode("url", &encode(&"u".repeat(MAX_URL + 1))).is_err());
        assert!(ToDevice::decode("url", &encode(&1_u8)).is_err());
        assert!(ToDevice::decode("name", &encode(&"n".repeat(MAX_NAME + 1))).is_err());
        assert!(ToDevice::decode("sha-384", &encode(&ByteString(vec![0; 47]))).is_err());
        assert!(ToOwner::decode("done", &encode("9")).is_err());
        assert!(ToOwner::decode("error", &[0xf6]).is_err());
        let long = ToOwner::decode("error", &encode(&"ä".repeat(MAX_ERROR))).unwrap();
        assert!(matches!(long, Some(ToOwner::Error(text)) if text.len() == MAX_ERROR));
    }
}
