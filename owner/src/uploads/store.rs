//! Rows of uploads.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect};

use super::Upload;
use crate::db::entity::upload::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for Upload {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("upload.{column} holds an impossible value"));
        let mut sha384 = [0; 48];
        hex::decode_to_slice(&row.sha384, &mut sha384).map_err(|_| bad("sha384"))?;
        Ok(Self {
            guid: row.guid.parse().map_err(|_| bad("guid"))?,
            length: unsigned(row.length),
            created: unsigned(row.created),
            id: row.id,
            device_id: row.device_id,
            onboarding: row.onboarding,
            name: row.name,
            sha384,
        })
    }
}

/// Writes an upload; of two equal requests that finish it, one does.
pub(super) async fn insert(conn: &impl ConnectionTrait, upload: &Upload) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(upload.id.clone()),
        device_id: Set(upload.device_id.clone()),
        guid: Set(upload.guid.to_string()),
        onboarding: Set(upload.onboarding.clone()),
        name: Set(upload.name.clone()),
        length: Set(signed(upload.length)),
        sha384: Set(hex::encode(upload.sha384)),
        created: Set(signed(upload.created)),
    };
    let once = OnConflict::column(Column::Id).do_nothing().to_owned();
    Entity::insert(row).on_conflict(once).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(conn).await.map(|_| ())
}

/// By its id.
pub async fn find(conn: &impl ConnectionTrait, id: &str) -> Result<Option<Upload>, DbErr> {
    Entity::find_by_id(id).one(conn).await?.map(Upload::try_from).transpose()
}

/// The newest first; those of a device by the inventory's id, before an id.
pub async fn list(
    conn: &impl ConnectionTrait,
    device_id: Option<&str>,
    before: Option<String>,
    limit: u64,
) -> Result<Vec<Upload>, DbErr> {
    let mut query = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(device_id) = device_id {
        query = query.filter(Column::DeviceId.eq(device_id));
    }
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.all(conn).await?.into_iter().map(Upload::try_from).collect()
}

/// The bytes of a device's uploads, and of all.
pub(super) async fn sums(conn: &impl ConnectionTrait, device_id: &str) -> Result<(u64, u64), DbErr> {
    let sum = || Entity::find().select_only().column_as(Column::Length.sum().cast_as("bigint"), "bytes");
    let all: Option<Option<i64>> = sum().into_tuple().one(conn).await?;
    let own: Option<Option<i64>> = sum().filter(Column::DeviceId.eq(device_id)).into_tuple().one(conn).await?;
    let bytes = |sum: Option<Option<i64>>| unsigned(sum.flatten().unwrap_or_default());
    Ok((bytes(own), bytes(all)))
}

/// All ids.
pub(super) async fn ids(conn: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    Entity::find().select_only().column(Column::Id).into_tuple().all(conn).await
}
