//! Due rows of any table that keeps in a column when each row is due.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, LockBehavior, LockType};
use sea_orm::{Condition, Iterable, PrimaryKeyToColumn, QueryOrder, QuerySelect};

use crate::database;

/// Takes rows that are due for this process: nobody else gets them before `until`. Inside a transaction.
pub async fn take_due<E>(
    conn: &impl ConnectionTrait,
    due_at: E::Column,
    which: Condition,
    now: u64,
    until: u64,
    limit: u64,
) -> Result<Vec<E::Model>, DbErr>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E>,
{
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let mut query = E::find().filter(which).filter(due_at.lte(signed(now))).order_by_asc(due_at).limit(limit);
    if database::is_postgres(conn) {
        query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let due = query.all(conn).await?;
    for row in &due {
        let mut update = E::update_many().col_expr(due_at, Expr::value(signed(until)));
        for key in E::PrimaryKey::iter() {
            let column = key.into_column();
            update = update.filter(Expr::col(column).eq(Expr::value(row.get(column))));
        }
        update.exec(conn).await?;
    }
    Ok(due)
}
