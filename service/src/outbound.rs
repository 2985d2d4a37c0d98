//! Which addresses a service may call: what `fdo-http` guards the agent's calls with, too.

pub use fdo_http::outbound::{Guard, OutboundError};
