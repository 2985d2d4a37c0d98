//! Until when a TO2 that says nothing more counts as running.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut until = ColumnDef::new(Alias::new("open_until"));
        let column = until.big_integer().not_null().default(0);
        let alter = Table::alter().table(Alias::new("onboarding")).add_column(column).take();
        manager.alter_table(alter).await
    }
}
