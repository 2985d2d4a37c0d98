//! Rows of messages.

use fdo_service::queue;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ActiveValue::Set, Condition, PaginatorTrait};

use super::{Delivery, Event};
use crate::db::entity::alert_delivery::{ActiveModel, Column, Entity};
use crate::db::{signed, unsigned};

const QUEUED: &str = "queued";
const SENT: &str = "sent";
const FAILED: &str = "failed";

pub(super) async fn insert(
    conn: &impl ConnectionTrait,
    id: &str,
    alert_id: &str,
    target_id: &str,
    event: Event,
    body: &str,
    now: u64,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(id.to_owned()),
        alert_id: Set(alert_id.to_owned()),
        target_id: Set(target_id.to_owned()),
        event: Set(event.name().to_owned()),
        body: Set(body.to_owned()),
        state: Set(QUEUED.to_owned()),
        attempts: Set(0),
        next_at: Set(Some(signed(now))),
        error: Set(None),
        created: Set(signed(now)),
        sent: Set(None),
    };
    Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// Takes due messages for this process: nobody else gets them before `until`. Inside a transaction.
pub(super) async fn take_due(
    conn: &impl ConnectionTrait,
    now: u64,
    until: u64,
    limit: u64,
) -> Result<Vec<Delivery>, DbErr> {
    let queued = Condition::all().add(Column::State.eq(QUEUED));
    let mut due = queue::take_due::<Entity>(conn, Column::NextAt, queued, now, until, limit).await?;
    due.sort_by(|a, b| a.id.cmp(&b.id));
    let delivery = |row: crate::db::entity::alert_delivery::Model| Delivery {
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        created: unsigned(row.created),
        id: row.id,
        target_id: row.target_id,
        body: row.body,
    };
    Ok(due.into_iter().map(delivery).collect())
}

pub(super) async fn sent(conn: &impl ConnectionTrait, id: &str, now: u64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(SENT))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::NextAt, Expr::value(None::<i64>))
        .col_expr(Column::Error, Expr::value(None::<String>))
        .col_expr(Column::Sent, Expr::value(signed(now)))
        .filter(Column::Id.eq(id))
        .exec(conn)
        .await
        .map(|_| ())
}

/// Without a next time, it is given up.
pub(super) async fn failed(
    conn: &impl ConnectionTrait,
    id: &str,
    next: Option<u64>,
    why: &str,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(if next.is_some() { QUEUED } else { FAILED }))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::NextAt, Expr::value(next.map(signed)))
        .col_expr(Column::Error, Expr::value(why))
        .filter(Column::Id.eq(id))
        .exec(conn)
        .await
        .map(|_| ())
}

/// How many wait.
pub async fn queued(conn: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().filter(Column::NextAt.is_not_null()).count(conn).await
}

/// Forgets what was sent or given up before then.
pub async fn sweep(conn: &impl ConnectionTrait, before: u64) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::Created.lt(signed(before)))
        .filter(Column::NextAt.is_null())
        .exec(conn)
        .await
        .map(|_| ())
}
