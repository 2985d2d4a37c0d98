//! `fdo.download`: a file from the owner to the device.

use zeroize::Zeroizing;

use crate::cbor::decode;
use crate::error::Error;
use crate::service_info::{
    ModuleMessage, ServiceInfoKv, bounded_bytes, bounded_text, decode_active, kv_of_bytes, sha384,
};

/// The module's name.
pub const MODULE: &str = "fdo.download";
/// The longest name of a file, in bytes.
pub const MAX_NAME: usize = 1024;
/// The longest piece of a file that every device takes, in bytes.
pub const MAX_DATA: usize = 1014;

/// What the owner says: always in this order, the data in pieces.
#[derive(Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `name`: a path; the device decides under which directory.
    Name(String),
    /// `length` of the file, in bytes.
    Length(u64),
    /// `sha-384` of the file.
    Sha384([u8; 48]),
    /// `data`: the next piece; an empty one ends a file whose length was not given.
    Data(Zeroizing<Vec<u8>>),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Name(name) => ServiceInfoKv::new(MODULE, "name", name),
            Self::Length(length) => ServiceInfoKv::new(MODULE, "length", length),
            Self::Sha384(digest) => kv_of_bytes(MODULE, "sha-384", digest),
            Self::Data(data) => kv_of_bytes(MODULE, "data", data),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "name" => Self::Name(bounded_text(item, MAX_NAME)?),
            "length" => Self::Length(decode(item)?),
            "sha-384" => Self::Sha384(sha384(item)?),
            "data" => Self::Data(bounded_bytes(item, usize::from(u16::MAX))?),
            _ => return Ok(None),
        }))
    }
}

/// What the device says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`
    Active(bool),
    /// `done`: the bytes written, or `None` (-1 on the wire) when the file did not arrive as announced.
    Done(Option<u64>),
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Done(Some(length)) => ServiceInfoKv::new(MODULE, "done", length),
            Self::Done(None) => ServiceInfoKv::new(MODULE, "done", &-1_i64),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "done" => Self::Done(u64::try_from(decode::<i64>(item)?).ok()),
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
            ToDevice::Name("etc/a.conf".into()),
            ToDevice::Length(1 << 40),
            ToDevice::Sha384([7; 48]),
            ToDevice::Data(Zeroizing::new(vec![1; 1014])),
        ] {
            let kv = message.to_kv();
            assert!(ToDevice::decode(kv.message(), &kv.value).unwrap() == Some(message));
        }
        for message in [ToOwner::Active(false), ToOwner::Done(Some(3)), ToOwner::Done(None)] {
            let kv = message.to_kv();
            assert_eq!(ToOwner::decode(kv.message(), &kv.value).unwrap(), Some(message));
        }
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        assert!(ToDevice::decode("sha-384", &encode(&ByteString(vec![0; 32]))).is_err());
        assert!(ToDevice::decode("name", &encode(&"n".repeat(1025))).is_err());
        assert!(ToOwner::decode("done", &encode("3")).is_err());
        assert!(ToOwner::decode("eot", &[0xf6]).unwrap().is_none());
    }
}
