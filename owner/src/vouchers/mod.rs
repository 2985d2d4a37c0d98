//! Ownership vouchers that end in one of our keys: checked once at import, then kept with all their successors.

mod accept;
mod decommission;
pub mod routes;
mod sale;
mod store;
pub mod upload;
#[cfg(test)]
mod tests;

use std::fmt;

use fdo_protocol::Guid;
use fdo_service::database::DbErr;
use serde::{Deserialize, Serialize};

pub use accept::{Acceptance, AcceptedVoucher};
pub use decommission::{decommission, recommission};
pub use sale::{ForSale, deliver, for_sale, keep_after_all, sell};
pub use store::{
    Imported, bytes, confirm_seen, due_for_registration, find_by_guid, find_for_onboarding, import, list, replace,
    reuse, select, set_blocked, set_registration,
};

/// What became of a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It came from its maker or a seller; the device may be onboarded with it.
    Imported,
    /// The device has been onboarded, and this is its voucher.
    Onboarded,
    /// An onboarding gave the device another GUID, but it has not been seen with that yet: this one may still be used.
    Replaced,
    /// The device has another GUID now.
    Archived,
    /// An operator stopped the device.
    Blocked,
    /// The device was sold on; its voucher is kept until the new owner has it.
    Sold,
    /// The new owner has it. The row stays, so that nobody sells the same device twice.
    Delivered,
    /// The device is out of service.
    Decommissioned,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Imported,
        Self::Onboarded,
        Self::Replaced,
        Self::Archived,
        Self::Blocked,
        Self::Sold,
        Self::Delivered,
        Self::Decommissioned,
    ];
    /// Those that TO2 may begin with.
    const IN_USE: [Self; 3] = [Self::Imported, Self::Onboarded, Self::Replaced];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Onboarded => "onboarded",
            Self::Replaced => "replaced",
            Self::Archived => "archived",
            Self::Blocked => "blocked",
            Self::Sold => "sold",
            Self::Delivered => "delivered",
            Self::Decommissioned => "decommissioned",
        }
    }

    /// Whether a device may be onboarded with a voucher in this state.
    pub fn is_in_use(self) -> bool {
        Self::IN_USE.contains(&self)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a voucher besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVoucher {
    pub guid: Guid,
    /// The device that it is of, see `inventory`.
    pub device_id: String,
    pub state: State,
    /// Fingerprints of the last and of the first key.
    pub owner_key: String,
    pub maker_key: String,
    /// False where an operator imported it without knowing its maker.
    pub trusted: bool,
    pub entries: u32,
    /// SHA-256 of its bytes.
    pub hash: Vec<u8>,
    pub replaced_by: Option<Guid>,
    /// When the rendezvous is to be told next.
    pub register_at: Option<u64>,
    pub created: u64,
    pub updated: u64,
}

/// Why a voucher is refused, or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the voucher does not hold: {0}")]
    Invalid(#[from] fdo_protocol::Error),
    #[error(
        "the voucher ends in the key {0}, which is not ours; ask its seller to extend it to one of `fdo-owner key list`"
    )]
    NotOurs(String),
    #[error("the voucher has no entry, so nobody passed the device on to us; ask its maker for the extended one")]
    NoEntries,
    #[error("the device's certificates do not hold: {0}")]
    Certificates(#[from] fdo_pki::Error),
    #[error(
        "nobody vouches for this device's maker; pin the maker's key {0} or its device CA with `fdo-owner trust add`, or import with --allow-untrusted"
    )]
    Untrusted(String),
    #[error(
        "{0} is here with a different chain of owners: somebody may have sold the device twice; compare both vouchers with their seller"
    )]
    Fork(Guid),
    #[error("this device is known under {0}, and this voucher comes from another maker")]
    OtherMaker(Guid),
    #[error(
        "{0} was sold on from here; what its new owner extends to one of our keys is taken, this voucher is not"
    )]
    SoldOn(Guid),
    #[error(
        "{0}, this device's last GUID here, is sold, and nobody has said that its new owner has it; say so with `fdo-owner resale confirm {0}`, then import again"
    )]
    SaleOpen(Guid),
    #[error("there is no voucher for {0}")]
    NotFound(Guid),
    #[error("{0} is {1}; only a voucher that is in use can be changed")]
    NotInUse(Guid, State),
    #[error("the vouchers' database failed")]
    Database(#[from] DbErr),
    #[error("the inventory failed")]
    Inventory(#[from] crate::inventory::Error),
}
