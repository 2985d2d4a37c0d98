//! Leases: of several replicas one does a piece of background work, and another takes over when it falls silent.

mod store;

pub use store::{release, try_acquire};
