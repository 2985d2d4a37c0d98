//! One rule: what it says, and of which devices.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::inventory::{Device, DeviceState};

/// What a device wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// TO2.
    Onboard,
    /// A certificate by EST.
    Enrol,
}

impl Deed {
    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onboard => "onboard",
            Self::Enrol => "enrol",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Onboard, Self::Enrol].into_iter().find(|deed| deed.name() == name)
    }
}

/// What a rule says of the devices that it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Deny,
}

impl Effect {
    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Allow, Self::Deny].into_iter().find(|effect| effect.name() == name)
    }
}

/// Which devices a rule fits: all that is given must hold. A rule without any fits every device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Criteria {
    /// The fingerprint of the key that the voucher begins with, as `fdo-owner trust list` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_prefix: Option<String>,
    /// From this serial to the other, both of one length, and the serials between them of that length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A group of serials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeviceState>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: String,
    /// Rules are looked at in the order of this, then of their names.
    pub position: u32,
    pub effect: Effect,
    /// None for both.
    pub deed: Option<Deed>,
    pub criteria: Criteria,
    pub created: u64,
}

/// What is known of a device that wants in.
pub(super) struct Facts<'a> {
    pub deed: Deed,
    pub device: &'a Device,
    pub maker_key: Option<&'a str>,
    pub groups: &'a [String],
}

/// Names of rules and groups.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(Error::Field(field, "use 1 to 64 letters, digits, `-`, `_` or `.`"));
    }
    Ok(())
}

impl Rule {
    /// Checks what an operator wrote.
    pub fn check(&self) -> Result<(), Error> {
        check_name("id", &self.id)?;
        let wanted = &self.criteria;
        if let Some(key) = &wanted.maker_key
            && (key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(Error::Field("maker_key", "write the 64 hexadecimal digits of `fdo-owner trust list`"));
        }
        match (&wanted.serial_from, &wanted.serial_to) {
            (None, None) => {}
            (Some(from), Some(to)) if from.len() == to.len() && from <= to => {}
            _ => {
                return Err(Error::Field(
                    "serial_from",
                    "name both ends of the range, of one length, the lower first",
                ));
            }
        }
        for text in
            [&wanted.serial_prefix, &wanted.serial_from, &wanted.serial_to, &wanted.model].into_iter().flatten()
        {
            if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
                return Err(Error::Field("criteria", "a text has 1 to 255 bytes and no control characters"));
            }
        }
        wanted.group.as_deref().map_or(Ok(()), |group| check_name("group", group))
    }

    pub(super) fn fits(&self, facts: &Facts<'_>) -> bool {
        let (wanted, device) = (&self.criteria, facts.device);
        let serial = device.serial.as_deref();
        let in_range = |from: &String, to: &String| {
            serial.is_some_and(|serial| {
                serial.len() == from.len() && *from.as_str() <= *serial && *serial <= *to.as_str()
            })
        };
        let range = match (&wanted.serial_from, &wanted.serial_to) {
            (Some(from), Some(to)) => in_range(from, to),
            _ => true,
        };
        self.deed.is_none_or(|deed| deed == facts.deed)
            && range
            && wanted
                .maker_key
                .as_ref()
                .is_none_or(|key| facts.maker_key.is_some_and(|is| is.eq_ignore_ascii_case(key)))
            && wanted
                .serial_prefix
                .as_ref()
                .is_none_or(|prefix| serial.is_some_and(|serial| serial.starts_with(prefix)))
            && wanted.model.as_ref().is_none_or(|model| device.model.as_ref() == Some(model))
            && wanted.group.as_ref().is_none_or(|group| facts.groups.contains(group))
            && wanted.state.is_none_or(|state| state == device.state)
    }
}
