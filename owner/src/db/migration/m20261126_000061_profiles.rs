//! Certificate profiles, requests that wait for an approval or for an outside CA, and the revision by which replicas
//! notice that CAs or profiles have changed.

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
        let profile = Table::create()
            .table(Alias::new("profile"))
            .col(text("name").primary_key())
            .col(text("content"))
            .col(number("created"))
            .col(number("updated"))
            .take();
        manager.create_table(profile).await?;
        let revision = Table::create()
            .table(Alias::new("ca_revision"))
            .col(ColumnDef::new(Alias::new("id")).integer().not_null().primary_key())
            .col(number("revision"))
            .take();
        manager.create_table(revision).await?;
        manager
            .get_connection()
            .execute_unprepared("INSERT INTO ca_revision (id, revision) VALUES (1, 0)")
            .await?;
        // One request for each device and request's bytes: whoever asks again is told the same.
        let request = Table::create()
            .table(Alias::new("enrollment_request"))
            .col(text("id").primary_key())
            .col(text("device_id"))
            .col(text("guid"))
            .col(maybe_text("device_serial"))
            .col(text("profile"))
            .col(text("authority"))
            .col(text("state"))
            .col(text("csr_sha256"))
            .col(text("key_sha256"))
            .col(ColumnDef::new(Alias::new("csr")).blob().not_null())
            .col(text("origin"))
            .col(maybe_text("session"))
            .col(maybe_number("pending_until"))
            .col(maybe_text("replaces"))
            .col(maybe_text("certificate"))
            .col(maybe_text("reason"))
            .col(number("attempts"))
            .col(maybe_number("next_attempt"))
            .col(number("created"))
            .col(number("updated"))
            .take();
        manager.create_table(request).await?;
        let index = |name: &'static str, columns: &[&'static str]| {
            let mut index = Index::create().name(name).table(Alias::new("enrollment_request")).take();
            for column in columns {
                index.col(Alias::new(*column));
            }
            index
        };
        manager.create_index(index("request_of_device", &["device_id", "csr_sha256"]).unique().take()).await?;
        manager.create_index(index("request_due", &["state", "next_attempt"])).await?;
        manager.create_index(index("request_session", &["session"])).await?;
        manager.create_index(index("request_pending", &["pending_until"])).await
    }
}
