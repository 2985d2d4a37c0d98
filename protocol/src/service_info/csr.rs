//! `fdo.csr`: enrolment for a certificate inside TO2. The contents are those of EST (RFC 7030, RFC 8951).

mod server_key;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::cbor::{decode, encode};
use crate::error::Error;
use crate::service_info::{ModuleMessage, ServiceInfoKv, bounded_bytes, decode_active};

pub use server_key::ServerKey;

/// The module's name.
pub const MODULE: &str = "fdo.csr";
/// The longest text of a request or an answer that is taken, in bytes.
pub const MAX_BODY: usize = 128 * 1024;
/// `cacerts-req`: certificates only, in PKCS#7. Every owner has it.
pub const FORMAT_PKCS7: u64 = 281;
/// `cacerts-req`: a single certificate.
pub const FORMAT_CERTIFICATE: u64 = 287;

/// The text of a request or an answer: base64, or for a key made by the owner a multipart body. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct EstBody(Zeroizing<String>);

impl EstBody {
    /// Base64 of DER, in one line.
    pub fn from_der(der: &[u8]) -> Self {
        Self(Zeroizing::new(Base64::encode_string(der)))
    }

    /// A body that is text already.
    pub fn from_text(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The DER within: base64 with or without line breaks, with or without PEM's first and last line.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is not base64.
    pub fn der(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let lines = self.0.lines().filter(|line| !line.trim_start().starts_with("-----"));
        let mut digits = Zeroizing::new(String::with_capacity(self.0.len()));
        for line in lines {
            digits.extend(line.chars().filter(|character| !character.is_ascii_whitespace()));
        }
        Base64::decode_vec(&digits).map(Zeroizing::new).map_err(|_| Error::Malformed("not base64"))
    }

    /// Text as it should be, the same in a byte string, or DER in a byte string.
    fn decode(item: &[u8]) -> Result<Self, Error> {
        let bytes = bounded_bytes(item, MAX_BODY)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if bytes.first() != Some(&0x30) || text.is_ascii() && !has_controls(text) => {
                Ok(Self::from_text(text.to_owned()))
            }
            _ => Ok(Self::from_der(&bytes)),
        }
    }

    fn kv(&self, message: &str) -> ServiceInfoKv {
        ServiceInfoKv::from_item(format!("{MODULE}:{message}"), encode(self.0.as_str()))
    }
}

fn has_controls(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' && !byte.is_ascii_whitespace())
}

/// Why the owner does not answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsrError {
    /// 1: the request cannot be understood, or breaks the rules.
    BadRequest,
    /// 2: this device may not.
    Unauthorized,
    /// 3: the owner does not offer this.
    NotSupported,
    /// 4: too often.
    RateExceeded,
    /// 5: the format is not offered.
    UnsupportedFormat,
}

impl CsrError {
    const ALL: [(Self, u64); 5] = [
        (Self::BadRequest, 1),
        (Self::Unauthorized, 2),
        (Self::NotSupported, 3),
        (Self::RateExceeded, 4),
        (Self::UnsupportedFormat, 5),
    ];

    /// The number on the wire.
    pub fn number(self) -> u64 {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or(1, |(_, number)| *number)
    }

    /// The error with this number; an unknown one is a bad request.
    pub fn from_number(number: u64) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == number).map_or(Self::BadRequest, |(known, _)| *known)
    }
}

/// What the device says.
#[derive(Clone, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`
    Active(bool),
    /// `cacerts-req`: the format wanted, [`FORMAT_PKCS7`] or [`FORMAT_CERTIFICATE`].
    CaCertsReq(u64),
    /// `simpleenroll-req`: PKCS#10.
    SimpleEnrollReq(EstBody),
    /// `simplereenroll-req`: PKCS#10 with the subject of the certificate to renew.
    SimpleReenrollReq(EstBody),
    /// `serverkeygen-req`: PKCS#10; the owner makes the key.
    ServerKeygenReq(EstBody),
    /// `csrattrs-req`: what should the request contain; the value says nothing.
    CsrAttrsReq,
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::CaCertsReq(format) => ServiceInfoKv::new(MODULE, "cacerts-req", format),
            Self::SimpleEnrollReq(body) => body.kv("simpleenroll-req"),
            Self::SimpleReenrollReq(body) => body.kv("simplereenroll-req"),
            Self::ServerKeygenReq(body) => body.kv("serverkeygen-req"),
            Self::CsrAttrsReq => ServiceInfoKv::new(MODULE, "csrattrs-req", &0_u8),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "cacerts-req" => Self::CaCertsReq(decode(item)?),
            "simpleenroll-req" => Self::SimpleEnrollReq(EstBody::decode(item)?),
            "simplereenroll-req" => Self::SimpleReenrollReq(EstBody::decode(item)?),
            "serverkeygen-req" => Self::ServerKeygenReq(EstBody::decode(item)?),
            "csrattrs-req" => Self::CsrAttrsReq,
            _ => return Ok(None),
        }))
    }
}

