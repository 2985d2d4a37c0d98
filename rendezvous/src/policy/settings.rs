//! What the policy is made of beside its lists, and a change of it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::List;
use crate::registrations::Replace;

const DAY: u32 = 86_400;

/// Who is welcome. All signatures and hashes are checked in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// Every owner; the lists are kept but do not count.
    #[default]
    Open,
    /// Who is on the allow-list, as owner or by the device's manufacturer, and not on the deny-list.
    AllowList,
    /// Who is not on the deny-list.
    DenyList,
}

impl Accept {
    pub(super) const ALL: [Self; 3] = [Self::Open, Self::AllowList, Self::DenyList];

    /// As it stands in settings, in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::AllowList => "allow-list",
            Self::DenyList => "deny-list",
        }
    }

    /// Whether a list counts.
    pub fn counts(self, list: List) -> bool {
        match list {
            List::Allow => self == Self::AllowList,
            List::Deny => self != Self::Open,
        }
    }
}

/// Which devices are registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceCaRule {
    /// Devices of every CA, as long as their certificates hang together.
    #[default]
    Any,
    /// Devices whose certificate chains to a listed device CA; with an empty list, none.
    Required,
}

impl DeviceCaRule {
    pub(super) const ALL: [Self; 2] = [Self::Any, Self::Required];

    /// As it stands in settings, in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Required => "required",
        }
    }
}

/// Settings of registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    pub accept: Accept,
    pub replace: Replace,
    pub device_ca: DeviceCaRule,
    /// The longest registration that is granted; who asks for more gets this.
    pub max_wait_seconds: u32,
    /// Who asks for less is refused.
    pub min_wait_seconds: u32,
    /// Live registrations that one owner's key may have; 0 for any number.
    pub owner_quota: u64,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            accept: Accept::Open,
            replace: Replace::SameChain,
            device_ca: DeviceCaRule::Any,
            max_wait_seconds: 30 * DAY,
            min_wait_seconds: 0,
            owner_quota: 0,
        }
    }
}

impl PolicySettings {
    /// Whether anything can be granted by it.
    pub fn is_consistent(&self) -> bool {
        self.min_wait_seconds <= self.max_wait_seconds && self.max_wait_seconds > 0
    }
}

/// What an operator has set, or wants to set; the rest stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<Accept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<Replace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_ca: Option<DeviceCaRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_wait_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_quota: Option<u64>,
}

impl PolicyChange {
    /// The settings with this change.
    #[must_use]
    pub fn applied_to(&self, settings: &PolicySettings) -> PolicySettings {
        PolicySettings {
            accept: self.accept.unwrap_or(settings.accept),
            replace: self.replace.unwrap_or(settings.replace),
            device_ca: self.device_ca.unwrap_or(settings.device_ca),
            max_wait_seconds: self.max_wait_seconds.unwrap_or(settings.max_wait_seconds),
            min_wait_seconds: self.min_wait_seconds.unwrap_or(settings.min_wait_seconds),
            owner_quota: self.owner_quota.unwrap_or(settings.owner_quota),
        }
    }

    /// An earlier change with this one on top.
    #[must_use]
    pub fn on(self, earlier: &Self) -> Self {
        Self {
            accept: self.accept.or(earlier.accept),
            replace: self.replace.or(earlier.replace),
            device_ca: self.device_ca.or(earlier.device_ca),
            max_wait_seconds: self.max_wait_seconds.or(earlier.max_wait_seconds),
            min_wait_seconds: self.min_wait_seconds.or(earlier.min_wait_seconds),
            owner_quota: self.owner_quota.or(earlier.owner_quota),
        }
    }
}
