//! The row of rendezvous information.

use fdo_protocol::{RendezvousInfo, cbor};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

use crate::db::entity::rendezvous_info as row;
use crate::db::{impossible, signed};

const ROW: i32 = 1;

pub(super) async fn find(conn: &impl ConnectionTrait) -> Result<Option<RendezvousInfo>, DbErr> {
    let row = row::Entity::find_by_id(ROW).one(conn).await?;
    row.map(|row| cbor::decode(&row.info).map_err(|_| impossible("rendezvous_info.info"))).transpose()
}

pub(super) async fn upsert(conn: &impl ConnectionTrait, info: &RendezvousInfo, now: u64) -> Result<(), DbErr> {
    let row = row::ActiveModel { id: Set(ROW), info: Set(info.encoded().to_vec()), changed: Set(signed(now)) };
    let mut replace = OnConflict::column(row::Column::Id);
    replace.update_columns([row::Column::Info, row::Column::Changed]);
    row::Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn delete(conn: &impl ConnectionTrait) -> Result<(), DbErr> {
    row::Entity::delete_by_id(ROW).exec(conn).await.map(|_| ())
}
