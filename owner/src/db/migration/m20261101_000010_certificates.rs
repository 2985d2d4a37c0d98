//! The owner's CA certificates with their sealed keys, and the certificates that it issued.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let maybe_text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let maybe_number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().null().take();
        let bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().not_null().take();
        let index = |name: &'static str, column: &'static str| {
            Index::create().name(name).table(Alias::new("certificate")).col(Alias::new(column)).take()
        };
        let authority = Table::create()
            .table(Alias::new("authority"))
            .col(text("kind").primary_key())
            .col(bytes("certificate"))
            .col(bytes("sealed_key"))
            .col(number("created"))
            .take();
        manager.create_table(authority).await?;
        // A key that was certified once, for whomever, is not certified again.
        let certificate = Table::create()
            .table(Alias::new("certificate"))
            .col(text("serial").primary_key())
            .col(text("guid"))
            .col(text("device_id"))
            .col(maybe_text("device_serial"))
            .col(text("subject"))
            .col(text("spki").unique_key())
            .col(bytes("tbs"))
            .col(ColumnDef::new(Alias::new("der")).blob().null())
            .col(text("state"))
            .col(maybe_text("session"))
            .col(maybe_number("pending_until"))
            .col(number("not_after"))
            .col(number("created"))
            .col(maybe_number("revoked"))
            .col(maybe_text("reason"))
            .take();
        manager.create_table(certificate).await?;
        manager.create_index(index("certificate_guid", "guid")).await?;
        manager.create_index(index("certificate_device", "device_id")).await?;
        manager.create_index(index("certificate_session", "session")).await?;
        manager.create_index(index("certificate_pending", "pending_until")).await?;
        manager.create_index(index("certificate_not_after", "not_after")).await
    }
}
