//! Which owners may register, and for how long (FDO 1.1, TO0). Open to every owner whose voucher and signatures hold;
//! lists of manufacturers and owners belong here.

use fdo_protocol::Error;
use fdo_protocol::to0::rendezvous::RegistrationRequest;
use serde::{Deserialize, Serialize};

const DAY: u32 = 86_400;

/// Who is welcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// Every owner: all signatures and hashes are checked, nobody has to be known.
    #[default]
    Open,
}

/// Settings of registration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    pub accept: Accept,
    /// The longest registration that is granted; who asks for more gets this.
    pub max_wait_seconds: u32,
    /// Who asks for less is refused.
    pub min_wait_seconds: u32,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self { accept: Accept::Open, max_wait_seconds: 30 * DAY, min_wait_seconds: 0 }
    }
}

/// Decides on registrations.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    settings: PolicySettings,
}

impl Policy {
    pub fn new(settings: &PolicySettings) -> Self {
        Self { settings: settings.clone() }
    }

    /// For how many seconds a registration that holds is granted.
    pub fn grant(&self, request: &RegistrationRequest) -> Result<u32, Error> {
        match self.settings.accept {
            Accept::Open => self.seconds(request.wait_seconds),
        }
    }

    fn seconds(&self, asked: u32) -> Result<u32, Error> {
        if asked < self.settings.min_wait_seconds {
            return Err(Error::Rejected("the owner asks for less time than is granted here"));
        }
        Ok(asked.min(self.settings.max_wait_seconds))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn wait_seconds_are_capped_and_have_a_floor() {
        let policy = Policy::default();
        assert_eq!(policy.seconds(u32::MAX).unwrap(), 2_592_000);
        assert_eq!(policy.seconds(0).unwrap(), 0);
        let settings = PolicySettings { min_wait_seconds: 60, ..PolicySettings::default() };
        assert!(Policy::new(&settings).seconds(59).is_err());
        assert_eq!(Policy::new(&settings).seconds(60).unwrap(), 60);
    }
}
