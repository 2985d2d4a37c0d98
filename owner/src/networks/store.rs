//! Rows of networks; passwords come and go sealed.

use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::{Auth, Error, Network, Scope};
use crate::db::entity::network::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for Network {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("network.{column} holds an impossible value"));
        let target = row.target.unwrap_or_default();
        Ok(Self {
            auth: Auth::from_number(row.auth).ok_or_else(|| bad("auth"))?,
            trust_level: u8::try_from(row.trust_level).map_err(|_| bad("trust_level"))?,
            scope: match row.scope.as_str() {
                "all" => Scope::All,
                "model" => Scope::Model(target),
                "device" => Scope::Device(target),
                _ => return Err(bad("scope")),
            },
            has_password: row.secret.is_some(),
            created: unsigned(row.created),
            updated: unsigned(row.updated),
            id: row.id,
            ssid: row.ssid,
            enabled: row.enabled,
        })
    }
}

fn active(network: &Network, sealed: Option<Vec<u8>>) -> ActiveModel {
    let (scope, target) = match &network.scope {
        Scope::All => ("all", None),
        Scope::Model(model) => ("model", Some(model.clone())),
        Scope::Device(device) => ("device", Some(device.clone())),
    };
    ActiveModel {
        id: Set(network.id.clone()),
        ssid: Set(network.ssid.clone()),
        auth: Set(i32::from(network.auth.number())),
        secret: Set(sealed),
        trust_level: Set(i32::from(network.trust_level)),
        enabled: Set(network.enabled),
        scope: Set(scope.to_owned()),
        target: Set(target),
        created: Set(signed(network.created)),
        updated: Set(signed(network.updated)),
    }
}

/// Writes a new network.
pub async fn insert(conn: &impl ConnectionTrait, network: &Network, sealed: Option<Vec<u8>>) -> Result<(), Error> {
    match Entity::insert(active(network, sealed)).exec_without_returning(conn).await {
        Err(error) if database::is_unique_violation(&error) => Err(Error::Exists(network.id.clone())),
        other => other.map(|_| ()).map_err(Error::from),
    }
}

/// Writes a changed network.
pub async fn update(conn: &impl ConnectionTrait, network: &Network, sealed: Option<Vec<u8>>) -> Result<(), Error> {
    Entity::update(active(network, sealed)).exec(conn).await?;
    Ok(())
}

/// A network and its sealed password, locked until the transaction ends.
pub async fn find(conn: &impl ConnectionTrait, id: &str) -> Result<Option<(Network, Option<Vec<u8>>)>, Error> {
    let query = Entity::find_by_id(id);
    let query = if database::is_postgres(conn) { query.lock_exclusive() } else { query };
    Ok(query.one(conn).await?.map(with_secret).transpose()?)
}

fn with_secret(mut row: Model) -> Result<(Network, Option<Vec<u8>>), DbErr> {
    let sealed = row.secret.clone();
    row.secret = sealed.as_ref().map(|_| Vec::new());
    Ok((Network::try_from(row)?, sealed))
}

/// Networks in the order of their ids.
pub async fn list(conn: &impl ConnectionTrait, after: Option<String>, limit: u64) -> Result<Vec<Network>, Error> {
    let mut query = Entity::find().order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    Ok(query.all(conn).await?.into_iter().map(Network::try_from).collect::<Result<_, _>>()?)
}

/// All enabled ones with their sealed passwords.
pub(super) async fn enabled(conn: &impl ConnectionTrait) -> Result<Vec<(Network, Option<Vec<u8>>)>, Error> {
    let rows = Entity::find().filter(Column::Enabled.eq(true)).all(conn).await?;
    Ok(rows.into_iter().map(with_secret).collect::<Result<_, _>>()?)
}

/// Takes a network away; devices that have it keep it.
pub async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<(), Error> {
    let gone = Entity::delete_by_id(id).exec(conn).await?;
    if gone.rows_affected == 0 { Err(Error::NotFound(id.to_owned())) } else { Ok(()) }
}
