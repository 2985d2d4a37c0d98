//! Rows of allocations; `live` repeats the serial while the allocation lives, so that there is one at most.

use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, PaginatorTrait, QueryOrder, QuerySelect};

use super::Allocation;
use crate::db::entity::{allocation as row, buyer, claim, device};
use crate::db::{signed, unsigned};

/// An allocation with what its ids stand for.
#[derive(Clone, Debug)]
pub struct Listed {
    pub allocation: Allocation,
    pub serial: String,
    pub buyer: String,
    pub claimed: bool,
}

impl TryFrom<row::Model> for Allocation {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            created: unsigned(row.created, "allocation.created")?,
            ended: row.ended.map(|ended| unsigned(ended, "allocation.ended")).transpose()?,
            id: row.id,
            canon: row.canon,
            buyer_id: row.buyer_id,
            order_ref: row.order_ref,
        })
    }
}

pub async fn insert(conn: &impl ConnectionTrait, allocation: &Allocation) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        id: Set(allocation.id.clone()),
        canon: Set(allocation.canon.clone()),
        live: Set(Some(allocation.canon.clone())),
        buyer_id: Set(allocation.buyer_id.clone()),
        order_ref: Set(allocation.order_ref.clone()),
        created: Set(signed(allocation.created)),
        ended: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub async fn find_live(conn: &impl ConnectionTrait, canon: &str) -> Result<Option<Allocation>, DbErr> {
    let live = row::Entity::find().filter(row::Column::Live.eq(canon));
    live.one(conn).await?.map(Allocation::try_from).transpose()
}

/// Whether this buyer once had this serial and it was taken back.
pub async fn was_revoked(conn: &impl ConnectionTrait, canon: &str, buyer_id: &str) -> Result<bool, DbErr> {
    let ended = row::Entity::find()
        .filter(row::Column::Canon.eq(canon))
        .filter(row::Column::BuyerId.eq(buyer_id))
        .filter(row::Column::Live.is_null());
    Ok(ended.count(conn).await? > 0)
}

pub async fn end(conn: &impl ConnectionTrait, id: &str, now: u64) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Live, Expr::value(Option::<String>::None))
        .col_expr(row::Column::Ended, Expr::value(signed(now)))
        .filter(row::Column::Id.eq(id));
    update.exec(conn).await.map(|_| ())
}

/// Whether a voucher was extended to a buyer.
pub async fn is_claimed(conn: &impl ConnectionTrait, guid: &Guid) -> Result<bool, DbErr> {
    Ok(claim::Entity::find_by_id(guid.to_string()).count(conn).await? > 0)
}

/// The live ones in the order of their serials.
pub async fn list(conn: &impl ConnectionTrait, after: Option<String>, limit: u64) -> Result<Vec<Listed>, DbErr> {
    let mut query =
        row::Entity::find().filter(row::Column::Live.is_not_null()).order_by_asc(row::Column::Canon).limit(limit);
    if let Some(after) = after {
        query = query.filter(row::Column::Canon.gt(after));
    }
    let rows = query.all(conn).await?;
    let canons: Vec<_> = rows.iter().map(|row| row.canon.clone()).collect();
    let devices = device::Entity::find().filter(device::Column::Canon.is_in(canons)).all(conn).await?;
    let buyer_ids: Vec<_> = rows.iter().map(|row| row.buyer_id.clone()).collect();
    let buyers = buyer::Entity::find().filter(buyer::Column::Id.is_in(buyer_ids)).all(conn).await?;
    let guids: Vec<_> = devices.iter().filter_map(|device| device.guid.clone()).collect();
    let claims = claim::Entity::find()
        .select_only()
        .column(claim::Column::Guid)
        .filter(claim::Column::Guid.is_in(guids))
        .into_tuple::<String>()
        .all(conn)
        .await?;
    let listed = |row: row::Model| {
        let device = devices.iter().find(|device| device.canon == row.canon);
        let buyer = buyers.iter().find(|buyer| buyer.id == row.buyer_id);
        let guid = device.and_then(|device| device.guid.as_ref());
        Ok(Listed {
            serial: device.map_or_else(|| row.canon.clone(), |device| device.serial.clone()),
            buyer: buyer.map(|buyer| buyer.name.clone()).unwrap_or_default(),
            claimed: guid.is_some_and(|guid| claims.contains(guid)),
            allocation: row.try_into()?,
        })
    };
    rows.into_iter().map(listed).collect()
}
