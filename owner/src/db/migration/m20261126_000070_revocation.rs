//! Revocation: which certificates changed since their CRL was signed, the CRLs, and the certificates of OCSP responders.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().not_null().take();
        let maybe_bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().null().take();
        let crl = Table::create()
            .table(Alias::new("crl"))
            .col(text("authority"))
            .col(ColumnDef::new(Alias::new("shard")).integer().not_null())
            .col(number("number"))
            .col(number("reserved"))
            .col(maybe_bytes("der"))
            .col(number("this_update"))
            .col(number("next_update"))
            .primary_key(Index::create().col(Alias::new("authority")).col(Alias::new("shard")))
            .take();
        manager.create_table(crl).await?;
        let responder = Table::create()
            .table(Alias::new("ocsp_responder"))
            .col(text("serial").primary_key())
            .col(text("authority"))
            .col(bytes("tbs"))
            .col(maybe_bytes("der"))
            .col(number("not_after"))
            .col(number("created"))
            .take();
        manager.create_table(responder).await?;
        let mut unlisted = ColumnDef::new(Alias::new("unlisted"));
        let column = unlisted.big_integer().null();
        let alter = Table::alter().table(Alias::new("certificate")).add_column(column).take();
        manager.alter_table(alter).await?;
        let connection = manager.get_connection();
        for statement in [
            "CREATE INDEX certificate_unlisted ON certificate (unlisted) WHERE unlisted IS NOT NULL",
            // What was revoked before there were CRLs goes onto the first one.
            "UPDATE certificate SET unlisted = COALESCE(revoked, created) WHERE state = 'revoked'",
        ] {
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
