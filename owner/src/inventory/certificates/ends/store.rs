//! Rows of the inventory by their ends.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, ExprTrait};
use sea_orm::{PaginatorTrait, QueryOrder, QuerySelect, Select};

use crate::db::entity::inventory_certificate::{Column, Entity};
use crate::db::{signed, unsigned};
use crate::inventory::certificates::{Listed, Standing, WITHOUT_END};

/// Those that alerts should look at now, the longest due first.
pub async fn due(conn: &impl ConnectionTrait, now: u64, limit: u64) -> Result<Vec<Listed>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Attention.lte(signed(now)))
        .order_by_asc(Column::Attention)
        .limit(limit)
        .all(conn)
        .await?;
    rows.into_iter().map(Listed::try_from).collect()
}

/// Has alerts look again at a part of all active ones, by the first digits of their fingerprints.
pub async fn reconsider(conn: &impl ConnectionTrait, first: &str, until: Option<&str>) -> Result<(), DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::Attention, Expr::value(0_i64))
        .filter(Column::Fingerprint.gte(first))
        .filter(Column::Status.eq(Standing::Active.name()))
        .filter(Column::NotAfter.lt(signed(WITHOUT_END)));
    if let Some(until) = until {
        update = update.filter(Column::Fingerprint.lt(until));
    }
    update.exec(conn).await.map(|_| ())
}

fn alive() -> Select<Entity> {
    Entity::find().filter(Column::Status.eq(Standing::Active.name()))
}

/// How many active ones end from `from` to before `until`, at most `limit`.
pub async fn alive_between(
    conn: &impl ConnectionTrait,
    from: u64,
    until: u64,
    limit: Option<u64>,
) -> Result<u64, DbErr> {
    let some = alive().filter(Column::NotAfter.gte(signed(from))).filter(Column::NotAfter.lt(signed(until)));
    match limit {
        Some(limit) => {
            let some: Vec<i64> =
                some.select_only().column(Column::NotAfter).limit(limit).into_tuple().all(conn).await?;
            Ok(some.len() as u64)
        }
        None => some.count(conn).await,
    }
}

/// The end of the active certificate that ends next.
pub async fn next_end(conn: &impl ConnectionTrait, now: u64) -> Result<Option<u64>, DbErr> {
    let end: Option<i64> = alive()
        .select_only()
        .column(Column::NotAfter)
        .filter(Column::NotAfter.gte(signed(now)))
        .filter(Column::NotAfter.lt(signed(WITHOUT_END)))
        .order_by_asc(Column::NotAfter)
        .limit(1)
        .into_tuple()
        .one(conn)
        .await?;
    Ok(end.map(unsigned))
}

/// How many active ones end on each day from `start`: the day's number and the count, days without any left out.
pub async fn forecast(conn: &impl ConnectionTrait, start: u64, days: u64) -> Result<Vec<(u64, u64)>, DbErr> {
    let day = Expr::col(Column::NotAfter).sub(signed(start)).div(86_400_i64);
    let rows: Vec<(i64, i64)> = alive()
        .select_only()
        .column_as(day, "day")
        .column_as(Column::Fingerprint.count(), "number")
        .filter(Column::NotAfter.gte(signed(start)))
        .filter(Column::NotAfter.lt(signed(start + days * 86_400)))
        .group_by(Expr::col(Alias::new("day")))
        .order_by_asc(Expr::col(Alias::new("day")))
        .into_tuple()
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|(day, number)| (unsigned(day), unsigned(number))).collect())
}
