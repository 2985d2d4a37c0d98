//! Migrations of the shared tables: time-stamped, forward only, for SQLite and PostgreSQL alike.

mod m20260901_000001_operators;
mod m20260901_000002_sessions;

use sea_orm_migration::MigrationTrait;

/// The shared tables; a service's `Migrator::migrations()` begins with them.
pub fn shared_migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20260901_000001_operators::Migration), Box::new(m20260901_000002_sessions::Migration)]
}
