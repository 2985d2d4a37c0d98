//! TO2, 60 to 71: device and owner prove themselves to each other, and the device is provisioned. One file a role.

pub mod device;
pub mod owner;
mod seen;
