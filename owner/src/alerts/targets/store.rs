//! Rows of alert targets.

use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder};

use super::{Address, Target};
use crate::alerts::Severity;
use crate::db::entity::alert_delivery;
use crate::db::entity::alert_target::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for Target {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("alert_target.{column} holds an impossible value"));
        Ok(Self {
            address: serde_json::from_str(&row.settings).map_err(|_| bad("settings"))?,
            least_severity: Severity::from_name(&row.least_severity).ok_or_else(|| bad("least_severity"))?,
            created: unsigned(row.created),
            last_sent: row.last_sent.map(unsigned),
            id: row.id,
            name: row.name,
            secret: row.secret,
            enabled: row.enabled,
            last_error: row.last_error,
        })
    }
}

fn settings(address: &Address) -> Result<String, DbErr> {
    serde_json::to_string(address).map_err(|error| DbErr::Json(error.to_string()))
}

/// False where another one has the name.
pub(super) async fn insert(conn: &impl ConnectionTrait, target: &Target) -> Result<bool, DbErr> {
    let row = ActiveModel {
        id: Set(target.id.clone()),
        name: Set(target.name.clone()),
        kind: Set(target.address.kind().to_owned()),
        settings: Set(settings(&target.address)?),
        secret: Set(target.secret.clone()),
        least_severity: Set(target.least_severity.name().to_owned()),
        enabled: Set(target.enabled),
        created: Set(signed(target.created)),
        last_sent: Set(None),
        last_error: Set(None),
    };
    match Entity::insert(row).exec_without_returning(conn).await {
        Ok(_) => Ok(true),
        Err(error) if database::is_unique_violation(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn update(conn: &impl ConnectionTrait, target: &Target) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Name, Expr::value(&target.name))
        .col_expr(Column::Settings, Expr::value(settings(&target.address)?))
        .col_expr(Column::Secret, Expr::value(target.secret.clone()))
        .col_expr(Column::LeastSeverity, Expr::value(target.least_severity.name()))
        .col_expr(Column::Enabled, Expr::value(target.enabled))
        .filter(Column::Id.eq(&target.id))
        .exec(conn)
        .await
        .map(|_| ())
}

/// With all messages to it.
pub(super) async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<(), DbErr> {
    alert_delivery::Entity::delete_many().filter(alert_delivery::Column::TargetId.eq(id)).exec(conn).await?;
    Entity::delete_by_id(id).exec(conn).await.map(|_| ())
}

/// By its id or its name.
pub async fn find(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Target>, DbErr> {
    let either = Condition::any().add(Column::Id.eq(name)).add(Column::Name.eq(name));
    Entity::find().filter(either).one(conn).await?.map(Target::try_from).transpose()
}

/// In the order of their names.
pub async fn list(conn: &impl ConnectionTrait) -> Result<Vec<Target>, DbErr> {
    Entity::find().order_by_asc(Column::Name).all(conn).await?.into_iter().map(Target::try_from).collect()
}

/// Those that are told now.
pub async fn enabled(conn: &impl ConnectionTrait) -> Result<Vec<Target>, DbErr> {
    let rows = Entity::find().filter(Column::Enabled.eq(true)).order_by_asc(Column::Name).all(conn).await?;
    rows.into_iter().map(Target::try_from).collect()
}

/// How the last message went.
pub async fn note(conn: &impl ConnectionTrait, id: &str, now: u64, error: Option<&str>) -> Result<(), DbErr> {
    let mut update = Entity::update_many().col_expr(Column::LastError, Expr::value(error.map(str::to_owned)));
    if error.is_none() {
        update = update.col_expr(Column::LastSent, Expr::value(signed(now)));
    }
    update.filter(Column::Id.eq(id)).exec(conn).await.map(|_| ())
}
