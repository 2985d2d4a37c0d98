//! Fingerprint, begin and key type of certificates that were issued before their rows had them: devices are known by the
//! fingerprint when they renew.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, ExprTrait};
use sha2::{Digest, Sha256};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Rows are taken so many at a time.
const BATCH: u64 = 500;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let column = |name: &'static str| Alias::new(name);
        loop {
            let without = Query::select()
                .columns([column("serial"), column("der")])
                .from(column("certificate"))
                .and_where(Expr::col(column("der")).is_not_null())
                .and_where(Expr::col(column("fingerprint")).is_null())
                .limit(BATCH)
                .take();
            let rows = connection.query_all(&without).await?;
            for row in &rows {
                let (serial, der): (String, Vec<u8>) = (row.try_get("", "serial")?, row.try_get("", "der")?);
                let mut update = Query::update()
                    .table(column("certificate"))
                    .value(column("fingerprint"), hex::encode(Sha256::digest(&der)))
                    .and_where(Expr::col(column("serial")).eq(serial))
                    .take();
                if let Ok(certificate) = fdo_pki::Certificate::parse(&der) {
                    let key_type = certificate.public_key().ok().map(|key| key.key_type().to_string());
                    update.value(column("not_before"), crate::db::signed(certificate.not_before()));
                    update.value(column("key_type"), key_type);
                }
                connection.execute(&update).await?;
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }
}
