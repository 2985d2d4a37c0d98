//! Where and until when each voucher is registered: one row a voucher and rendezvous.

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
        let registration = Table::create()
            .table(Alias::new("registration"))
            .col(text("guid"))
            .col(text("rendezvous"))
            .col(maybe_number("granted"))
            .col(maybe_number("registered"))
            .col(maybe_number("expires"))
            .col(number("next_at"))
            .col(ColumnDef::new(Alias::new("failures")).integer().not_null())
            .col(maybe_text("error"))
            .col(number("updated"))
            .primary_key(Index::create().col(Alias::new("guid")).col(Alias::new("rendezvous")))
            .take();
        manager.create_table(registration).await
    }
}
