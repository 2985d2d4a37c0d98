//! Rows of registrations: one a voucher and rendezvous.

use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::db::entity::registration;
use crate::db::{signed, unsigned};

/// A voucher at a rendezvous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub guid: String,
    pub rendezvous: String,
    /// The seconds that were granted the last time.
    pub granted: Option<u64>,
    pub registered: Option<u64>,
    pub expires: Option<u64>,
    pub next_at: u64,
    /// How often in a row it did not work.
    pub failures: u32,
    /// Why it did not work the last time.
    pub error: Option<String>,
    pub updated: u64,
}

impl TryFrom<registration::Model> for Registration {
    type Error = DbErr;

    fn try_from(row: registration::Model) -> Result<Self, DbErr> {
        let bad = || DbErr::Type("registration holds an impossible number".to_owned());
        Ok(Self {
            granted: row.granted.map(unsigned),
            registered: row.registered.map(unsigned),
            expires: row.expires.map(unsigned),
            next_at: unsigned(row.next_at),
            failures: u32::try_from(row.failures).map_err(|_| bad())?,
            updated: unsigned(row.updated),
            guid: row.guid,
            rendezvous: row.rendezvous,
            error: row.error,
        })
    }
}

pub(super) async fn of_voucher(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Vec<Registration>, DbErr> {
    registration::Entity::find()
        .filter(registration::Column::Guid.eq(guid.to_string()))
        .all(conn)
        .await?
        .into_iter()
        .map(Registration::try_from)
        .collect()
}

pub(super) async fn upsert(conn: &impl ConnectionTrait, row: &Registration) -> Result<(), DbErr> {
    use registration::Column;
    let model = registration::ActiveModel {
        guid: Set(row.guid.clone()),
        rendezvous: Set(row.rendezvous.clone()),
        granted: Set(row.granted.map(signed)),
        registered: Set(row.registered.map(signed)),
        expires: Set(row.expires.map(signed)),
        next_at: Set(signed(row.next_at)),
        failures: Set(i32::try_from(row.failures).unwrap_or(i32::MAX)),
        error: Set(row.error.clone()),
        updated: Set(signed(row.updated)),
    };
    let replace = OnConflict::columns([Column::Guid, Column::Rendezvous])
        .update_columns([
            Column::Granted,
            Column::Registered,
            Column::Expires,
            Column::NextAt,
            Column::Failures,
            Column::Error,
            Column::Updated,
        ])
        .to_owned();
    registration::Entity::insert(model).on_conflict(replace).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn set_due(conn: &impl ConnectionTrait, guid: &Guid, now: u64) -> Result<(), DbErr> {
    registration::Entity::update_many()
        .col_expr(registration::Column::NextAt, Expr::value(signed(now)))
        .filter(registration::Column::Guid.eq(guid.to_string()))
        .exec(conn)
        .await
        .map(|_| ())
}

/// The registrations after a GUID and rendezvous, in their order; of one GUID if it is given.
pub async fn list(
    conn: &impl ConnectionTrait,
    guid: Option<&str>,
    after: Option<(String, String)>,
    limit: u64,
) -> Result<Vec<Registration>, DbErr> {
    use registration::Column;
    let mut query =
        registration::Entity::find().order_by_asc(Column::Guid).order_by_asc(Column::Rendezvous).limit(limit);
    if let Some(guid) = guid {
        query = query.filter(Column::Guid.eq(guid));
    }
    if let Some((guid, rendezvous)) = after {
        let later = Column::Guid.eq(guid.clone()).and(Column::Rendezvous.gt(rendezvous));
        query = query.filter(Column::Guid.gt(guid).or(later));
    }
    query.all(conn).await?.into_iter().map(Registration::try_from).collect()
}

/// The voucher is not ours any more.
pub async fn forget(conn: &impl ConnectionTrait, guid: &Guid) -> Result<(), DbErr> {
    registration::Entity::delete_many()
        .filter(registration::Column::Guid.eq(guid.to_string()))
        .exec(conn)
        .await
        .map(|_| ())
}
