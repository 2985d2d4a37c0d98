//! Devices by others against our three services: a driver for the device library `astarte-device-fdo`, and a relay that
//! sees and disturbs what they say.

mod foreign;
mod relay;
mod storage;

pub use foreign::{ForeignDevice, ForeignError, Redirect};
pub use relay::{Exchange, Relay};
