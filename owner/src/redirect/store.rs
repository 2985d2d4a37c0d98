//! The row of addresses.

use fdo_protocol::{RvTo2Addr, cbor};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

use crate::db::entity::redirect as row;
use crate::db::signed;

const ROW: i32 = 1;

/// What operators have set.
pub async fn find(conn: &impl ConnectionTrait) -> Result<Option<RvTo2Addr>, DbErr> {
    let bad = |_| DbErr::Type("redirect.addresses holds an impossible value".to_owned());
    let row = row::Entity::find_by_id(ROW).one(conn).await?;
    row.map(|row| cbor::decode(&row.addresses).map_err(bad)).transpose()
}

pub(super) async fn upsert(conn: &impl ConnectionTrait, addresses: &RvTo2Addr, now: u64) -> Result<(), DbErr> {
    let row =
        row::ActiveModel { id: Set(ROW), addresses: Set(cbor::encode(addresses)), changed: Set(signed(now)) };
    let mut replace = OnConflict::column(row::Column::Id);
    replace.update_columns([row::Column::Addresses, row::Column::Changed]);
    row::Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn delete(conn: &impl ConnectionTrait) -> Result<(), DbErr> {
    row::Entity::delete_by_id(ROW).exec(conn).await.map(|_| ())
}
