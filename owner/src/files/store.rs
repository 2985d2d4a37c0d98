//! Rows of stored files.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::StoredFile;
use crate::db::entity::stored_file::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for StoredFile {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let mut sha384 = [0; 48];
        hex::decode_to_slice(&row.sha384, &mut sha384)
            .map_err(|_| DbErr::Type("stored_file.sha384 holds an impossible value".to_owned()))?;
        Ok(Self {
            sha384,
            length: unsigned(row.length),
            created: unsigned(row.created),
            updated: unsigned(row.updated),
            name: row.name,
            content: row.content,
        })
    }
}

/// Writes a file, or what it has become.
pub(super) async fn upsert(conn: &impl ConnectionTrait, file: &StoredFile) -> Result<(), DbErr> {
    let row = ActiveModel {
        name: Set(file.name.clone()),
        content: Set(file.content.clone()),
        length: Set(signed(file.length)),
        sha384: Set(hex::encode(file.sha384)),
        created: Set(signed(file.created)),
        updated: Set(signed(file.updated)),
    };
    let mut replace = OnConflict::column(Column::Name);
    replace.update_columns([Column::Content, Column::Length, Column::Sha384, Column::Updated]);
    Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn delete(conn: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    Entity::delete_by_id(name).exec(conn).await.map(|_| ())
}

/// By its name.
pub async fn find(conn: &impl ConnectionTrait, name: &str) -> Result<Option<StoredFile>, DbErr> {
    Entity::find_by_id(name).one(conn).await?.map(StoredFile::try_from).transpose()
}

/// In the order of their names.
pub async fn list(
    conn: &impl ConnectionTrait,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<StoredFile>, DbErr> {
    let mut query = Entity::find().order_by_asc(Column::Name).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Name.gt(after));
    }
    query.all(conn).await?.into_iter().map(StoredFile::try_from).collect()
}

/// The names of all content.
pub(super) async fn contents(conn: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    Entity::find().select_only().column(Column::Content).into_tuple().all(conn).await
}
