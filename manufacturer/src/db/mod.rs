//! The manufacturer's tables: entities (seen by stores only) and migrations.

pub mod entity;
pub mod migration;

use fdo_service::database::{DbErr, MigrationTrait, shared_migrations, transfer_migrations};
use sea_orm_migration::MigratorTrait;

/// Brings a database up to date: the shared tables, then this service's.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = shared_migrations();
        all.push(Box::new(migration::m20260901_000101_manufacturer::Migration));
        all.push(Box::new(migration::m20261101_000102_bounds::Migration));
        all.push(Box::new(migration::m20261125_000120_rendezvous::Migration));
        // Its tables took the place of `claim_token` and `key_auth_session`, whose rows lived for minutes.
        all.extend(transfer_migrations());
        all
    }
}

/// Seconds as the database holds them.
pub fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Seconds, or a size, as the database gave them back.
pub fn unsigned(value: i64, column: &'static str) -> Result<u64, DbErr> {
    u64::try_from(value).map_err(|_| impossible(column))
}

/// A row that no code of ours has written.
pub fn impossible(column: &'static str) -> DbErr {
    DbErr::Type(format!("{column} holds an impossible value; restore the row from a backup"))
}
