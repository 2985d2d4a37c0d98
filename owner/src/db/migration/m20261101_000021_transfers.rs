//! How far the files of a running TO2 have come.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut transfers = ColumnDef::new(Alias::new("transfers"));
        let column = transfers.text().not_null().default("[]");
        let alter = Table::alter().table(Alias::new("onboarding")).add_column(column).take();
        manager.alter_table(alter).await
    }
}
