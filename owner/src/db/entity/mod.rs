//! One file a table; only `store.rs` files use them.

pub mod admission_member;
pub mod admission_rule;
pub mod authority;
pub mod ca_revision;
pub mod certificate;
pub mod claim;
pub mod crl;
pub mod device;
pub mod device_guid;
pub mod enrollment_request;
pub mod manufacturer;
pub mod network;
pub mod ocsp_responder;
pub mod onboarding;
pub mod plan;
pub mod profile;
pub mod redirect;
pub mod registration;
pub mod resale;
pub mod stored_file;
pub mod transfer_receipt;
pub mod trusted_key;
pub mod upload;
pub mod voucher;
