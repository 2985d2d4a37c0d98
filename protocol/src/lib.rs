//! FIDO Device Onboard 1.1 without input or output: bytes in, bytes and the next state out.
//!
//! Time is a value, randomness is a parameter, and storage is unknown here. What was received and what was verified
//! are different types.

#![deny(missing_docs)]

pub mod cbor;
pub mod cose;
mod credential;
pub mod crypto;
pub mod di;
mod error;
mod guid;
mod hash;
pub mod key_auth;
pub mod messages;
pub mod nonce;
mod public_key;
pub mod rendezvous_info;
pub mod service_info;
pub mod to0;
pub mod to1;
pub mod to2;
pub mod voucher;

pub use credential::{DeviceCredential, DeviceSecrets, FileSecrets};
pub use error::{Error, ErrorCode, VoucherFault};
pub use guid::Guid;
pub use hash::{Hash, HashType, Hmac, HmacType};
pub use public_key::{PublicKey, PublicKeyEncoding, PublicKeyType};
pub use rendezvous_info::{RendezvousInfo, RvTo2Addr, RvTo2AddrEntry};
