//! The database that this service alone owns: entities, seen by stores only, and migrations.

pub mod entity;
mod migration;

pub use migration::Migrator;
