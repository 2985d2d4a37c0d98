//! The messages of FDO 1.1 as they stand on the wire, one file a protocol, in the order of their numbers.

mod error_message;

pub use error_message::ErrorMessage;
