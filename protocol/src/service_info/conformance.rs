//! `fido_alliance`: the token by which a device reports to the event logger of the FIDO Alliance's interoperability
//! events.

use zeroize::Zeroizing;

use crate::cbor::encode;
use crate::error::Error;
use crate::service_info::{ModuleMessage, ServiceInfoKv, bounded_text, decode_active};

/// The module's name.
pub const MODULE: &str = "fido_alliance";
/// The longest token, in bytes.
pub const MAX_TOKEN: usize = 4096;

/// A bearer token: wiped when dropped, not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token of at most [`MAX_TOKEN`] printable characters.
    ///
    /// # Errors
    /// [`Error::Malformed`] for one that an HTTP header could not carry.
    pub fn new(token: String) -> Result<Self, Error> {
        let token = Zeroizing::new(token);
        let fits = (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(token)) } else { Err(Error::Malformed("a token that no header can carry")) }
    }

    /// The token, to be sent to the logger and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What the owner says.
#[derive(Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `dev_conformance`
    DevConformance(Token),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::DevConformance(token) => {
                ServiceInfoKv::from_item(format!("{MODULE}:dev_conformance"), encode(token.expose()))
            }
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "dev_conformance" => Self::DevConformance(Token::new(bounded_text(item, MAX_TOKEN)?)?),
            _ => return Ok(None),
        }))
    }
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

    #[test]
    fn both_directions_come_back() {
        for message in [ToDevice::Active(true), ToDevice::DevConformance(Token::new("ey.J-_".into()).unwrap())] {
            let kv = message.to_kv();
            assert!(ToDevice::decode(kv.message(), &kv.value).unwrap() == Some(message));
        }
        let kv = ToOwner::Active(false).to_kv();
        assert_eq!(ToOwner::decode(kv.message(), &kv.value).unwrap(), Some(ToOwner::Active(false)));
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_malformed() {
        for token in ["", "two words", "line\r\nbreak", "ä", &"x".repeat(MAX_TOKEN + 1)] {
            assert!(ToDevice::decode("dev_conformance", &encode(token)).is_err(), "{token}");
        }
        assert!(ToDevice::decode("dev_conformance", &encode(&7_u8)).is_err());
    }
}
