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
mod m20261126_000062_fingerprints;
mod m20261126_000070_revocation;
mod m20261126_000080_admission;
mod m20261126_000090_inventory;
mod m20261126_000091_alerts;
mod m20261126_000110_renewal_reports;

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
        migrations.push(Box::new(m20261126_000062_fingerprints::Migration));
        migrations.push(Box::new(m20261126_000070_revocation::Migration));
        migrations.push(Box::new(m20261126_000080_admission::Migration));
        migrations.push(Box::new(m20261126_000090_inventory::Migration));
        migrations.push(Box::new(m20261126_000091_alerts::Migration));
        migrations.push(Box::new(m20261126_000110_renewal_reports::Migration));
        migrations
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fdo_service::database;
    use sea_orm::ConnectionTrait;

    use super::*;

    #[tokio::test]
    async fn a_certificate_of_an_earlier_release_is_known_by_its_fingerprint() {
        let db = database::connect("sqlite::memory:").await.unwrap();
        let before = Migrator::migrations().iter().position(|one| one.name().contains("000060")).unwrap();
        Migrator::up(&db, Some(u32::try_from(before).unwrap())).await.unwrap();
        let der = include_bytes!("testdata/ldevid.der");
        let insert = format!(
            "INSERT INTO certificate (serial, guid, device_id, subject, spki, tbs, der, state, not_after, created)
             VALUES ('0a', 'g', 'd', 's', 'k', x'00', x'{}', 'issued', 2, 1)",
            hex::encode(der)
        );
        db.execute_unprepared(&insert).await.unwrap();
        Migrator::up(&db, None).await.unwrap();
        let fingerprint = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(der));
        let found = crate::ca::find_by_fingerprint(&db, &fingerprint).await.unwrap().unwrap();
        assert_eq!((found.serial.as_str(), found.key_sha256.as_deref()), ("0a", Some("k")));
        assert_eq!(found.key_type.as_deref(), Some("P-256"));
        assert!(found.not_before > 0);
    }
}
