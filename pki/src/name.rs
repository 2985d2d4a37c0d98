//! Distinguished names: written by us within X.520's bounds, read from others whatever they hold (RFC 5280, 4.1.2.4).

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc3280, rfc4519};
use der::asn1::{Any, AnyRef, Utf8StringRef};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};

use crate::{DeviceSerial, Error, SubjectAttribute};

/// Upper bound of CN, O and OU (RFC 5280, appendix A).
const MAX_LENGTH: usize = 64;
/// A name with more attributes than this is nobody's name.
const MAX_ATTRIBUTES: usize = 64;

/// Collects the attributes of a subject in the order in which they will stand.
#[derive(Default)]
pub(crate) struct NameBuilder {
    attributes: Vec<(ObjectIdentifier, Any)>,
}

impl NameBuilder {
    pub(crate) fn attribute(self, attribute: SubjectAttribute, text: Option<&str>) -> Result<Self, Error> {
        match attribute {
            SubjectAttribute::CommonName => self.common_name(text),
            SubjectAttribute::Organization => self.organization(text),
            SubjectAttribute::OrganizationalUnit => self.organizational_unit(text),
        }
    }

    pub(crate) fn organization(self, text: Option<&str>) -> Result<Self, Error> {
        self.text(rfc4519::ORGANIZATION_NAME, "organization", text)
    }

    pub(crate) fn organizational_unit(self, text: Option<&str>) -> Result<Self, Error> {
        self.text(rfc4519::ORGANIZATIONAL_UNIT_NAME, "organizational unit", text)
    }

    pub(crate) fn common_name(self, text: Option<&str>) -> Result<Self, Error> {
        self.text(rfc4519::COMMON_NAME, "common name", text)
    }

    pub(crate) fn serial_number(mut self, serial: &DeviceSerial) -> Result<Self, Error> {
        self.attributes.push((rfc4519::SERIAL_NUMBER, serial.to_any()?));
        Ok(self)
    }

    fn text(mut self, oid: ObjectIdentifier, field: &'static str, text: Option<&str>) -> Result<Self, Error> {
        let Some(text) = text else { return Ok(self) };
        if text.is_empty() || text.chars().count() > MAX_LENGTH || text.chars().any(char::is_control) {
            let reason = "it must have 1 to 64 characters and no control characters";
            return Err(Error::InvalidField { field, reason });
        }
        let value =
            Utf8StringRef::new(text).and_then(|text| Any::encode_from(&text)).map_err(Error::encoding(field))?;
        self.attributes.push((oid, value));
        Ok(self)
    }

    /// The name as DER, one attribute to a relative distinguished name.
    pub(crate) fn build(self) -> Result<Any, Error> {
        let encode = || {
            let mut content = Vec::new();
            for (oid, value) in &self.attributes {
                let pair = [oid.to_der()?, value.to_der()?].concat();
                let pair = Any::new(Tag::Sequence, pair)?.to_der()?;
                content.extend(Any::new(Tag::Set, pair)?.to_der()?);
            }
            Any::new(Tag::Sequence, content)
        };
        encode().map_err(Error::encoding("subject"))
    }
}

/// The attributes of a received name, as text where they are text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceivedName {
    attributes: Vec<(ObjectIdentifier, String)>,
}

impl ReceivedName {
    pub(crate) fn parse(what: &'static str, name: &Any) -> Result<Self, Error> {
        let walk = || {
            name.tag().assert_eq(Tag::Sequence)?;
            let mut attributes = Vec::new();
            let mut rdns = SliceReader::new(name.value())?;
            while !rdns.is_finished() {
                let rdn = AnyRef::decode(&mut rdns)?;
                rdn.tag().assert_eq(Tag::Set)?;
                let mut pairs = SliceReader::new(rdn.value())?;
                while !pairs.is_finished() {
                    attributes.push(AnyRef::decode(&mut pairs)?.sequence(|pair| {
                        let oid = ObjectIdentifier::decode(pair)?;
                        Ok::<_, der::Error>((oid, text_of(AnyRef::decode(pair)?)))
                    })?);
                }
            }
            Ok(attributes)
        };
        let attributes = walk().map_err(Error::der(what))?;
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(Error::malformed(what, "its name has too many attributes"));
        }
        Ok(Self { attributes })
    }

    fn find(&self, wanted: ObjectIdentifier) -> Option<&str> {
        self.attributes.iter().find(|(oid, _)| *oid == wanted).map(|(_, text)| text.as_str())
    }

    pub(crate) fn serial_number(&self) -> Option<&str> {
        self.find(rfc4519::SERIAL_NUMBER)
    }

    pub(crate) fn common_name(&self) -> Option<&str> {
        self.find(rfc4519::COMMON_NAME)
    }

    /// `CN=.., O=..` in the order of the certificate, fit for a line of a log.
    pub(crate) fn display(&self) -> String {
        let parts: Vec<String> = self
            .attributes
            .iter()
            .map(|(oid, text)| {
                let label = label_of(*oid);
                format!("{label}={}", escape(text))
            })
            .collect();
        parts.join(", ")
    }
}

