//! Every certificate of the fleet, whoever issued it, the TLS endpoints that are probed, and how far background work has
//! come.

use fdo_service::database;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let maybe_text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let maybe_number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().null().take();
        let flag = |name: &'static str| ColumnDef::new(Alias::new(name)).boolean().not_null().take();
        let inventory = Table::create()
            .table(Alias::new("inventory_certificate"))
            .col(text("fingerprint").primary_key())
            .col(text("source"))
            .col(text("subject"))
            .col(text("issuer"))
            .col(text("issuer_name"))
            .col(text("serial"))
            .col(number("not_before"))
            .col(number("not_after"))
            .col(text("key_type"))
            .col(flag("is_ca"))
            .col(text("status"))
            .col(maybe_text("reason"))
            .col(maybe_text("device_id"))
            .col(maybe_text("device_serial"))
            .col(maybe_text("guid"))
            .col(maybe_text("profile"))
            .col(maybe_text("name"))
            .col(text("words"))
            .col(number("first_seen"))
            .col(number("last_seen"))
            .col(maybe_number("attention"))
            .col(ColumnDef::new(Alias::new("der")).blob().null())
            .take();
        manager.create_table(inventory).await?;
        // The list is in the order of the ends, so each filter that leaves many rows has an index in that order.
        let ordered = ["status", "key_type", "issuer_name", "source"];
        for column in ordered {
            let index = Index::create()
                .name(format!("inventory_certificate_{column}"))
                .table(Alias::new("inventory_certificate"))
                .col(Alias::new(column))
                .col(Alias::new("not_after"))
                .col(Alias::new("fingerprint"))
                .take();
            manager.create_index(index).await?;
        }
        let ends = Index::create()
            .name("inventory_certificate_not_after")
            .table(Alias::new("inventory_certificate"))
            .col(Alias::new("not_after"))
            .col(Alias::new("fingerprint"))
            .take();
        manager.create_index(ends).await?;
        for column in ["serial", "device_id", "device_serial", "guid", "attention"] {
            let index = Index::create()
                .name(format!("inventory_certificate_{column}"))
                .table(Alias::new("inventory_certificate"))
                .col(Alias::new(column))
                .take();
            manager.create_index(index).await?;
        }
        let conn = manager.get_connection();
        if database::is_postgres(conn) {
            // Words are found by their beginnings; SQLite reads all rows instead, which small fleets bear.
            conn.execute_unprepared(
                "CREATE INDEX inventory_certificate_words ON inventory_certificate \
                 USING gin (array_to_tsvector(string_to_array(words, ' ')))",
            )
            .await?;
        }
        let changed = Index::create()
            .name("certificate_updated")
            .table(Alias::new("certificate"))
            .col(Alias::new("updated"))
            .col(Alias::new("serial"))
            .take();
        manager.create_index(changed).await?;
        let probe = Table::create()
            .table(Alias::new("probe"))
            .col(text("id").primary_key())
            .col(text("endpoint").unique_key())
            .col(number("every_seconds"))
            .col(number("next_at"))
            .col(maybe_number("last_at"))
            .col(maybe_number("last_seen"))
            .col(number("failures"))
            .col(maybe_text("error"))
            .col(number("created"))
            .take();
        manager.create_table(probe).await?;
        let due =
            Index::create().name("probe_next_at").table(Alias::new("probe")).col(Alias::new("next_at")).take();
        manager.create_index(due).await?;
        let sighting = Table::create()
            .table(Alias::new("probe_sighting"))
            .col(text("probe_id"))
            .col(ColumnDef::new(Alias::new("position")).integer().not_null())
            .col(text("fingerprint"))
            .col(number("first_seen"))
            .col(number("last_seen"))
            .primary_key(Index::create().col(Alias::new("probe_id")).col(Alias::new("position")))
            .take();
        manager.create_table(sighting).await?;
        let seen = Index::create()
            .name("probe_sighting_fingerprint")
            .table(Alias::new("probe_sighting"))
            .col(Alias::new("fingerprint"))
            .take();
        manager.create_index(seen).await?;
        let cursor = Table::create()
            .table(Alias::new("work_cursor"))
            .col(text("name").primary_key())
            .col(text("value"))
            .take();
        manager.create_table(cursor).await
    }
}
