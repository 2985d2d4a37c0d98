//! Programs by others against ours: the matrix of go-fdo-client and go-fdo-server with our device and services; a
//! driver for the device library `astarte-device-fdo`, and a relay that sees and disturbs what it says.

mod foreign;
pub mod matrix;
mod relay;
mod storage;

pub use foreign::{ForeignDevice, ForeignError, Redirect};
pub use relay::{Exchange, Relay};
