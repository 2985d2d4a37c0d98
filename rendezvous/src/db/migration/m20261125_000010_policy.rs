//! Who may register: settings, listed keys, device CAs. A version tells replicas that something has changed.

use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000010_policy"
    }
}

#[sea_orm_migration::async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = |name: &'static str| Alias::new(name);
        let text = |column: &'static str| ColumnDef::new(Alias::new(column)).string().not_null().take();
        let bytes = |column: &'static str| ColumnDef::new(Alias::new(column)).blob().not_null().take();
        let number = |column: &'static str| ColumnDef::new(Alias::new(column)).big_integer().not_null().take();
        // Null where the configuration's value holds: until an operator sets something, all of them.
        let policy = Table::create()
            .table(name("policy"))
            .col(ColumnDef::new(name("id")).integer().not_null().primary_key())
            .col(number("version"))
            .col(number("changed"))
            .col(ColumnDef::new(name("accept")).string())
            .col(ColumnDef::new(name("replace_rule")).string())
            .col(ColumnDef::new(name("device_ca")).string())
            .col(ColumnDef::new(name("max_wait_seconds")).big_integer())
            .col(ColumnDef::new(name("min_wait_seconds")).big_integer())
            .col(ColumnDef::new(name("owner_quota")).big_integer())
            .take();
        manager.create_table(policy).await?;
        let first = Query::insert()
            .into_table(name("policy"))
            .columns([name("id"), name("version"), name("changed")])
            .values_panic([1_i32.into(), 0_i64.into(), 0_i64.into()])
            .take();
        manager.execute(first).await?;
        let keys = Table::create()
            .table(name("policy_key"))
            .col(text("list"))
            .col(text("party"))
            .col(bytes("fingerprint"))
            .col(text("note"))
            .col(number("created"))
            .primary_key(Index::create().col(name("list")).col(name("party")).col(name("fingerprint")))
            .take();
        manager.create_table(keys).await?;
        let authorities = Table::create()
            .table(name("policy_device_ca"))
            .col(ColumnDef::new(name("fingerprint")).blob().not_null().primary_key())
            .col(bytes("der"))
            .col(text("note"))
            .col(number("created"))
            .take();
        manager.create_table(authorities).await?;
        // For quotas, and to end what a key has registered.
        let owner =
            Index::create().name("registration_owner").table(name("registration")).col(name("owner")).take();
        manager.create_index(owner).await
    }
}
