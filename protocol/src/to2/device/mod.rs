//! The device's side of TO2: everything is checked before the device says what its owner could use against it.

mod proof;
mod provisioning;

use crate::crypto::{CipherSuite, KexSuite};

pub use proof::{AfterEntry, ExpectOvNextEntry, ExpectProveOvHdr, begin};
pub use provisioning::{ExpectDone2, ExpectReady, ExpectSetupDevice, ServiceInfoLoop, SetUp};

/// What a device decides for its TO2.
#[derive(Debug, Clone, Copy)]
pub struct DeviceSettings {
    /// The key exchange that it asks for; it must fit the owner's key.
    pub kex_suite: KexSuite,
    /// The cipher of the tunnel.
    pub cipher_suite: CipherSuite,
    /// The longest message that it takes, in bytes; said in 60.
    pub max_message_size: u16,
    /// The largest service info that it takes, in bytes; said in 66, none is 1300.
    pub max_service_info_size: Option<u16>,
    /// Whether an owner may ask it to keep its credential.
    pub allow_reuse: bool,
}
