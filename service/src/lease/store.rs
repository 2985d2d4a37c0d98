//! A lease is a row `(key, holder, until)`; one statement takes it, so no transaction is needed.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr};

/// Takes or renews the lease `key` for `seconds`; false while somebody else holds it.
pub async fn try_acquire(
    conn: &impl ConnectionTrait,
    key: &str,
    holder: &str,
    now: u64,
    seconds: u64,
) -> Result<bool, DbErr> {
    let signed = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
    let (table, held) =
        (Alias::new("lease"), |column: &'static str| Expr::col((Alias::new("lease"), Alias::new(column))));
    let mut take = OnConflict::column(Alias::new("key"));
    take.update_columns([Alias::new("holder"), Alias::new("until")])
        .action_and_where(held("until").lte(signed(now)).or(held("holder").eq(holder)));
    let insert = Query::insert()
        .into_table(table)
        .columns([Alias::new("key"), Alias::new("holder"), Alias::new("until")])
        .values_panic([key.into(), holder.into(), signed(now.saturating_add(seconds)).into()])
        .on_conflict(take)
        .take();
    Ok(conn.execute(&insert).await?.rows_affected() == 1)
}

/// Gives a lease back; somebody else's stays.
pub async fn release(conn: &impl ConnectionTrait, key: &str, holder: &str) -> Result<(), DbErr> {
    let delete = Query::delete()
        .from_table(Alias::new("lease"))
        .and_where(Expr::col(Alias::new("key")).eq(key))
        .and_where(Expr::col(Alias::new("holder")).eq(holder))
        .take();
    conn.execute(&delete).await.map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::db::SharedMigrator;
    use crate::db::testing::TestDatabase;

    #[tokio::test]
    async fn one_holder_at_a_time() {
        for database in TestDatabase::all::<SharedMigrator>().await {
            let (db, name) = (database.connection(), database.name());
            assert!(try_acquire(db, "to0/1", "a", 100, 30).await.unwrap(), "{name}");
            assert!(!try_acquire(db, "to0/1", "b", 129, 30).await.unwrap(), "{name}");
            assert!(try_acquire(db, "to0/2", "b", 100, 30).await.unwrap(), "{name}");
            assert!(try_acquire(db, "to0/1", "a", 129, 30).await.unwrap(), "{name}: renewed");
            assert!(!try_acquire(db, "to0/1", "b", 130, 30).await.unwrap(), "{name}");
            assert!(try_acquire(db, "to0/1", "b", 159, 30).await.unwrap(), "{name}: expired");
            release(db, "to0/1", "a").await.unwrap();
            assert!(!try_acquire(db, "to0/1", "a", 160, 30).await.unwrap(), "{name}: not a's to release");
            release(db, "to0/1", "b").await.unwrap();
            assert!(try_acquire(db, "to0/1", "a", 160, 30).await.unwrap(), "{name}");
        }
    }
}
