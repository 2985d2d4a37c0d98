//! A device's serial number as the subject's `serialNumber` attribute (IEEE 802.1AR-2018, 8.6; X.520, 6.2.9).

use std::fmt;

use der::asn1::{Any, PrintableStringRef, Utf8StringRef};

use crate::Error;

/// Upper bound of the attribute, in characters (RFC 5280, `ub-serial-number`).
const MAX_LENGTH: usize = 64;

/// A device's serial number that fits a certificate's subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceSerial(String);

impl DeviceSerial {
    /// Accepts what X.520 allows: 1 to 64 characters of `PrintableString`, not beginning or ending with a space.
    ///
    /// Makers check their records with this before the line runs, so that no device is born without a name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let serial = Self::bounded(text)?;
        if PrintableStringRef::new(text).is_err() {
            return Err(Self::refused("only letters, digits, space and '()+,-./:=? are allowed"));
        }
        Ok(serial)
    }

    /// Accepts, beyond [`DeviceSerial::parse`], what other makers wrote into their certificates: any text of 1
    /// to 64 characters without control characters.
    pub fn from_certificate(text: &str) -> Result<Self, Error> {
        Self::bounded(text)
    }

    /// The serial number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn bounded(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.chars().count() > MAX_LENGTH {
            return Err(Self::refused("it must have 1 to 64 characters"));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(Self::refused("it must not begin or end with a space or hold control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    fn refused(reason: &'static str) -> Error {
        Error::InvalidField { field: "device serial number", reason }
    }

    /// The attribute's value: `PrintableString`, and `UTF8String` only where a foreign serial leaves no choice.
    pub(crate) fn to_any(&self) -> Result<Any, Error> {
        let encoded = match PrintableStringRef::new(&self.0) {
            Ok(printable) => Any::encode_from(&printable),
            Err(_) => Utf8StringRef::new(&self.0).and_then(|text| Any::encode_from(&text)),
        };
        encoded.map_err(Error::encoding("device serial number"))
    }
}

impl fmt::Display for DeviceSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use der::{Tag, Tagged};

    #[test]
    fn printable_serials_pass_and_others_are_refused() {
        for good in ["FL-0001", "A", "a b", "12:34/56"] {
            assert_eq!(DeviceSerial::parse(good).unwrap().to_any().unwrap().tag(), Tag::PrintableString);
        }
        for bad in ["", " a", "a ", "a_b", "a\nb", "\u{e9}", &"x".repeat(65)] {
            assert!(matches!(DeviceSerial::parse(bad), Err(Error::InvalidField { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_foreign_serial_is_kept_as_utf8() {
        let serial = DeviceSerial::from_certificate("SN_1").unwrap();
        assert_eq!(serial.to_any().unwrap().tag(), Tag::Utf8String);
        assert!(DeviceSerial::from_certificate("a\u{0}b").is_err());
    }
}
