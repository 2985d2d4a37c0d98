//! Rows of alerts. An open alert holds the slot of its cause.

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, Condition, JoinType, PaginatorTrait, QueryOrder, QuerySelect, TryInsertResult};

use super::{Alert, Cause, Kind, Severity};
use crate::db::entity::alert::{ActiveModel, Column, Entity, Model};
use crate::db::entity::inventory_certificate;
use crate::db::{signed, unsigned};
use crate::inventory::certificates::Standing;

impl TryFrom<Model> for Alert {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("alert.{column} holds an impossible value"));
        Ok(Self {
            kind: Kind::from_name(&row.kind).ok_or_else(|| bad("kind"))?,
            severity: Severity::from_name(&row.severity).ok_or_else(|| bad("severity"))?,
            detail: serde_json::from_str(&row.detail).map_err(|_| bad("detail"))?,
            threshold: unsigned(row.threshold),
            count: unsigned(row.count),
            opened: unsigned(row.opened),
            last: unsigned(row.last),
            closed: row.closed.map(unsigned),
            acknowledged: row.acknowledged.map(unsigned),
            silenced_until: row.silenced_until.map(unsigned),
            told: row.told.map(unsigned),
            id: row.id,
            subject: row.subject,
            title: row.title,
            device_id: row.device_id,
            device_serial: row.device_serial,
            acknowledged_by: row.acknowledged_by,
        })
    }
}

fn slot(cause: &Cause) -> String {
    format!("{}|{}|{}", cause.kind.name(), cause.subject, cause.threshold)
}

/// Opens an alert. Where the cause has one, that is brought up to date, and nothing is given back.
pub(super) async fn open(
    conn: &impl ConnectionTrait,
    id: &str,
    cause: &Cause,
    now: u64,
) -> Result<Option<Alert>, DbErr> {
    let slot = slot(cause);
    let row = ActiveModel {
        id: Set(id.to_owned()),
        slot: Set(Some(slot.clone())),
        kind: Set(cause.kind.name().to_owned()),
        subject: Set(cause.subject.clone()),
        threshold: Set(signed(cause.threshold)),
        severity: Set(cause.severity.name().to_owned()),
        title: Set(cause.title.clone()),
        detail: Set(cause.detail.to_string()),
        device_id: Set(cause.device_id.clone()),
        device_serial: Set(cause.device_serial.clone()),
        count: Set(signed(cause.count)),
        opened: Set(signed(now)),
        last: Set(signed(cause.at.unwrap_or(now))),
        closed: Set(None),
        acknowledged: Set(None),
        acknowledged_by: Set(None),
        silenced_until: Set(silence_of(conn, cause, now).await?),
        told: Set(None),
    };
    let once = OnConflict::column(Column::Slot).do_nothing().to_owned();
    let inserted = Entity::insert(row).on_conflict(once).try_insert().exec_without_returning(conn).await?;
    if matches!(inserted, TryInsertResult::Inserted(1..)) {
        return find(conn, id).await;
    }
    Entity::update_many()
        .col_expr(Column::Last, Expr::value(signed(cause.at.unwrap_or(now))))
        .col_expr(Column::Title, Expr::value(&cause.title))
        .col_expr(Column::Detail, Expr::value(cause.detail.to_string()))
        .col_expr(Column::Count, Expr::value(signed(cause.count)))
        .filter(Column::Slot.eq(slot))
        .exec(conn)
        .await?;
    Ok(None)
}

/// Whoever silenced an alert about this does not want to hear of the next threshold either.
async fn silence_of(conn: &impl ConnectionTrait, cause: &Cause, now: u64) -> Result<Option<i64>, DbErr> {
    let kinds = match Kind::OF_ENDS.contains(&cause.kind) {
        true => Kind::OF_ENDS.map(Kind::name).to_vec(),
        false => vec![cause.kind.name()],
    };
    Entity::find()
        .select_only()
        .column(Column::SilencedUntil)
        .filter(Column::Subject.eq(&cause.subject))
        .filter(Column::Kind.is_in(kinds))
        .filter(Column::SilencedUntil.gt(signed(now)))
        .order_by_desc(Column::SilencedUntil)
        .into_tuple()
        .one(conn)
        .await
}