/// The short name of RFC 4519, or the OID in dots.
fn label_of(oid: ObjectIdentifier) -> String {
    let label = match oid {
        rfc4519::COMMON_NAME => "CN",
        rfc4519::ORGANIZATION_NAME => "O",
        rfc4519::ORGANIZATIONAL_UNIT_NAME => "OU",
        rfc4519::COUNTRY_NAME => "C",
        rfc4519::LOCALITY_NAME => "L",
        rfc4519::ST => "ST",
        rfc4519::SERIAL_NUMBER => "serialNumber",
        rfc3280::EMAIL_ADDRESS => "emailAddress",
        other => return other.to_string(),
    };
    label.to_owned()
}

/// Names come from strangers: separators and what could forge a line of a log are escaped.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ',' | '=' | '\\' | '"' => out.extend(['\\', c]),
            c if c.is_control() || is_format_control(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Bidirectional and line separators, which change how the rest of a line is shown.
fn is_format_control(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text of a directory string, whatever its length; `#hex` for other types.
pub(crate) fn text_of(value: AnyRef<'_>) -> String {
    let bytes = value.value();
    let text = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString => {
            std::str::from_utf8(bytes).ok().map(ToOwned::to_owned)
        }
        // In practice Latin-1, whatever T.61 says.
        Tag::TeletexString => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units).collect::<Result<String, _>>().ok().filter(|_| rest.is_empty())
        }
        _ => None,
    };
    text.unwrap_or_else(|| format!("#{}", crate::serial_number::lower_hex(bytes)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_built_name_reads_back_in_its_order() {
        let serial = DeviceSerial::parse("FL-1").unwrap();
        let name = NameBuilder::default()
            .organization(Some("Acme"))
            .and_then(|name| name.organizational_unit(Some("Model X")))
            .and_then(|name| name.common_name(None))
            .and_then(|name| name.serial_number(&serial))
            .and_then(NameBuilder::build)
            .unwrap();
        let read = ReceivedName::parse("name", &name).unwrap();
        assert_eq!(read.serial_number(), Some("FL-1"));
        assert_eq!(read.common_name(), None);
        assert_eq!(read.display(), "O=Acme, OU=Model X, serialNumber=FL-1");
        // x509-cert's strict reader agrees on the encoding.
        x509_cert::name::Name::from_der(&name.to_der().unwrap()).unwrap();
    }

    #[test]
    fn fields_are_bounded() {
        for text in ["", "a\nb", &"x".repeat(65)] {
            assert!(matches!(
                NameBuilder::default().common_name(Some(text)),
                Err(Error::InvalidField { field: "common name", .. })
            ));
        }
    }

    #[test]
    fn hostile_text_is_shown_escaped() {
        assert_eq!(escape("a,b\nc\u{202e}"), "a\\,b\\u{a}c\\u{202e}");
    }

    #[test]
    fn old_string_types_are_read() {
        let text = |tag, bytes| text_of(AnyRef::new(tag, bytes).unwrap());
        assert_eq!(text(Tag::BmpString, b"\0A\0B"), "AB");
        assert_eq!(text(Tag::BmpString, b"\0A\0"), "#004100");
        assert_eq!(text(Tag::TeletexString, b"\xe9"), "\u{e9}");
        assert_eq!(text(Tag::Utf8String, b"\xff"), "#ff");
    }
}
