//! Devices that were sold on: the extended voucher, once for each voucher that it was made from.

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
        // The key is the hash of the voucher before: it is extended to one key, once.
        let resale = Table::create()
            .table(Alias::new("resale"))
            .col(text("tip").primary_key())
            .col(text("guid"))
            .col(text("device_id"))
            .col(maybe_text("serial"))
            .col(text("state"))
            .col(text("next_key"))
            .col(ColumnDef::new(Alias::new("entries")).integer().not_null())
            .col(ColumnDef::new(Alias::new("onboarded")).boolean().not_null())
            .col(ColumnDef::new(Alias::new("bytes")).blob().not_null())
            .col(number("sold"))
            .col(maybe_number("handed_over"))
            .col(maybe_number("delivered"))
            .take();
        manager.create_table(resale).await?;
        let by_guid =
            Index::create().name("resale_guid").table(Alias::new("resale")).col(Alias::new("guid")).take();
        manager.create_index(by_guid).await?;
        let by_serial =
            Index::create().name("resale_serial").table(Alias::new("resale")).col(Alias::new("serial")).take();
        manager.create_index(by_serial).await
    }
}
