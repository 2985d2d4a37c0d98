//! What devices say of renewals that failed.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let report = Table::create()
            .table(Alias::new("renewal_report"))
            .col(text("device_id").primary_key())
            .col(number("at"))
            .col(text("error"))
            .col(number("consecutive"))
            .take();
        manager.create_table(report).await?;
        let by_time = Index::create()
            .name("renewal_report_at")
            .table(Alias::new("renewal_report"))
            .col(Alias::new("at"))
            .take();
        manager.create_index(by_time).await
    }
}
