//! Several issuing CAs, and what a certificate's later life needs: who issued it, by which profile, which shard of the
//! CRL it belongs to, and how it is found.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |name: &'static str, default: &'static str| {
            ColumnDef::new(Alias::new(name)).text().not_null().default(default).take()
        };
        let number =
            |name: &'static str| ColumnDef::new(Alias::new(name)).big_integer().not_null().default(0).take();
        let maybe_text = |name: &'static str| ColumnDef::new(Alias::new(name)).text().null().take();
        let maybe_bytes = |name: &'static str| ColumnDef::new(Alias::new(name)).blob().null().take();
        // SQLite adds one column at a time.
        let authority = [
            text("role", "issuing"),
            text("state", "active"),
            maybe_bytes("chain"),
            maybe_bytes("settings"),
            number("updated"),
        ];
        let certificate = [
            text("authority", "issuing"),
            text("profile", "ldevid"),
            maybe_text("fingerprint"),
            maybe_text("key_type"),
            maybe_text("key_sha256"),
            number("not_before"),
            ColumnDef::new(Alias::new("shard")).integer().not_null().default(0).take(),
            text("origin", "to2"),
            maybe_text("request"),
            maybe_text("replaces"),
            ColumnDef::new(Alias::new("reason_code")).integer().null().take(),
            number("updated"),
        ];
        for (table, columns) in [("authority", authority.to_vec()), ("certificate", certificate.to_vec())] {
            for column in columns {
                let alter = Table::alter().table(Alias::new(table)).add_column(column).take();
                manager.alter_table(alter).await?;
            }
        }
        let connection = manager.get_connection();
        for statement in [
            "UPDATE authority SET role = 'root' WHERE kind = 'root'",
            "UPDATE certificate SET key_sha256 = spki, updated = COALESCE(revoked, created)",
            "UPDATE certificate SET reason_code = 4 WHERE reason = 'superseded'",
            "UPDATE certificate SET reason_code = 5 WHERE reason = 'cessationOfOperation'",
        ] {
            connection.execute_unprepared(statement).await?;
        }
        for (name, columns) in [
            ("certificate_shard", &["authority", "shard", "state"][..]),
            ("certificate_fingerprint", &["fingerprint"]),
            ("certificate_key", &["key_sha256"]),
            ("certificate_created", &["created"]),
        ] {
            let mut index = Index::create().name(name).table(Alias::new("certificate")).take();
            for column in columns {
                index.col(Alias::new(*column));
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
