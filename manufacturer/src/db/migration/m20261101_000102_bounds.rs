//! What bounds waiting hellos and unused certificates: where a hello came from, for which key, and two indexes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A waiting hello lives for a minute; SQLite adds one column at a time, and needs a default.
        for name in ["source", "fingerprint"] {
            let mut column = ColumnDef::new(Alias::new(name));
            column.text().not_null().default("");
            let table = Table::alter().table(Alias::new("key_auth_session")).add_column(column).take();
            manager.alter_table(table).await?;
        }
        for (name, column) in [("certificate_canon", "canon"), ("certificate_created", "created")] {
            let index = Index::create().name(name).table(Alias::new("certificate")).col(Alias::new(column)).take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
