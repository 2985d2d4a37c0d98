//! Files that devices sent (fdo.upload).

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let upload = Table::create()
            .table(Alias::new("upload"))
            .col(text("id").primary_key())
            .col(text("device_id"))
            .col(text("guid"))
            .col(text("onboarding"))
            .col(text("name"))
            .col(number("length"))
            .col(text("sha384"))
            .col(number("created"))
            .take();
        manager.create_table(upload).await?;
        let index =
            Index::create().name("upload_device").table(Alias::new("upload")).col(Alias::new("device_id")).take();
        manager.create_index(index).await
    }
}
