//! Rows as the database knows them; only stores use them.

pub mod policy;
pub mod policy_device_ca;
pub mod policy_key;
pub mod registration;
