//! Rows of the audit trail and its head, which serialises appending.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, ExprTrait, Query};
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::{Entry, Event, Outcome, chain};
use crate::database::Change;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_entry")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence: i64,
        pub at: i64,
        pub actor: String,
        pub action: String,
        pub subject: String,
        pub outcome: String,
        pub detail: String,
        pub previous: Vec<u8>,
        pub hash: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Appends an entry, inside the caller's transaction where it has one. Call it last before the commit: other
/// appenders wait from here on.
pub async fn record(conn: &impl Change, now: u64, event: Event<'_>) -> Result<(), DbErr> {
    match conn.own_transaction().await? {
        None => append(conn, now, event).await,
        Some(transaction) => {
            append(&transaction, now, event).await?;
            transaction.commit().await
        }
    }
}

async fn append(conn: &impl ConnectionTrait, now: u64, event: Event<'_>) -> Result<(), DbErr> {
    let name = Alias::new;
    // Taking the next number locks the head's row until the commit.
    let advance = Query::update()
        .table(name("audit_head"))
        .value(name("sequence"), Expr::col(name("sequence")).add(1))
        .and_where(Expr::col(name("id")).eq(1))
        .returning(Query::returning().columns([name("sequence"), name("hash")]))
        .take();
    let head = conn.query_one(&advance).await?.ok_or_else(|| DbErr::RecordNotFound("audit_head".into()))?;
    let (number, previous): (i64, Vec<u8>) = (head.try_get("", "sequence")?, head.try_get("", "hash")?);
    let sequence = u64::try_from(number).map_err(|_| DbErr::Type("audit_head.sequence is negative".into()))?;
    let parts = [event.actor, event.action, event.subject, event.outcome.name(), event.detail];
    let hash = chain(&previous, sequence, now, parts).to_vec();
    let row = row::ActiveModel {
        sequence: Set(number),
        at: Set(i64::try_from(now).unwrap_or(i64::MAX)),
        actor: Set(event.actor.to_owned()),
        action: Set(event.action.to_owned()),
        subject: Set(event.subject.to_owned()),
        outcome: Set(event.outcome.name().to_owned()),
        detail: Set(event.detail.to_owned()),
        previous: Set(previous),
        hash: Set(hash.clone()),
    };
    row::Entity::insert(row).exec_without_returning(conn).await?;
    let keep = Query::update()
        .table(name("audit_head"))
        .value(name("hash"), hash)
        .and_where(Expr::col(name("id")).eq(1))
        .take();
    conn.execute(&keep).await.map(|_| ())
}

/// What an actor was refused after a sequence number, the oldest first, and up to which number that is all.
pub async fn refusals(
    conn: &impl ConnectionTrait,
    actor: &str,
    after: u64,
    limit: u64,
) -> Result<(Vec<Entry>, u64), DbErr> {
    let number = |sequence: u64| i64::try_from(sequence).unwrap_or(i64::MAX);
    // Numbers are given out one after the other, so nothing is committed behind the last one.
    let last: Option<Option<i64>> = row::Entity::find()
        .select_only()
        .column_as(row::Column::Sequence.max(), "last")
        .into_tuple()
        .one(conn)
        .await?;
    let last = last.flatten().unwrap_or_default();
    let rows = row::Entity::find()
        .filter(row::Column::Sequence.gt(number(after)))
        .filter(row::Column::Sequence.lte(last))
        .filter(row::Column::Actor.eq(actor))
        .filter(row::Column::Outcome.eq(Outcome::Refused.name()))
        .order_by_asc(row::Column::Sequence)
        .limit(limit)
        .all(conn)
        .await?;
    let upto = match rows.last() {
        Some(row) if rows.len() as u64 == limit => row.sequence,
        _ => last,
    };
    let upto = Ord::max(u64::try_from(upto).unwrap_or_default(), after);
    Ok((rows.into_iter().map(entry).collect(), upto))
}

/// Entries, the newest first, from before a sequence number.
pub async fn list(conn: &impl ConnectionTrait, before: Option<u64>, limit: u64) -> Result<Vec<Entry>, DbErr> {
    let mut query = row::Entity::find().order_by_desc(row::Column::Sequence).limit(limit);
    if let Some(before) = before {
        query = query.filter(row::Column::Sequence.lt(i64::try_from(before).unwrap_or(i64::MAX)));
    }
    let rows = query.all(conn).await?;
    Ok(rows.into_iter().map(entry).collect())
}

/// The first sequence number at which the chain does not hold, if there is one.
pub async fn verify(conn: &impl ConnectionTrait) -> Result<Option<u64>, DbErr> {
    let (mut previous, mut sequence) = (vec![0_u8; 32], 0_u64);
    loop {
        let rows = row::Entity::find()
            .filter(row::Column::Sequence.gt(i64::try_from(sequence).unwrap_or(i64::MAX)))
            .order_by_asc(row::Column::Sequence)
            .limit(500)
            .all(conn)
            .await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            sequence += 1;
            let parts = [&*row.actor, &*row.action, &*row.subject, &*row.outcome, &*row.detail];
            let hash = chain(&previous, sequence, u64::try_from(row.at).unwrap_or_default(), parts);
            if u64::try_from(row.sequence) != Ok(sequence) || row.previous != previous || row.hash != hash {
                return Ok(Some(sequence));
            }
            previous = row.hash;
        }
    }
    // Entries cut off at the end leave a head that is ahead of them.
    let read = Query::select().column(Alias::new("sequence")).from(Alias::new("audit_head")).take();
    let head: i64 = match conn.query_one(&read).await? {
        Some(head) => head.try_get("", "sequence")?,
        None => return Ok(Some(sequence + 1)),
    };
    Ok((u64::try_from(head) != Ok(sequence)).then_some(sequence + 1))
}

fn entry(row: row::Model) -> Entry {
    Entry {
        sequence: u64::try_from(row.sequence).unwrap_or_default(),
        at: u64::try_from(row.at).unwrap_or_default(),
        actor: row.actor,
        action: row.action,
        subject: row.subject,
        outcome: row.outcome,
        detail: row.detail,
        hash: hex::encode(row.hash),
    }
}
