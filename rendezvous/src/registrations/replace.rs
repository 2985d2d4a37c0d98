//! Who takes the place of a live registration. Two rules hold whatever an operator has set: what began earlier never
//! replaces what began later, and a shorter chain never replaces a longer one.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Registration, RegistrationError};

/// Whose voucher may take the place of a live registration of the same device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Replace {
    /// That of the same owner, and of whoever has the device from it: the voucher names its key.
    #[default]
    SameChain,
    /// Any valid one.
    AnyVoucher,
    /// That of the same owner's key only.
    SameOwner,
    /// Any valid one with the same manufacturer's key in its header.
    SameManufacturer,
    /// None: who came first stays as it is until it expires, for its own owner too.
    FirstCome,
}

impl Replace {
    pub const ALL: [Self; 5] =
        [Self::SameChain, Self::AnyVoucher, Self::SameOwner, Self::SameManufacturer, Self::FirstCome];

    /// As it stands in settings, in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameChain => "same-chain",
            Self::AnyVoucher => "any-voucher",
            Self::SameOwner => "same-owner",
            Self::SameManufacturer => "same-manufacturer",
            Self::FirstCome => "first-come",
        }
    }

    /// Whether `new`, whose voucher names `owners`, takes the place of `earlier`.
    pub(super) fn check(
        self,
        earlier: &Registration,
        new: &Registration,
        owners: &[[u8; 32]],
        now: u64,
    ) -> Result<(), RegistrationError> {
        // A captured message 22 must not bring back what its owner has replaced since.
        if new.greeted < earlier.greeted {
            return Err(RegistrationError::Superseded);
        }
        if earlier.expires <= now {
            return Ok(());
        }
        if new.entries < earlier.entries {
            return Err(RegistrationError::Shorter);
        }
        let fits = match self {
            Self::SameChain => owners.contains(&earlier.owner),
            Self::AnyVoucher => true,
            Self::SameOwner => new.owner == earlier.owner,
            Self::SameManufacturer => new.manufacturer == earlier.manufacturer,
            Self::FirstCome => return Err(RegistrationError::Taken),
        };
        if fits { Ok(()) } else { Err(RegistrationError::OtherOwner(self.name())) }
    }
}
