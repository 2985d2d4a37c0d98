//! Rows of claims.

use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, LockBehavior, LockType, OnConflict};
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::{Claim, Error, State};
use crate::db::entity::claim::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for Claim {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("claim.{column} holds an impossible value"));
        Ok(Self {
            state: State::from_name(&row.state).ok_or_else(|| bad("state"))?,
            guid: row.guid.map(|guid| guid.parse().map_err(|_| bad("guid"))).transpose()?,
            attempts: u32::try_from(row.attempts).map_err(|_| bad("attempts"))?,
            next_at: row.next_at.map(unsigned),
            requested: unsigned(row.requested),
            updated: unsigned(row.updated),
            manufacturer: row.manufacturer,
            serial: row.serial,
            error: row.error,
            detail: row.detail,
        })
    }
}

/// What an attempt left behind.
pub(super) struct Attempt<'a> {
    pub(super) state: State,
    pub(super) error: &'a str,
    pub(super) detail: &'a str,
    pub(super) next_at: Option<u64>,
}

/// Writes a claim, or begins a refused one anew; whoever calls asks until `until`.
pub(super) async fn request(
    conn: &impl ConnectionTrait,
    manufacturer: &str,
    serial: &str,
    now: u64,
    until: u64,
) -> Result<(), Error> {
    let row = ActiveModel {
        manufacturer: Set(manufacturer.to_owned()),
        serial: Set(serial.to_owned()),
        state: Set(State::Requested.name().to_owned()),
        error: Set(None),
        detail: Set(None),
        guid: Set(None),
        attempts: Set(0),
        next_at: Set(Some(signed(until))),
        requested: Set(signed(now)),
        updated: Set(signed(now)),
    };
    let mut anew = OnConflict::columns([Column::Manufacturer, Column::Serial]);
    anew.update_columns([
        Column::State,
        Column::Error,
        Column::Detail,
        Column::Attempts,
        Column::NextAt,
        Column::Requested,
        Column::Updated,
    ])
    .action_and_where(Expr::col((Entity, Column::State)).ne(State::Fulfilled.name()));
    Entity::insert(row).on_conflict(anew).exec_without_returning(conn).await?;
    Ok(())
}

/// The claims among these that are still to be asked for.
pub(super) async fn requested(
    conn: &impl ConnectionTrait,
    manufacturer: &str,
    serials: &[String],
) -> Result<Vec<String>, Error> {
    let found: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Serial)
        .filter(Column::Manufacturer.eq(manufacturer))
        .filter(Column::Serial.is_in(serials))
        .filter(Column::State.eq(State::Requested.name()))
        .order_by_asc(Column::Serial)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(found)
}

/// Takes due claims for this process: nobody else gets them before `until`. Inside a transaction.
pub(super) async fn take_due(
    conn: &impl ConnectionTrait,
    now: u64,
    until: u64,
    limit: u64,
) -> Result<Vec<(String, String)>, Error> {
    let mut query = Entity::find()
        .filter(Column::State.eq(State::Requested.name()))
        .filter(Column::NextAt.lte(signed(now)))
        .order_by_asc(Column::NextAt)
        .limit(limit);
    if database::is_postgres(conn) {
        query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let due = query.all(conn).await?;
    for row in &due {
        Entity::update_many()
            .col_expr(Column::NextAt, Expr::value(signed(until)))
            .filter(Column::Manufacturer.eq(&row.manufacturer))
            .filter(Column::Serial.eq(&row.serial))
            .exec(conn)
            .await?;
    }
    Ok(due.into_iter().map(|row| (row.manufacturer, row.serial)).collect())
}

/// Notes an attempt in vain; a claim that was settled meanwhile stays settled.
pub(super) async fn attempted(
    conn: &impl ConnectionTrait,
    manufacturer: &str,
    serial: &str,
    now: u64,
    attempt: &Attempt<'_>,
) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(attempt.state.name()))
        .col_expr(Column::Error, Expr::value(attempt.error))
        .col_expr(Column::Detail, Expr::value(attempt.detail))
        .col_expr(Column::NextAt, Expr::value(attempt.next_at.map(signed)))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Manufacturer.eq(manufacturer))
        .filter(Column::Serial.eq(serial))
        .filter(Column::State.eq(State::Requested.name()))
        .exec(conn)
        .await?;
    Ok(())
}

/// The voucher is here. False where somebody else had noted that already.
pub(super) async fn fulfil(
    conn: &impl ConnectionTrait,
    manufacturer: &str,
    serial: &str,
    guid: &fdo_protocol::Guid,
    now: u64,
) -> Result<bool, Error> {
    let done = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Fulfilled.name()))
        .col_expr(Column::Error, Expr::value(None::<String>))
        .col_expr(Column::Detail, Expr::value(None::<String>))
        .col_expr(Column::Guid, Expr::value(guid.to_string()))
        .col_expr(Column::NextAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Manufacturer.eq(manufacturer))
        .filter(Column::Serial.eq(serial))
        .filter(Column::State.ne(State::Fulfilled.name()))
        .exec(conn)
        .await?;
    Ok(done.rows_affected > 0)
}

/// A claim.
pub async fn find(conn: &impl ConnectionTrait, manufacturer: &str, serial: &str) -> Result<Option<Claim>, Error> {
    let row = Entity::find_by_id((manufacturer.to_owned(), serial.to_owned())).one(conn).await?;
    Ok(row.map(Claim::try_from).transpose()?)
}

/// A serial's claims at all manufacturers.
pub(super) async fn of_serial(conn: &impl ConnectionTrait, serial: &str) -> Result<Vec<Claim>, Error> {
    let rows =
        Entity::find().filter(Column::Serial.eq(serial)).order_by_asc(Column::Manufacturer).all(conn).await?;
    Ok(rows.into_iter().map(Claim::try_from).collect::<Result<_, _>>()?)
}

/// Claims in the order of manufacturer and serial.
pub async fn list(
    conn: &impl ConnectionTrait,
    state: Option<State>,
    after: Option<(String, String)>,
    limit: u64,
) -> Result<Vec<Claim>, Error> {
    let mut query = Entity::find().order_by_asc(Column::Manufacturer).order_by_asc(Column::Serial).limit(limit);
    if let Some(state) = state {
        query = query.filter(Column::State.eq(state.name()));
    }
    if let Some((manufacturer, serial)) = after {
        let same = Column::Manufacturer.eq(&manufacturer).and(Column::Serial.gt(serial));
        query = query.filter(Column::Manufacturer.gt(manufacturer).or(same));
    }
    Ok(query.all(conn).await?.into_iter().map(Claim::try_from).collect::<Result<_, _>>()?)
}

/// Stops asking for a serial.
pub async fn withdraw(conn: &impl ConnectionTrait, serial: &str) -> Result<(), Error> {
    let claims = of_serial(conn, serial).await?;
    let open = claims.iter().any(|claim| claim.state != State::Fulfilled);
    match claims.first() {
        None => Err(Error::NotFound(serial.to_owned())),
        Some(claim) if !open => Err(Error::Settled(serial.to_owned(), claim.state)),
        Some(_) => {
            let gone = Entity::delete_many().filter(Column::Serial.eq(serial));
            gone.filter(Column::State.ne(State::Fulfilled.name())).exec(conn).await?;
            Ok(())
        }
    }
}
