//! What became of each TO2 that a device proved itself in.

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
        let index = |name: &'static str, column: &'static str| {
            Index::create().name(name).table(Alias::new("onboarding")).col(Alias::new(column)).take()
        };
        let onboarding = Table::create()
            .table(Alias::new("onboarding"))
            .col(text("id").primary_key())
            .col(text("device_id"))
            .col(text("guid"))
            .col(text("new_guid"))
            .col(number("started"))
            .col(maybe_number("finished"))
            .col(text("phase"))
            .col(maybe_text("outcome"))
            .col(maybe_text("reason"))
            .col(text("facts"))
            .col(maybe_text("certificate"))
            .take();
        manager.create_table(onboarding).await?;
        manager.create_index(index("onboarding_guid", "guid")).await?;
        manager.create_index(index("onboarding_device", "device_id")).await
    }
}
