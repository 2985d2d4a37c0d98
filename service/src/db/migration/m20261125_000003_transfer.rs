//! Voucher transfer: KeyAuth between hello and prove, its tokens, partners with their keys and tokens, and what is
//! still to be pushed.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().not_null().take();
        let maybe_text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().null().take();
        let number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().take();
        let maybe_number = |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().null().take();
        let bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().not_null().take();
        let maybe_bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().null().take();
        let table = |name: &'static str| Table::create().table(Alias::new(name)).take();
        let index = |table: &'static str, name: &'static str, columns: &[&'static str]| {
            let mut index = Index::create().name(name).table(Alias::new(table)).take();
            columns.iter().for_each(|column| {
                index.col(Alias::new(*column));
            });
            index
        };
        let tables = [
            table("key_auth_hello")
                .col(bytes("id").primary_key())
                .col(bytes("state"))
                .col(text("source"))
                .col(text("fingerprint"))
                .col(number("expires"))
                .take(),
            table("key_auth_token")
                .col(bytes("hash").primary_key())
                .col(text("fingerprint"))
                .col(bytes("spki"))
                .col(maybe_text("party"))
                .col(number("expires"))
                .take(),
            table("transfer_partner")
                .col(text("id").primary_key())
                .col(text("name").unique_key())
                .col(maybe_text("did"))
                .col(maybe_text("tls_pin"))
                .col(maybe_text("push_root"))
                .col(maybe_text("pull_root"))
                .col(maybe_bytes("token"))
                .col(ColumnDef::new(Alias::new("suspended")).boolean().not_null())
                .col(number("created"))
                .col(maybe_number("pull_at"))
                .col(number("pull_attempts"))
                .col(maybe_number("pulled"))
                .col(maybe_number("pull_since"))
                .col(maybe_text("pull_error"))
                .take(),
            table("transfer_partner_key")
                .col(text("fingerprint").primary_key())
                .col(text("partner_id"))
                .col(text("key_type"))
                .col(bytes("spki"))
                .col(number("created"))
                .take(),
            table("transfer_partner_token")
                .col(bytes("hash").primary_key())
                .col(text("partner_id"))
                .col(number("created"))
                .col(maybe_number("expires"))
                .col(maybe_number("last_used"))
                .take(),
            table("transfer_push")
                .col(text("guid"))
                .col(text("partner_id"))
                .col(maybe_text("serial"))
                .col(text("state"))
                .col(number("attempts"))
                .col(maybe_number("next_at"))
                .col(maybe_text("error"))
                .col(number("created"))
                .col(number("updated"))
                .col(maybe_number("pushed"))
                .primary_key(Index::create().col(Alias::new("guid")).col(Alias::new("partner_id")))
                .take(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        for index in [
            index("key_auth_hello", "key_auth_hello_expires", &["expires"]),
            index("key_auth_token", "key_auth_token_expires", &["expires"]),
            index("transfer_partner_key", "transfer_partner_key_partner", &["partner_id"]),
            index("transfer_push", "transfer_push_due", &["next_at"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
