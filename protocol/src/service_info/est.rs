//! `firstlight.est`: where a device renews the certificate that it got, whom it trusts there, and the certificate of
//! its birth, which its manufacturer's DI does not give it. Sent only to devices that list the module.

use crate::cbor::{ByteString, decode};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::{ModuleMessage, ServiceInfoKv, bounded_text, decode_active};

/// The module's name.
pub const MODULE: &str = "firstlight.est";
/// The longest URL, in bytes.
pub const MAX_URL: usize = 1024;
/// More certificates in one list than this are refused.
pub const MAX_CERTIFICATES: usize = 16;
/// The longest certificate, in bytes of DER.
pub const MAX_CERTIFICATE: usize = 16 * 1024;
/// When a certificate is renewed where nobody says, in percent of its life.
pub const DEFAULT_RENEW_PERCENT: u64 = 66;
/// Renewals outside of this would come with every second, or too late to be tried twice.
const RENEW_PERCENTS: std::ops::RangeInclusive<u64> = 1..=95;

/// Where and when to renew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalSource {
    /// The EST service (RFC 7030): `https://host:port` with its path, to which the operation is added.
    pub url: String,
    /// After how much of its life a certificate is renewed, in percent.
    pub renew_percent: u64,
    /// The CA certificates that the service's own certificate chains to, in DER.
    pub trust: Vec<ByteString>,
    /// The device's certificate of birth and those above it, in DER; empty where the owner has none.
    pub idevid: Vec<ByteString>,
}
cbor_array!(RenewalSource { url, renew_percent, trust, idevid });

/// What the owner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `url`
    Url(String),
    /// `renew_percent`
    RenewPercent(u64),
    /// `trust`
    Trust(Vec<ByteString>),
    /// `idevid`
    Idevid(Vec<ByteString>),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Url(url) => ServiceInfoKv::new(MODULE, "url", url.as_str()),
            Self::RenewPercent(percent) => ServiceInfoKv::new(MODULE, "renew_percent", percent),
            Self::Trust(list) => ServiceInfoKv::new(MODULE, "trust", list),
            Self::Idevid(list) => ServiceInfoKv::new(MODULE, "idevid", list),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "url" => Self::Url(url(item)?),
            "renew_percent" => Self::RenewPercent(percent(item)?),
            "trust" => Self::Trust(certificates(item)?),
            "idevid" => Self::Idevid(certificates(item)?),
            _ => return Ok(None),
        }))
    }
}

fn url(item: &[u8]) -> Result<String, Error> {
    let url = bounded_text(item, MAX_URL)?;
    let visible = url.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && url.starts_with("https://") {
        Ok(url)
    } else {
        Err(Error::Malformed("the URL of an EST service"))
    }
}

fn percent(item: &[u8]) -> Result<u64, Error> {
    let percent = decode::<u64>(item)?;
    if RENEW_PERCENTS.contains(&percent) {
        Ok(percent)
    } else {
        Err(Error::Malformed("a time of renewal that is not 1 to 95 percent"))
    }
}

fn certificates(item: &[u8]) -> Result<Vec<ByteString>, Error> {
    let list = decode::<Vec<ByteString>>(item)?;
    if list.len() > MAX_CERTIFICATES || list.iter().any(|certificate| certificate.0.len() > MAX_CERTIFICATE) {
        return Err(Error::Malformed("certificates that are too many or too long"));
    }
    Ok(list)
}

/// What the device says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`
    Active(bool),
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        let Self::Active(active) = self;
        ServiceInfoKv::new(MODULE, "active", active)
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(match message {
            "active" => Some(Self::Active(decode_active(item)?)),
            _ => None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::encode;

    #[test]
    fn both_directions_come_back() {
        let list = vec![ByteString(vec![0x30, 0]), ByteString(vec![0x30, 1, 2])];
        for message in [
            ToDevice::Active(true),
            ToDevice::Url("https://owner.example:8045/.well-known/est".into()),
            ToDevice::RenewPercent(66),
            ToDevice::Trust(list.clone()),
            ToDevice::Idevid(list),
        ] {
            let kv = message.to_kv();
            assert_eq!(ToDevice::decode(kv.message(), &kv.value).unwrap(), Some(message));
        }
        let kv = ToOwner::Active(false).to_kv();
        assert_eq!(ToOwner::decode(kv.message(), &kv.value).unwrap(), Some(ToOwner::Active(false)));
        assert_eq!(ToDevice::decode("new-in-2030", &[0xf5]).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_used_is_malformed() {
        for url in ["", "http://owner.example", "https://owner.example/ x", "https://ä", &"https://".repeat(200)]
        {
            assert!(ToDevice::decode("url", &encode(url)).is_err(), "{url}");
        }
        for percent in [0_u64, 96, u64::MAX] {
            assert!(ToDevice::decode("renew_percent", &encode(&percent)).is_err(), "{percent}");
        }
        let many = vec![ByteString(vec![1]); MAX_CERTIFICATES + 1];
        let long = vec![ByteString(vec![1; MAX_CERTIFICATE + 1])];
        for list in [many, long] {
            assert!(ToDevice::decode("trust", &encode(&list)).is_err());
            assert!(ToDevice::decode("idevid", &encode(&list)).is_err());
        }
    }
}
