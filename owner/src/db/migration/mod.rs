//! Migrations: time-stamped, forward only, additive first, for SQLite and PostgreSQL alike.

mod m20261101_000001_devices;
mod m20261101_000002_claims;
mod m20261101_000010_certificates;
mod m20261101_000011_registrations;
mod m20261101_000012_onboardings;
mod m20261101_000013_blocking;
mod m20261101_000014_open_until;
mod m20261101_000020_plans;
mod m20261101_000021_transfers;
mod m20261101_000022_uploads;
mod m20261125_000030_resales;
mod m20261125_000040_receipts;
mod m20261125_000050_redirect;
mod m20261126_000060_certificates;
mod m20261126_000061_profiles;
mod m20261126_000070_revocation;
mod m20261126_000080_admission;
mod m20261126_000090_inventory;
mod m20261126_000091_alerts;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The shared tables, then this service's.
pub struct Migrator;

#[sea_orm_migration::async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = fdo_service::database::shared_migrations();
        migrations.push(Box::new(m20261101_000001_devices::Migration));
        migrations.push(Box::new(m20261101_000002_claims::Migration));
        migrations.push(Box::new(m20261101_000010_certificates::Migration));
        migrations.push(Box::new(m20261101_000011_registrations::Migration));
        migrations.push(Box::new(m20261101_000012_onboardings::Migration));
        migrations.push(Box::new(m20261101_000013_blocking::Migration));
        migrations.push(Box::new(m20261101_000014_open_until::Migration));
        migrations.push(Box::new(m20261101_000020_plans::Migration));
        migrations.push(Box::new(m20261101_000021_transfers::Migration));
        migrations.push(Box::new(m20261101_000022_uploads::Migration));
        migrations.push(Box::new(m20261125_000030_resales::Migration));
        migrations.extend(fdo_service::database::transfer_migrations());
        migrations.push(Box::new(m20261125_000040_receipts::Migration));
        migrations.push(Box::new(m20261125_000050_redirect::Migration));
        migrations.push(Box::new(m20261126_000060_certificates::Migration));
        migrations.push(Box::new(m20261126_000061_profiles::Migration));
        migrations.push(Box::new(m20261126_000070_revocation::Migration));
        migrations.push(Box::new(m20261126_000080_admission::Migration));
        migrations.push(Box::new(m20261126_000090_inventory::Migration));
        migrations.push(Box::new(m20261126_000091_alerts::Migration));
        migrations
    }
}
