//! What a sale does to the vouchers of a device: out of use while it is open, back where they were when it comes to
//! nothing, and out of reach for good once the new owner has the device.

mod store;

use fdo_protocol::voucher::VerifiedVoucher;

use super::State;

pub(super) use store::take_back;
pub use store::{deliver, for_sale, keep_after_all, sell};

/// A device's present voucher, about to be extended to the next owner.
pub struct ForSale {
    pub voucher: VerifiedVoucher,
    pub state: State,
    /// SHA-256 of its bytes: what must be extended to one key only.
    pub tip: Vec<u8>,
}
