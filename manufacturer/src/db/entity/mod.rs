//! One file a table; nothing of this leaves a `store.rs`.

pub mod allocation;
pub mod buyer;
pub mod buyer_key;
pub mod certificate;
pub mod claim;
pub mod device;
pub mod enrolment_code;
pub mod rendezvous_info;
pub mod signer_log;
pub mod voucher;
