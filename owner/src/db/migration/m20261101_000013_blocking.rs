//! What a device and its vouchers were before an operator stopped the device.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["device", "voucher"] {
            let mut state = ColumnDef::new(Alias::new("blocked_from"));
            let column = state.text().null();
            let alter = Table::alter().table(Alias::new(table)).add_column(column).take();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
