//! Rows of sales: one for each voucher that was extended here, kept for good unless nothing of it has left.

use fdo_protocol::Guid;
use fdo_service::transfer::listing::Wanted;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect};

use super::{Error, Resale, State};
use crate::db::entity::resale::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for Resale {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("resale.{column} holds an impossible value"));
        Ok(Self {
            guid: row.guid.parse().map_err(|_| bad("guid"))?,
            state: State::from_name(&row.state).ok_or_else(|| bad("state"))?,
            entries: u32::try_from(row.entries).map_err(|_| bad("entries"))?,
            sold: unsigned(row.sold),
            handed_over: row.handed_over.map(unsigned),
            delivered: row.delivered.map(unsigned),
            device_id: row.device_id,
            serial: row.serial,
            next_key: row.next_key,
            onboarded: row.onboarded,
            bytes: row.bytes,
        })
    }
}

/// A second sale of the same voucher is refused by the table itself.
pub(super) async fn insert(conn: &impl ConnectionTrait, tip: &[u8], sale: &Resale) -> Result<(), DbErr> {
    let row = ActiveModel {
        tip: Set(hex::encode(tip)),
        guid: Set(sale.guid.to_string()),
        device_id: Set(sale.device_id.clone()),
        serial: Set(sale.serial.clone()),
        state: Set(sale.state.name().to_owned()),
        next_key: Set(sale.next_key.clone()),
        entries: Set(i32::try_from(sale.entries).unwrap_or(i32::MAX)),
        onboarded: Set(sale.onboarded),
        bytes: Set(sale.bytes.clone()),
        sold: Set(signed(sale.sold)),
        handed_over: Set(None),
        delivered: Set(None),
    };
    Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// The latest sale of a GUID; a device that was bought back may have been sold again.
pub async fn find(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<Resale>, DbErr> {
    let query = Entity::find().filter(Column::Guid.eq(guid.to_string())).order_by_desc(Column::Entries);
    query.one(conn).await?.map(Resale::try_from).transpose()
}

pub(super) async fn get(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Resale, Error> {
    find(conn, guid).await?.ok_or_else(|| Error::NotFound(guid.to_string()))
}

/// The latest sale of a GUID or a serial.
pub(super) async fn find_by_name(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Resale>, DbErr> {
    if let Ok(guid) = name.parse::<Guid>()
        && let Some(sale) = find(conn, &guid).await?
    {
        return Ok(Some(sale));
    }
    let query = Entity::find().filter(Column::Serial.eq(name)).order_by_desc(Column::Sold);
    query.order_by_desc(Column::Entries).one(conn).await?.map(Resale::try_from).transpose()
}

/// Sales in the order of their GUIDs, each GUID's oldest first; begins after a GUID and a number of entries.
pub async fn list(
    conn: &impl ConnectionTrait,
    state: Option<State>,
    after: Option<(String, u32)>,
    limit: u64,
) -> Result<Vec<Resale>, DbErr> {
    let mut query = Entity::find().order_by_asc(Column::Guid).order_by_asc(Column::Entries).limit(limit);
    if let Some(state) = state {
        query = query.filter(Column::State.eq(state.name()));
    }
    if let Some((guid, entries)) = after {
        let later = Column::Guid.eq(guid.as_str()).and(Column::Entries.gt(entries));
        query = query.filter(Column::Guid.gt(guid).or(later));
    }
    query.all(conn).await?.into_iter().map(Resale::try_from).collect()
}

/// What was sold to a key, oldest first.
pub async fn list_of_key(conn: &impl ConnectionTrait, key: &str, wanted: &Wanted) -> Result<Vec<Resale>, DbErr> {
    let mut query = Entity::find()
        .filter(Column::NextKey.eq(key))
        .order_by_asc(Column::Sold)
        .order_by_asc(Column::Guid)
        .limit(wanted.limit);
    if let Some(since) = wanted.since {
        query = query.filter(Column::Sold.gte(signed(since)));
    }
    if let Some(until) = wanted.until {
        query = query.filter(Column::Sold.lte(signed(until)));
    }
    if wanted.pending {
        query = query.filter(Column::HandedOver.is_null());
    }
    if let Some((sold, guid)) = &wanted.after {
        let same = Column::Sold.eq(signed(*sold)).and(Column::Guid.gt(guid.as_str()));
        query = query.filter(Column::Sold.gt(signed(*sold)).or(same));
    }
    query.all(conn).await?.into_iter().map(Resale::try_from).collect()
}

/// False where something has left before, or where there is no such sale.
pub(super) async fn hand_over(conn: &impl ConnectionTrait, now: u64, guid: &Guid) -> Result<bool, DbErr> {
    let updated = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::HandedOver.name()))
        .col_expr(Column::HandedOver, Expr::value(signed(now)))
        .filter(Column::Guid.eq(guid.to_string()))
        .filter(Column::State.eq(State::Sold.name()))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// False where nothing has left, or where the new owner had it before.
pub(super) async fn deliver(conn: &impl ConnectionTrait, now: u64, guid: &Guid) -> Result<bool, DbErr> {
    let updated = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Delivered.name()))
        .col_expr(Column::Delivered, Expr::value(signed(now)))
        .filter(Column::Guid.eq(guid.to_string()))
        .filter(Column::State.eq(State::HandedOver.name()))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Destroys a voucher that nobody has seen; false where somebody may have.
pub(super) async fn delete_unseen(conn: &impl ConnectionTrait, guid: &Guid) -> Result<bool, DbErr> {
    let deleted = Entity::delete_many()
        .filter(Column::Guid.eq(guid.to_string()))
        .filter(Column::State.eq(State::Sold.name()))
        .exec(conn)
        .await?;
    Ok(deleted.rows_affected > 0)
}
