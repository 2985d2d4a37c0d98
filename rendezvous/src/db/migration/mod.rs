//! Migrations: time-stamped, forward only, for SQLite and PostgreSQL alike.

mod m20261101_000001_registrations;
mod m20261125_000010_policy;

use fdo_service::database::{MigrationTrait, MigratorTrait, shared_migrations};

/// Brings the schema up to date.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = shared_migrations();
        all.push(Box::new(m20261101_000001_registrations::Migration));
        all.push(Box::new(m20261125_000010_policy::Migration));
        all
    }
}