/// What the owner says.
#[derive(Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `cacerts-res`
    CaCertsRes(EstBody),
    /// `simpleenroll-res`: one certificate.
    SimpleEnrollRes(EstBody),
    /// `simplereenroll-res`: one certificate.
    SimpleReenrollRes(EstBody),
    /// `serverkeygen-res`: a multipart body with the key and the certificate.
    ServerKeygenRes(EstBody),
    /// `csrattrs-res`
    CsrAttrsRes(EstBody),
    /// `error`, instead of any of these.
    Error(CsrError),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::CaCertsRes(body) => body.kv("cacerts-res"),
            Self::SimpleEnrollRes(body) => body.kv("simpleenroll-res"),
            Self::SimpleReenrollRes(body) => body.kv("simplereenroll-res"),
            Self::ServerKeygenRes(body) => body.kv("serverkeygen-res"),
            Self::CsrAttrsRes(body) => body.kv("csrattrs-res"),
            Self::Error(error) => ServiceInfoKv::new(MODULE, "error", &error.number()),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "cacerts-res" => Self::CaCertsRes(EstBody::decode(item)?),
            "simpleenroll-res" => Self::SimpleEnrollRes(EstBody::decode(item)?),
            "simplereenroll-res" => Self::SimpleReenrollRes(EstBody::decode(item)?),
            "serverkeygen-res" => Self::ServerKeygenRes(EstBody::decode(item)?),
            "csrattrs-res" => Self::CsrAttrsRes(EstBody::decode(item)?),
            "error" => Self::Error(CsrError::from_number(decode(item)?)),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::ByteString;

    fn request(item: &[u8]) -> EstBody {
        match ToOwner::decode("simpleenroll-req", item).unwrap().unwrap() {
            ToOwner::SimpleEnrollReq(body) => body,
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_request_is_read_in_every_form() {
        let der = [0x30, 0x82, 1, 0, 5, 6, 7];
        let body = EstBody::from_der(&der);
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\r\n{}\r\n-----END X-----\n", body.text());
        for item in [
            encode(body.text()),
            encode(&pem),
            encode(&ByteString(body.text().as_bytes().to_vec())),
            encode(&ByteString(der.to_vec())),
        ] {
            assert_eq!(*request(&item).der().unwrap(), der);
        }
        assert!(request(&encode("%%%")).der().is_err());
        assert!(ToOwner::decode("simpleenroll-req", &encode(&1_u8)).is_err());
        let long = encode(&"A".repeat(MAX_BODY + 1));
        assert!(ToOwner::decode("simpleenroll-req", &long).is_err());
    }

    #[test]
    fn both_directions_come_back() {
        let body = || EstBody::from_der(b"0der");
        for message in [
            ToOwner::Active(false),
            ToOwner::CaCertsReq(FORMAT_PKCS7),
            ToOwner::SimpleEnrollReq(body()),
            ToOwner::SimpleReenrollReq(body()),
            ToOwner::ServerKeygenReq(body()),
            ToOwner::CsrAttrsReq,
        ] {
            let kv = message.to_kv();
            assert!(ToOwner::decode(kv.message(), &kv.value).unwrap() == Some(message));
        }
        for message in [
            ToDevice::Active(true),
            ToDevice::CaCertsRes(body()),
            ToDevice::SimpleEnrollRes(body()),
            ToDevice::SimpleReenrollRes(body()),
            ToDevice::ServerKeygenRes(EstBody::from_text("--fdo\r\n".into())),
            ToDevice::CsrAttrsRes(body()),
            ToDevice::Error(CsrError::RateExceeded),
        ] {
            let kv = message.to_kv();
            assert!(ToDevice::decode(kv.message(), &kv.value).unwrap() == Some(message));
        }
        assert!(ToDevice::decode("later", &[0xf6]).unwrap().is_none());
    }
}
