//! Rows of CAs, and the count of their changes.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, TransactionTrait};

use super::{Role, Standing};
use crate::db::entity::{authority, ca_revision};
use crate::db::{signed, unsigned};

/// A CA as its row has it; the key is sealed, and empty where it is not here.
pub(in crate::ca) struct StoredAuthority {
    pub id: String,
    pub role: Role,
    pub standing: Standing,
    pub certificate: Vec<u8>,
    pub sealed_key: Vec<u8>,
    pub chain: Option<Vec<u8>>,
    pub settings: Option<Vec<u8>>,
    pub created: u64,
    pub updated: u64,
}

impl TryFrom<authority::Model> for StoredAuthority {
    type Error = DbErr;

    fn try_from(row: authority::Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("authority.{column} holds an impossible value"));
        let role = Role::ALL.into_iter().find(|role| role.name() == row.role);
        let standing = Standing::ALL.into_iter().find(|standing| standing.name() == row.state);
        Ok(Self {
            id: row.kind,
            role: role.ok_or_else(|| bad("role"))?,
            standing: standing.ok_or_else(|| bad("state"))?,
            certificate: row.certificate,
            sealed_key: row.sealed_key,
            chain: row.chain,
            settings: row.settings,
            created: unsigned(row.created),
            updated: unsigned(row.updated),
        })
    }
}

/// The count of changes.
pub(in crate::ca) async fn revision(conn: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let row = ca_revision::Entity::find_by_id(1).one(conn).await?;
    Ok(row.map_or(0, |row| row.revision))
}

/// Counts a change, in the change's own transaction.
pub(in crate::ca) async fn count_change(conn: &impl ConnectionTrait) -> Result<(), DbErr> {
    let revision = ca_revision::Column::Revision;
    ca_revision::Entity::update_many()
        .col_expr(revision, Expr::col(revision).add(1))
        .filter(ca_revision::Column::Id.eq(1))
        .exec(conn)
        .await
        .map(|_| ())
}

/// All CAs; none before the first start.
pub(in crate::ca) async fn all(conn: &impl ConnectionTrait) -> Result<Vec<StoredAuthority>, DbErr> {
    let rows = authority::Entity::find().order_by_asc(authority::Column::Kind).all(conn).await?;
    rows.into_iter().map(StoredAuthority::try_from).collect()
}

/// Stores CAs that belong together.
pub(in crate::ca) async fn insert_all(db: &DatabaseConnection, all: &[StoredAuthority]) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    for stored in all {
        insert(&transaction, stored).await?;
    }
    transaction.commit().await
}

/// Stores a CA.
pub(in crate::ca) async fn insert(conn: &impl ConnectionTrait, stored: &StoredAuthority) -> Result<(), DbErr> {
    let row = authority::ActiveModel {
        kind: Set(stored.id.clone()),
        certificate: Set(stored.certificate.clone()),
        sealed_key: Set(stored.sealed_key.clone()),
        created: Set(signed(stored.created)),
        role: Set(stored.role.name().to_owned()),
        state: Set(stored.standing.name().to_owned()),
        chain: Set(stored.chain.clone()),
        settings: Set(stored.settings.clone()),
        updated: Set(signed(stored.updated)),
    };
    authority::Entity::insert(row).exec_without_returning(conn).await?;
    count_change(conn).await
}

/// Replaces how an outside CA is reached.
pub(super) async fn set_settings(
    conn: &impl ConnectionTrait,
    id: &str,
    sealed: &[u8],
    now: u64,
) -> Result<(), DbErr> {
    authority::Entity::update_many()
        .col_expr(authority::Column::Settings, Expr::value(sealed.to_vec()))
        .col_expr(authority::Column::Updated, Expr::value(signed(now)))
        .filter(authority::Column::Kind.eq(id))
        .exec(conn)
        .await?;
    count_change(conn).await
}

/// False when it was no longer what it is taken to be.
pub(super) async fn set_standing(
    conn: &impl ConnectionTrait,
    id: &str,
    (from, to): (Standing, Standing),
    now: u64,
) -> Result<bool, DbErr> {
    let changed = authority::Entity::update_many()
        .col_expr(authority::Column::State, Expr::value(to.name()))
        .col_expr(authority::Column::Updated, Expr::value(signed(now)))
        .filter(authority::Column::Kind.eq(id))
        .filter(authority::Column::State.eq(from.name()))
        .exec(conn)
        .await?;
    count_change(conn).await?;
    Ok(changed.rows_affected > 0)
}
