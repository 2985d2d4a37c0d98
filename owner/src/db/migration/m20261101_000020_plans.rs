//! What devices get, by the narrowest plan that is for them; and the files that plans name.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let plan = Table::create()
            .table(Alias::new("plan"))
            .col(text("id").primary_key())
            .col(ColumnDef::new(Alias::new("description")).text().null())
            // Sealed: steps may hold tokens, and what stands in a URL or in an argument is nobody else's business.
            .col(ColumnDef::new(Alias::new("steps")).blob().not_null())
            .col(number("created"))
            .col(number("updated"))
            .take();
        manager.create_table(plan).await?;
        let file = Table::create()
            .table(Alias::new("stored_file"))
            .col(text("name").primary_key())
            .col(text("content"))
            .col(number("length"))
            .col(text("sha384"))
            .col(number("created"))
            .col(number("updated"))
            .take();
        manager.create_table(file).await
    }
}
