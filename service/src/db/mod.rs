//! The tables that every service has, and databases for tests.

pub mod migration;
#[cfg(feature = "testing")]
pub mod testing;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The shared tables and those of voucher transfer, for the tests of this crate; a service chains them into its own migrator.
pub struct SharedMigrator;

impl MigratorTrait for SharedMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = migration::shared_migrations();
        all.extend(migration::transfer_migrations());
        all
    }
}
