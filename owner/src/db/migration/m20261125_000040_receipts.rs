//! Receipts: which partner pushed which voucher. With the tables of voucher transfer that all services share.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let maybe_text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let receipts = Table::create()
            .table(Alias::new("transfer_receipt"))
            .col(text("guid"))
            .col(text("partner_id"))
            .col(maybe_text("serial"))
            .col(maybe_text("model"))
            .col(maybe_text("manufacturer"))
            .col(text("sha256"))
            .col(number("size"))
            .col(number("received"))
            .primary_key(Index::create().col(Alias::new("guid")).col(Alias::new("partner_id")))
            .take();
        manager.create_table(receipts).await?;
        let of_partner = Index::create()
            .name("transfer_receipt_partner")
            .table(Alias::new("transfer_receipt"))
            .col(Alias::new("partner_id"))
            .col(Alias::new("received"))
            .take();
        manager.create_index(of_partner).await
    }
}
