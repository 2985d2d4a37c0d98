//! DI, 10 to 13: a device is born, and its voucher with it. One file a role.

pub mod device;
pub mod manufacturer;
