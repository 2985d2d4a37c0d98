//! Manufacturers, claims at them, and Wi-Fi networks.

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
        let small = |name: &'static str| ColumnDef::new(Alias::new(name)).integer().not_null().take();
        let makers = Table::create()
            .table(Alias::new("manufacturer"))
            .col(text("id").primary_key())
            .col(text("name"))
            .col(text("url").unique_key())
            .col(text("identity"))
            .col(number("created"))
            .col(maybe_number("contacted"))
            .take();
        manager.create_table(makers).await?;
        // One row a serial: the same claim asked twice, by two replicas or by two people, is one claim.
        let claims = Table::create()
            .table(Alias::new("claim"))
            .col(text("manufacturer"))
            .col(text("serial"))
            .col(text("state"))
            .col(maybe_text("error"))
            .col(maybe_text("detail"))
            .col(maybe_text("guid"))
            .col(small("attempts"))
            .col(maybe_number("next_at"))
            .col(number("requested"))
            .col(number("updated"))
            .primary_key(Index::create().col(Alias::new("manufacturer")).col(Alias::new("serial")))
            .take();
        manager.create_table(claims).await?;
        let due =
            Index::create().name("claim_next_at").table(Alias::new("claim")).col(Alias::new("next_at")).take();
        manager.create_index(due).await?;
        let networks = Table::create()
            .table(Alias::new("network"))
            .col(text("id").primary_key())
            .col(text("ssid"))
            .col(small("auth"))
            .col(ColumnDef::new(Alias::new("secret")).blob().null())
            .col(small("trust_level"))
            .col(ColumnDef::new(Alias::new("enabled")).boolean().not_null())
            .col(text("scope"))
            .col(maybe_text("target"))
            .col(number("created"))
            .col(number("updated"))
            .take();
        manager.create_table(networks).await
    }
}
