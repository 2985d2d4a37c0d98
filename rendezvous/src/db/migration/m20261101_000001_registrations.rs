//! Registrations by GUID and device certificate.

use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261101_000001_registrations"
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = |name: &'static str| Alias::new(name);
        let bytes = |column: &'static str| ColumnDef::new(Alias::new(column)).blob().not_null().take();
        let number = |column: &'static str| ColumnDef::new(Alias::new(column)).big_integer().not_null().take();
        let registrations = Table::create()
            .table(name("registration"))
            .col(bytes("guid"))
            .col(bytes("device"))
            .col(bytes("device_key"))
            .col(bytes("to1d"))
            .col(bytes("owner"))
            .col(bytes("manufacturer"))
            .col(ColumnDef::new(name("entries")).integer().not_null())
            .col(number("greeted"))
            .col(number("registered"))
            .col(number("renewed"))
            .col(number("expires"))
            .col(ColumnDef::new(name("proven")).boolean().not_null())
            .primary_key(Index::create().col(name("guid")).col(name("device")))
            .take();
        manager.create_table(registrations).await?;
        let expires =
            Index::create().name("registration_expires").table(name("registration")).col(name("expires")).take();
        manager.create_index(expires).await
    }
}
