//! Alerts, who is told of them, and what is still to be told.

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
        // `slot` names the cause while the alert is open, so that no cause has two open alerts; closed ones have none.
        let alert = Table::create()
            .table(Alias::new("alert"))
            .col(text("id").primary_key())
            .col(maybe_text("slot").unique_key())
            .col(text("kind"))
            .col(text("subject"))
            .col(number("threshold"))
            .col(text("severity"))
            .col(text("title"))
            .col(text("detail"))
            .col(maybe_text("device_id"))
            .col(maybe_text("device_serial"))
            .col(number("count"))
            .col(number("opened"))
            .col(number("last"))
            .col(maybe_number("closed"))
            .col(maybe_number("acknowledged"))
            .col(maybe_text("acknowledged_by"))
            .col(maybe_number("silenced_until"))
            .col(maybe_number("told"))
            .take();
        manager.create_table(alert).await?;
        let target = Table::create()
            .table(Alias::new("alert_target"))
            .col(text("id").primary_key())
            .col(text("name").unique_key())
            .col(text("kind"))
            .col(text("settings"))
            .col(ColumnDef::new(Alias::new("secret")).blob().null())
            .col(text("least_severity"))
            .col(ColumnDef::new(Alias::new("enabled")).boolean().not_null())
            .col(number("created"))
            .col(maybe_number("last_sent"))
            .col(maybe_text("last_error"))
            .take();
        manager.create_table(target).await?;
        let delivery = Table::create()
            .table(Alias::new("alert_delivery"))
            .col(text("id").primary_key())
            .col(text("alert_id"))
            .col(text("target_id"))
            .col(text("event"))
            .col(text("body"))
            .col(text("state"))
            .col(number("attempts"))
            .col(maybe_number("next_at"))
            .col(maybe_text("error"))
            .col(number("created"))
            .col(maybe_number("sent"))
            .take();
        manager.create_table(delivery).await?;
        for (table, column) in [
            ("alert_delivery", "next_at"),
            ("alert_delivery", "alert_id"),
            ("alert_delivery", "created"),
            ("alert", "subject"),
        ] {
            let index = Index::create()
                .name(format!("{table}_{column}"))
                .table(Alias::new(table))
                .col(Alias::new(column))
                .take();
            manager.create_index(index).await?;
        }
        let conn = manager.get_connection();
        conn.execute_unprepared("CREATE INDEX alert_open ON alert (kind, id) WHERE closed IS NULL").await?;
        // For failures of the last hours.
        conn.execute_unprepared("CREATE INDEX onboarding_finished ON onboarding (finished)").await.map(|_| ())
    }
}
