//! Operators' tokens and the audit trail.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().not_null().take();
        let operators = Table::create()
            .table(Alias::new("operator_token"))
            .col(text("id").primary_key())
            .col(text("name"))
            .col(text("role"))
            .col(bytes("token_hash").unique_key())
            .col(number("created"))
            .col(ColumnDef::new(Alias::new("expires")).big_integer().null())
            .col(ColumnDef::new(Alias::new("last_used")).big_integer().null())
            .take();
        manager.create_table(operators).await?;
        let audit = Table::create()
            .table(Alias::new("audit_entry"))
            .col(number("sequence").primary_key())
            .col(number("at"))
            .col(text("actor"))
            .col(text("action"))
            .col(text("subject"))
            .col(text("outcome"))
            .col(text("detail"))
            .col(bytes("previous"))
            .col(bytes("hash"))
            .take();
        manager.create_table(audit).await?;
        // One row: who appends locks it, so that two replicas cannot fork the chain.
        let head = Table::create()
            .table(Alias::new("audit_head"))
            .col(ColumnDef::new(Alias::new("id")).integer().not_null().primary_key())
            .col(number("sequence"))
            .col(bytes("hash"))
            .take();
        manager.create_table(head).await?;
        let first = Query::insert()
            .into_table(Alias::new("audit_head"))
            .columns([Alias::new("id"), Alias::new("sequence"), Alias::new("hash")])
            .values_panic([1.into(), 0_i64.into(), vec![0_u8; 32].into()])
            .take();
        manager.execute(first).await
    }
}
