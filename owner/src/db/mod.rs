//! The database that this service alone owns: entities, seen by stores only, and migrations.

pub mod entity;
pub mod migration;

pub use migration::Migrator;

/// Times and counts as the databases keep them.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse; what a database cannot have been given becomes 0.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