pub async fn find(conn: &impl ConnectionTrait, id: &str) -> Result<Option<Alert>, DbErr> {
    Entity::find_by_id(id).one(conn).await?.map(Alert::try_from).transpose()
}

/// The open alert that stands for many.
pub(super) async fn find_open(
    conn: &impl ConnectionTrait,
    kind: Kind,
    subject: &str,
    threshold: u64,
) -> Result<Option<Alert>, DbErr> {
    let slot = format!("{}|{subject}|{threshold}", kind.name());
    Entity::find().filter(Column::Slot.eq(slot)).one(conn).await?.map(Alert::try_from).transpose()
}

/// Which alerts to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Open ones only, or closed ones only.
    pub open: Option<bool>,
    pub kind: Option<Kind>,
    pub severity: Option<Severity>,
    pub subject: Option<String>,
    pub device_id: Option<String>,
}

fn is_open() -> Expr {
    Column::Closed.is_null()
}

/// The newest first, before an id.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    before: Option<String>,
    limit: u64,
) -> Result<Vec<Alert>, DbErr> {
    let mut query = Entity::find().order_by_desc(Column::Id).limit(limit);
    match filter.open {
        Some(true) => query = query.filter(is_open()),
        Some(false) => query = query.filter(Column::Closed.is_not_null()),
        None => {}
    }
    if let Some(kind) = filter.kind {
        query = query.filter(Column::Kind.eq(kind.name()));
    }
    if let Some(severity) = filter.severity {
        query = query.filter(Column::Severity.eq(severity.name()));
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(Column::Subject.eq(subject));
    }
    if let Some(device_id) = &filter.device_id {
        query = query.filter(Column::DeviceId.eq(device_id));
    }
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.all(conn).await?.into_iter().map(Alert::try_from).collect()
}

/// The open alerts of a kind, the oldest first, after an id.
pub(super) async fn open_of(
    conn: &impl ConnectionTrait,
    kind: Kind,
    after: &str,
    limit: u64,
) -> Result<Vec<Alert>, DbErr> {
    let query = Entity::find()
        .filter(is_open())
        .filter(Column::Kind.eq(kind.name()))
        .filter(Column::Id.gt(after))
        .order_by_asc(Column::Id)
        .limit(limit);
    query.all(conn).await?.into_iter().map(Alert::try_from).collect()
}

/// Open alerts about certificates that are not in use any more, or are not there.
pub(super) async fn about_gone(conn: &impl ConnectionTrait, limit: u64) -> Result<Vec<Alert>, DbErr> {
    use inventory_certificate::Column as Listed;
    let on =
        Entity::belongs_to(inventory_certificate::Entity).from(Column::Subject).to(Listed::Fingerprint).into();
    let status = || Expr::col((inventory_certificate::Entity, Listed::Status));
    let gone = Condition::any().add(status().is_null()).add(status().ne(Standing::Active.name()));
    let query = Entity::find()
        .join(JoinType::LeftJoin, on)
        .filter(is_open())
        .filter(Column::Kind.is_in(Kind::OF_CERTIFICATES.map(Kind::name)))
        .filter(Column::Subject.ne(super::FLEET))
        .filter(gone)
        .limit(limit);
    query.all(conn).await?.into_iter().map(Alert::try_from).collect()
}

/// Open alerts about the same end of these certificates at other thresholds.
pub(super) async fn superseded(
    conn: &impl ConnectionTrait,
    kind: Kind,
    threshold: u64,
    subjects: &[String],
) -> Result<Vec<Alert>, DbErr> {
    let other = Condition::any().add(Column::Kind.ne(kind.name())).add(Column::Threshold.ne(signed(threshold)));
    let query = Entity::find()
        .filter(is_open())
        .filter(Column::Subject.is_in(subjects.iter().cloned()))
        .filter(Column::Kind.is_in(Kind::OF_ENDS.map(Kind::name)))
        .filter(other);
    query.all(conn).await?.into_iter().map(Alert::try_from).collect()
}

