//! Migrations of the shared tables: time-stamped, forward only, for SQLite and PostgreSQL alike.

mod m20260901_000001_operators;
mod m20260901_000002_sessions;
mod m20261125_000003_transfer;

use sea_orm_migration::MigrationTrait;

/// The shared tables; a service's `Migrator::migrations()` begins with them.
pub fn shared_migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20260901_000001_operators::Migration), Box::new(m20260901_000002_sessions::Migration)]
}

/// The tables of voucher transfer, for the services that give or take vouchers.
pub fn transfer_migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261125_000003_transfer::Migration)]
}
