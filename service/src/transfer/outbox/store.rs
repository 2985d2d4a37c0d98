//! Rows of pushes.

use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, Condition, QueryOrder, QuerySelect};

use super::{Push, State};
use crate::queue;
use crate::transfer::{signed, unsigned};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "transfer_push")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub guid: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub partner_id: String,
        pub serial: Option<String>,
        pub state: String,
        pub attempts: i64,
        pub next_at: Option<i64>,
        pub error: Option<String>,
        pub created: i64,
        pub updated: i64,
        pub pushed: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{Column, Entity, Model};

impl TryFrom<Model> for Push {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("transfer_push.{column} holds an impossible value"));
        Ok(Self {
            guid: row.guid.parse().map_err(|_| bad("guid"))?,
            state: State::from_name(&row.state).ok_or_else(|| bad("state"))?,
            attempts: u32::try_from(row.attempts).map_err(|_| bad("attempts"))?,
            partner_id: row.partner_id,
            serial: row.serial,
            next_at: row.next_at.map(unsigned),
            error: row.error,
            created: unsigned(row.created),
            updated: unsigned(row.updated),
            pushed: row.pushed.map(unsigned),
        })
    }
}

/// Puts a voucher into the queue; what is there already stays as it stands.
pub async fn enqueue(
    conn: &impl ConnectionTrait,
    guid: &Guid,
    partner_id: &str,
    serial: Option<&str>,
    now: u64,
) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        guid: Set(guid.to_string()),
        partner_id: Set(partner_id.to_owned()),
        serial: Set(serial.map(str::to_owned)),
        state: Set(State::Queued.name().to_owned()),
        attempts: Set(0),
        next_at: Set(Some(signed(now))),
        error: Set(None),
        created: Set(signed(now)),
        updated: Set(signed(now)),
        pushed: Set(None),
    };
    let mut there = OnConflict::columns([Column::Guid, Column::PartnerId]);
    there.do_nothing();
    Entity::insert(row).on_conflict(there).try_insert().exec_without_returning(conn).await.map(|_| ())
}

pub async fn find(conn: &impl ConnectionTrait, guid: &Guid, partner_id: &str) -> Result<Option<Push>, DbErr> {
    let found = Entity::find_by_id((guid.to_string(), partner_id.to_owned())).one(conn).await?;
    found.map(Push::try_from).transpose()
}

/// Takes due pushes for this process: nobody else gets them before `until`. Inside a transaction.
pub(super) async fn take_due(
    conn: &impl ConnectionTrait,
    now: u64,
    until: u64,
    limit: u64,
) -> Result<Vec<Push>, DbErr> {
    let queued = Condition::all().add(Column::State.eq(State::Queued.name()));
    let due = queue::take_due::<Entity>(conn, Column::NextAt, queued, now, until, limit).await?;
    due.into_iter().map(Push::try_from).collect()
}

fn one(push: &Push) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .filter(Column::Guid.eq(push.guid.to_string()))
        .filter(Column::PartnerId.eq(&push.partner_id))
        .filter(Column::State.ne(State::Pushed.name()))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
}

pub(super) async fn arrived(conn: &impl ConnectionTrait, push: &Push, now: u64) -> Result<(), DbErr> {
    one(push)
        .col_expr(Column::State, Expr::value(State::Pushed.name()))
        .col_expr(Column::NextAt, Expr::value(None::<i64>))
        .col_expr(Column::Error, Expr::value(None::<String>))
        .col_expr(Column::Pushed, Expr::value(signed(now)))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .exec(conn)
        .await
        .map(|_| ())
}

/// Without a next time, it is given up.
pub(super) async fn failed(
    conn: &impl ConnectionTrait,
    push: &Push,
    now: u64,
    next: Option<u64>,
    why: &str,
) -> Result<(), DbErr> {
    let state = if next.is_some() { State::Queued } else { State::Failed };
    one(push)
        .col_expr(Column::State, Expr::value(state.name()))
        .col_expr(Column::NextAt, Expr::value(next.map(signed)))
        .col_expr(Column::Error, Expr::value(why))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .exec(conn)
        .await
        .map(|_| ())
}

/// Tries at once what is not there yet. False where there is nothing to try.
pub async fn retry(conn: &impl ConnectionTrait, guid: &Guid, now: u64) -> Result<bool, DbErr> {
    let updated = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Queued.name()))
        .col_expr(Column::Attempts, Expr::value(0))
        .col_expr(Column::NextAt, Expr::value(signed(now)))
        .filter(Column::Guid.eq(guid.to_string()))
        .filter(Column::State.ne(State::Pushed.name()))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// In the order of their GUIDs; begins after a GUID and a partner.
pub async fn list(
    conn: &impl ConnectionTrait,
    state: Option<State>,
    after: Option<(String, String)>,
    limit: u64,
) -> Result<Vec<Push>, DbErr> {
    let mut query = Entity::find().order_by_asc(Column::Guid).order_by_asc(Column::PartnerId).limit(limit);
    if let Some(state) = state {
        query = query.filter(Column::State.eq(state.name()));
    }
    if let Some((guid, partner)) = after {
        let same = Column::Guid.eq(guid.as_str()).and(Column::PartnerId.gt(partner));
        query = query.filter(Column::Guid.gt(guid).or(same));
    }
    query.all(conn).await?.into_iter().map(Push::try_from).collect()
}

pub async fn forget_partner(conn: &impl ConnectionTrait, partner_id: &str) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::PartnerId.eq(partner_id)).exec(conn).await.map(|_| ())
}
