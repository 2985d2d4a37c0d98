//! Rows of plans; their steps come and go sealed.

use fdo_service::sessions::SealingKey;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::{Error, Plan, PlanScope};
use crate::db::entity::plan::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

fn plan(row: Model, key: &SealingKey) -> Result<Plan, Error> {
    let bad = |_| DbErr::Type("plan.id holds an impossible value".to_owned());
    Ok(Plan {
        scope: PlanScope::parse(&row.id).map_err(bad)?,
        steps: super::open(key, &row.id, &row.steps)?,
        description: row.description,
        created: unsigned(row.created),
        updated: unsigned(row.updated),
    })
}

fn plans(rows: Vec<Model>, key: &SealingKey) -> Result<Vec<Plan>, Error> {
    rows.into_iter().map(|row| plan(row, key)).collect()
}

/// Writes a plan, or what it has become.
pub(super) async fn upsert(conn: &impl ConnectionTrait, plan: &Plan, sealed: Vec<u8>) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(plan.scope.to_string()),
        description: Set(plan.description.clone()),
        steps: Set(sealed),
        created: Set(signed(plan.created)),
        updated: Set(signed(plan.updated)),
    };
    let mut replace = OnConflict::column(Column::Id);
    replace.update_columns([Column::Description, Column::Steps, Column::Updated]);
    Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await.map(|_| ())
}

/// Whether there was one.
pub(super) async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(id).exec(conn).await?.rows_affected > 0)
}

/// By its id.
pub async fn find(conn: &impl ConnectionTrait, key: &SealingKey, id: &str) -> Result<Option<Plan>, Error> {
    Entity::find_by_id(id).one(conn).await?.map(|row| plan(row, key)).transpose()
}

/// Those of these ids.
pub(super) async fn among(
    conn: &impl ConnectionTrait,
    key: &SealingKey,
    ids: &[String],
) -> Result<Vec<Plan>, Error> {
    plans(Entity::find().filter(Column::Id.is_in(ids)).all(conn).await?, key)
}

/// All of them.
pub(super) async fn all(conn: &impl ConnectionTrait, key: &SealingKey) -> Result<Vec<Plan>, Error> {
    plans(Entity::find().order_by_asc(Column::Id).all(conn).await?, key)
}

/// In the order of their ids.
pub async fn list(
    conn: &impl ConnectionTrait,
    key: &SealingKey,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<Plan>, Error> {
    let mut query = Entity::find().order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    plans(query.all(conn).await?, key)
}

#[cfg(test)]
pub(super) async fn sealed_of(conn: &impl ConnectionTrait, id: &str) -> Result<Vec<u8>, DbErr> {
    Ok(Entity::find_by_id(id).one(conn).await?.map(|row| row.steps).unwrap_or_default())
}