/// How many are open that nobody has acknowledged or silenced.
pub async fn count_waiting(conn: &impl ConnectionTrait, now: u64) -> Result<u64, DbErr> {
    Entity::find()
        .filter(is_open())
        .filter(Column::Acknowledged.is_null())
        .filter(Column::SilencedUntil.is_null().or(Column::SilencedUntil.lte(signed(now))))
        .count(conn)
        .await
}

/// Its cause is gone, and the slot is free. False where it was closed already.
pub(super) async fn close(conn: &impl ConnectionTrait, id: &str, now: u64) -> Result<bool, DbErr> {
    let updated = Entity::update_many()
        .col_expr(Column::Closed, Expr::value(signed(now)))
        .col_expr(Column::Slot, Expr::value(None::<String>))
        .filter(Column::Id.eq(id))
        .filter(is_open())
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// An operator knows. False where it is not open.
pub(super) async fn acknowledge(
    conn: &impl ConnectionTrait,
    id: &str,
    actor: &str,
    now: u64,
) -> Result<bool, DbErr> {
    let updated = Entity::update_many()
        .col_expr(Column::Acknowledged, Expr::value(signed(now)))
        .col_expr(Column::AcknowledgedBy, Expr::value(actor))
        .filter(Column::Id.eq(id))
        .filter(is_open())
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Nobody is told of it before then; without a time, the silence ends. False where it is not open.
pub(super) async fn silence(conn: &impl ConnectionTrait, id: &str, until: Option<u64>) -> Result<bool, DbErr> {
    let updated = Entity::update_many()
        .col_expr(Column::SilencedUntil, Expr::value(until.map(signed)))
        .filter(Column::Id.eq(id))
        .filter(is_open())
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Somebody is told of it now.
pub(super) async fn set_told(conn: &impl ConnectionTrait, id: &str, now: u64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Told, Expr::value(signed(now)))
        .filter(Column::Id.eq(id))
        .exec(conn)
        .await
        .map(|_| ())
}

/// Open alerts whose silence is over and that nobody was told of, and critical ones that nobody acknowledged since
/// `before`.
pub(super) async fn to_repeat(
    conn: &impl ConnectionTrait,
    now: u64,
    before: Option<u64>,
    limit: u64,
) -> Result<Vec<Alert>, DbErr> {
    let quiet = Condition::any().add(Column::SilencedUntil.is_null()).add(Column::SilencedUntil.lte(signed(now)));
    let untold = Condition::all().add(Column::Told.is_null()).add(Column::SilencedUntil.lte(signed(now)));
    let mut wanted = Condition::any().add(untold);
    if let Some(before) = before {
        let unanswered = Condition::all()
            .add(Column::Told.lte(signed(before)))
            .add(Column::Severity.eq(Severity::Critical.name()))
            .add(Column::Acknowledged.is_null());
        wanted = wanted.add(unanswered);
    }
    let query =
        Entity::find().filter(is_open()).filter(quiet).filter(wanted).order_by_asc(Column::Id).limit(limit);
    query.all(conn).await?.into_iter().map(Alert::try_from).collect()
}

/// How many are open, by kind and severity.
pub(super) async fn count_open(conn: &impl ConnectionTrait) -> Result<HashMap<(String, String), u64>, DbErr> {
    let rows: Vec<(String, String, i64)> = Entity::find()
        .select_only()
        .columns([Column::Kind, Column::Severity])
        .column_as(Column::Id.count(), "number")
        .filter(is_open())
        .group_by(Column::Kind)
        .group_by(Column::Severity)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|(kind, severity, number)| ((kind, severity), unsigned(number))).collect())
}
