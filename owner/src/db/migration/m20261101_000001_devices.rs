//! Devices, their GUIDs, their vouchers, and who is trusted to have made them.

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
        let index = |name: &'static str, table: &'static str, column: &'static str| {
            Index::create().name(name).table(Alias::new(table)).col(Alias::new(column)).take()
        };
        let device = Table::create()
            .table(Alias::new("device"))
            .col(text("id").primary_key())
            .col(maybe_text("serial"))
            .col(text("guid"))
            .col(maybe_text("model"))
            .col(text("device_info"))
            .col(text("state"))
            .col(text("owner_key"))
            .col(maybe_text("maker"))
            .col(maybe_text("progress"))
            .col(maybe_text("reason"))
            .col(maybe_text("certificate"))
            .col(maybe_number("certificate_expires"))
            .col(maybe_number("onboarded"))
            .col(number("created"))
            .col(number("updated"))
            .take();
        manager.create_table(device).await?;
        manager.create_index(index("device_serial", "device", "serial")).await?;
        manager.create_index(index("device_current_guid", "device", "guid")).await?;
        let guid = Table::create()
            .table(Alias::new("device_guid"))
            .col(text("guid").primary_key())
            .col(text("device_id"))
            .col(number("since"))
            .take();
        manager.create_table(guid).await?;
        manager.create_index(index("device_guid_device", "device_guid", "device_id")).await?;
        let voucher = Table::create()
            .table(Alias::new("voucher"))
            .col(text("guid").primary_key())
            .col(text("device_id"))
            .col(text("state"))
            .col(text("owner_key"))
            .col(text("maker_key"))
            .col(ColumnDef::new(Alias::new("trusted")).boolean().not_null())
            .col(ColumnDef::new(Alias::new("entries")).integer().not_null())
            .col(bytes("bytes"))
            .col(bytes("hash"))
            .col(maybe_text("replaced_by"))
            .col(maybe_number("register_at"))
            .col(number("created"))
            .col(number("updated"))
            .take();
        manager.create_table(voucher).await?;
        manager.create_index(index("voucher_register_at", "voucher", "register_at")).await?;
        manager.create_index(index("voucher_device", "voucher", "device_id")).await?;
        let trusted = Table::create()
            .table(Alias::new("trusted_key"))
            .col(text("fingerprint").primary_key())
            .col(text("kind"))
            .col(text("name"))
            .col(maybe_text("manufacturer"))
            .col(bytes("der"))
            .col(number("created"))
            .take();
        manager.create_table(trusted).await
    }
}
