//! Devices, vouchers, certificates, buyers, allocations and claims.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).text().take()
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().take()
}

fn bytes(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).blob().take()
}

fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).boolean().take()
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).take()
}

fn index(table: &'static str, name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(Alias::new(table)).take();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        table("device")
            .col(text("canon").not_null().primary_key())
            .col(text("serial").not_null())
            .col(text("model"))
            .col(text("hardware_serial"))
            .col(text("state").not_null())
            .col(text("guid").unique_key())
            .col(number("created").not_null())
            .col(number("updated").not_null())
            .take(),
        table("voucher")
            .col(text("guid").not_null().primary_key())
            .col(text("canon").not_null())
            .col(text("serial").not_null())
            .col(text("model").not_null())
            .col(text("key_type").not_null())
            .col(bytes("manufacturer_key").not_null())
            .col(text("certificate_serial").not_null())
            .col(text("state").not_null())
            .col(bytes("bytes").not_null())
            .col(number("created").not_null())
            .take(),
        table("certificate")
            .col(text("serial").not_null().primary_key())
            .col(text("canon").not_null())
            .col(text("subject").not_null())
            .col(text("issuer").not_null())
            .col(bytes("spki_sha256").not_null())
            .col(bytes("tbs").not_null())
            .col(bytes("der"))
            .col(number("not_after").not_null())
            .col(number("created").not_null())
            .take(),
        table("buyer")
            .col(text("id").not_null().primary_key())
            .col(text("name").not_null().unique_key())
            .col(text("state").not_null())
            .col(number("created").not_null())
            .take(),
        table("buyer_key")
            .col(text("fingerprint").not_null().primary_key())
            .col(text("buyer_id").not_null())
            .col(text("key_type").not_null())
            .col(bytes("spki").not_null())
            .col(text("state").not_null())
            .col(bytes("code_hash").not_null())
            .col(number("created").not_null())
            .take(),
        table("enrolment_code")
            .col(bytes("hash").not_null().primary_key())
            .col(text("buyer_id").not_null())
            .col(number("created").not_null())
            .col(number("expires").not_null())
            .col(number("opened"))
            .col(flag("completed").not_null())
            .take(),
        table("claim_token")
            .col(bytes("hash").not_null().primary_key())
            .col(text("fingerprint").not_null())
            .col(bytes("spki").not_null())
            .col(text("buyer_id"))
            .col(number("expires").not_null())
            .take(),
        table("key_auth_session")
            .col(bytes("id").not_null().primary_key())
            .col(bytes("state").not_null())
            .col(number("expires").not_null())
            .take(),
        table("allocation")
            .col(text("id").not_null().primary_key())
            .col(text("canon").not_null())
            .col(text("live").unique_key())
            .col(text("buyer_id").not_null())
            .col(text("order_ref"))
            .col(number("created").not_null())
            .col(number("ended"))
            .take(),
        table("claim")
            .col(text("guid").not_null().primary_key())
            .col(text("canon").not_null())
            .col(text("serial").not_null())
            .col(text("model").not_null())
            .col(text("buyer_id").not_null())
            .col(text("fingerprint").not_null())
            .col(bytes("bytes").not_null())
            .col(text("checksum").not_null())
            .col(number("size").not_null())
            .col(text("request_id").not_null())
            .col(number("created").not_null())
            .col(number("delivered"))
            .take(),
        table("signer_log")
            .col(bytes("previous").not_null().primary_key())
            .col(text("guid").not_null())
            .col(text("checksum").not_null())
            .col(text("fingerprint").not_null())
            .col(text("signer").not_null())
            .col(number("created").not_null())
            .take(),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in [
            index("voucher", "voucher_canon", &["canon"]),
            index("certificate", "certificate_key", &["spki_sha256"]),
            index("buyer_key", "buyer_key_buyer", &["buyer_id"]),
            index("claim_token", "claim_token_expires", &["expires"]),
            index("allocation", "allocation_canon", &["canon"]),
            index("claim", "claim_key", &["fingerprint", "created", "guid"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
