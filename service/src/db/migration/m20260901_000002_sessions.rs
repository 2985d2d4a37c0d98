//! Stored FDO sessions and the leases of background work.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().not_null().take();
        let sessions = Table::create()
            .table(Alias::new("fdo_session"))
            .col(bytes("token_hash").primary_key())
            .col(text("protocol"))
            .col(number("version"))
            .col(ColumnDef::new(Alias::new("state")).blob().null())
            .col(bytes("request_hash"))
            .col(ColumnDef::new(Alias::new("reply_type")).integer().not_null())
            .col(bytes("reply"))
            .col(ColumnDef::new(Alias::new("proven")).boolean().not_null())
            .col(number("created"))
            .col(number("active"))
            .take();
        manager.create_table(sessions).await?;
        let active = Index::create()
            .name("fdo_session_active")
            .table(Alias::new("fdo_session"))
            .col(Alias::new("active"))
            .take();
        manager.create_index(active).await?;
        let leases = Table::create()
            .table(Alias::new("lease"))
            .col(text("key").primary_key())
            .col(text("holder"))
            .col(number("until"))
            .take();
        manager.create_table(leases).await
    }
}
