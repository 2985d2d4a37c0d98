//! Where devices find this service, once an operator has set it.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Alias::new("redirect"))
            .col(ColumnDef::new(Alias::new("id")).integer().not_null().primary_key())
            .col(ColumnDef::new(Alias::new("addresses")).blob().not_null())
            .col(ColumnDef::new(Alias::new("changed")).big_integer().not_null())
            .take();
        manager.create_table(table).await
    }
}
