//! What go-fdo-server's manufacturer answers its operators' scripts, in the same shapes: rendezvous information,
//! vouchers, extending them, health.

mod reading;
pub mod routes;

pub use reading::{CompatError, check, next_owner};
