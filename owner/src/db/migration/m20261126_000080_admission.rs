//! Rules of admission, and groups of serials that they name.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let rule = Table::create()
            .table(Alias::new("admission_rule"))
            .col(text("id").primary_key())
            .col(number("position"))
            .col(text("effect"))
            .col(ColumnDef::new(Alias::new("deed")).text().null())
            .col(text("criteria"))
            .col(number("created"))
            .take();
        manager.create_table(rule).await?;
        let member = Table::create()
            .table(Alias::new("admission_member"))
            .col(text("name"))
            .col(text("serial"))
            .primary_key(Index::create().col(Alias::new("name")).col(Alias::new("serial")))
            .take();
        manager.create_table(member).await?;
        let by_serial = Index::create()
            .name("admission_member_serial")
            .table(Alias::new("admission_member"))
            .col(Alias::new("serial"))
            .take();
        manager.create_index(by_serial).await
    }
}
