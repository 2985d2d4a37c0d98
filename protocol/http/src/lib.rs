//! FDO's HTTP binding for clients (FDO 1.1, HTTP transport): where a message goes, which headers travel with it, and
//! what counts as an answer; and which addresses may be called at all. The owner's TO0 and the device agent carry their
//! messages with it.

mod base_url;
mod client;
mod conversation;
mod error;
mod headers;
pub mod outbound;
mod tls;

pub use base_url::BaseUrl;
pub use client::{Client, Retry, Settings};
pub use conversation::Conversation;
pub use error::Error;
pub use tls::{ServerTrust, client_config};
