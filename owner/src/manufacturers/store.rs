//! Rows of manufacturers.

use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder};

use super::{Error, Manufacturer};
use crate::db::entity::manufacturer::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl From<Model> for Manufacturer {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            url: row.url,
            identity: row.identity,
            created: unsigned(row.created),
            contacted: row.contacted.map(unsigned),
        }
    }
}

/// Writes a manufacturer, or its new name and address.
pub(super) async fn upsert(conn: &impl ConnectionTrait, manufacturer: &Manufacturer) -> Result<(), Error> {
    let row = ActiveModel {
        id: Set(manufacturer.id.clone()),
        name: Set(manufacturer.name.clone()),
        url: Set(manufacturer.url.clone()),
        identity: Set(manufacturer.identity.clone()),
        created: Set(signed(manufacturer.created)),
        contacted: Set(manufacturer.contacted.map(signed)),
    };
    let mut renew = OnConflict::column(Column::Id);
    renew.update_columns([Column::Name, Column::Url, Column::Contacted]);
    match Entity::insert(row).on_conflict(renew).exec_without_returning(conn).await {
        Err(error) if database::is_unique_violation(&error) => Err(Error::Url(manufacturer.url.clone())),
        other => other.map(|_| ()).map_err(Error::from),
    }
}

/// All of them, by name.
pub async fn list(conn: &impl ConnectionTrait) -> Result<Vec<Manufacturer>, Error> {
    let rows = Entity::find().order_by_asc(Column::Name).order_by_asc(Column::Id).all(conn).await?;
    Ok(rows.into_iter().map(Manufacturer::from).collect())
}

/// By its id.
pub async fn find(conn: &impl ConnectionTrait, id: &str) -> Result<Option<Manufacturer>, Error> {
    Ok(Entity::find_by_id(id).one(conn).await?.map(Manufacturer::from))
}

/// Takes a manufacturer away; what it sold and what was pinned for it stays.
pub async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<(), Error> {
    let gone = Entity::delete_by_id(id).exec(conn).await?;
    if gone.rows_affected == 0 { Err(Error::NotFound(id.to_owned())) } else { Ok(()) }
}
