//! What taking a device out of service does to its vouchers: none of them is used again, until it goes back into service.

mod store;

pub use store::{decommission, recommission};
