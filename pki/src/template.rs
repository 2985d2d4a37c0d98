//! Names in a certificate as a profile writes them: fixed text, and placeholders for what the owner knows of a device.

use std::fmt;
use std::str::FromStr;

use crate::{Error, LdevidSubject};

/// Longest template, in bytes.
const MAX_LENGTH: usize = 255;

/// A fact of the device, or of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `{serial}`: the serial number in the IDevID; without one the GUID.
    Serial,
    /// `{guid}`
    Guid,
    /// `{model}`: what its maker says.
    Model,
    /// `{organization}`: the owner.
    Organization,
}

impl Placeholder {
    const ALL: [Self; 4] = [Self::Serial, Self::Guid, Self::Model, Self::Organization];

    fn name(self) -> &'static str {
        match self {
            Self::Serial => "{serial}",
            Self::Guid => "{guid}",
            Self::Model => "{model}",
            Self::Organization => "{organization}",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(Placeholder),
}

/// Text with placeholders, all of them known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// What placeholders stand for.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub device: &'a LdevidSubject,
    pub organization: Option<&'a str>,
}

impl Template {
    /// One placeholder and nothing else.
    #[must_use]
    pub fn of(placeholder: Placeholder) -> Self {
        Self(vec![Part::Fact(placeholder)])
    }

    /// Whether the placeholder stands in it.
    #[must_use]
    pub fn names(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&Part::Fact(placeholder))
    }

    /// The text for a device; none where a fact that is named is not known.
    pub(crate) fn fill(&self, facts: Facts<'_>, escape: fn(&str) -> String) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Fact(placeholder) => text.push_str(&escape(&fact(*placeholder, facts)?)),
            }
        }
        Some(text)
    }
}

fn fact(placeholder: Placeholder, facts: Facts<'_>) -> Option<String> {
    let device = facts.device;
    match placeholder {
        Placeholder::Serial => Some(
            device.serial.as_ref().map_or_else(|| device.guid.to_string(), |serial| serial.as_str().to_owned()),
        ),
        Placeholder::Guid => Some(device.guid.to_string()),
        Placeholder::Model => device.model.clone(),
        Placeholder::Organization => facts.organization.map(str::to_owned),
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |reason| Error::InvalidField { field: "template", reason };
        if text.is_empty() || text.len() > MAX_LENGTH || text.chars().any(char::is_control) {
            return Err(refused("it must have 1 to 255 bytes and no control characters"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (fixed, from) = rest.split_at(at);
            let known = Placeholder::ALL.into_iter().find(|placeholder| from.starts_with(placeholder.name()));
            let placeholder = known
                .ok_or_else(|| refused("its placeholders may be {serial}, {guid}, {model} and {organization}"))?;
            if !fixed.is_empty() {
                parts.push(Part::Text(fixed.to_owned()));
            }
            parts.push(Part::Fact(placeholder));
            rest = &from[placeholder.name().len()..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(fixed) => f.write_str(fixed),
            Part::Fact(placeholder) => f.write_str(placeholder.name()),
        })
    }
}

/// As it is.
pub(crate) fn plain(text: &str) -> String {
    text.to_owned()
}

/// With everything but unreserved characters in percent encoding (RFC 3986, 2.3), so that a serial number cannot become
/// another part of a URI.
pub(crate) fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::DeviceSerial;
    use fdo_protocol::Guid;

    fn filled(template: &str, escape: fn(&str) -> String) -> Option<String> {
        let device = LdevidSubject {
            serial: Some(DeviceSerial::parse("SN/1").unwrap()),
            ..LdevidSubject::new(Guid::from_bytes([1; 16]))
        };
        template.parse::<Template>().unwrap().fill(Facts { device: &device, organization: Some("Acme") }, escape)
    }

    #[test]
    fn placeholders_are_filled_and_the_text_reads_back() {
        assert_eq!(filled("a-{serial}.{organization}", plain).unwrap(), "a-SN/1.Acme");
        assert_eq!(filled("urn:x:{serial}", percent).unwrap(), "urn:x:SN%2F1");
        assert_eq!(filled("{model}", plain), None, "no fact, no text");
        let text = "a{serial}{guid}b{model}";
        assert_eq!(text.parse::<Template>().unwrap().to_string(), text);
        assert!(text.parse::<Template>().unwrap().names(Placeholder::Model));
    }

    #[test]
    fn unknown_placeholders_and_loose_braces_are_refused() {
        for text in ["{mac}", "{serial", "serial}", "{{serial}}", "{}", "", "a\nb"] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
        assert!("{mac}".parse::<Template>().unwrap_err().to_string().contains("{organization}"));
    }
}
