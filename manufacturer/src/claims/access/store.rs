//! Rows of KeyAuth sessions and tokens; tokens are stored as SHA-256, which suffices for 256 random bits.

use fdo_protocol::crypto::VerifyingKey;
use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, PaginatorTrait};

use crate::db::entity::{claim_token as token_row, key_auth_session as row};
use crate::db::{impossible, signed, unsigned};

/// A hello that waits for its prove.
pub(in crate::claims) struct Pending {
    pub(in crate::claims) id: Vec<u8>,
    pub(in crate::claims) state: Vec<u8>,
    /// The network that it came from.
    pub(in crate::claims) source: String,
    /// Of the key that the caller says it has.
    pub(in crate::claims) fingerprint: String,
    pub(in crate::claims) expires: u64,
}

/// A token and what it is bound to.
pub(in crate::claims) struct Token {
    pub(in crate::claims) hash: Vec<u8>,
    pub(in crate::claims) fingerprint: String,
    pub(in crate::claims) key: VerifyingKey,
    pub(in crate::claims) buyer_id: Option<String>,
    pub(in crate::claims) expires: u64,
}

impl TryFrom<token_row::Model> for Token {
    type Error = DbErr;

    fn try_from(row: token_row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            key: VerifyingKey::from_spki_der(&row.spki).map_err(|_| impossible("claim_token.spki"))?,
            expires: unsigned(row.expires, "claim_token.expires")?,
            hash: row.hash,
            fingerprint: row.fingerprint,
            buyer_id: row.buyer_id,
        })
    }
}

/// How many sessions wait for their prove.
pub(in crate::claims) async fn pending(conn: &impl ConnectionTrait, now: u64) -> Result<u64, DbErr> {
    row::Entity::find().filter(row::Column::Expires.gt(signed(now))).count(conn).await
}

pub(in crate::claims) async fn pending_of_source(
    conn: &impl ConnectionTrait,
    source: &str,
    now: u64,
) -> Result<u64, DbErr> {
    let live = row::Entity::find().filter(row::Column::Expires.gt(signed(now)));
    live.filter(row::Column::Source.eq(source)).count(conn).await
}

pub(in crate::claims) async fn pending_of_key(
    conn: &impl ConnectionTrait,
    fingerprint: &str,
    now: u64,
) -> Result<u64, DbErr> {
    let live = row::Entity::find().filter(row::Column::Expires.gt(signed(now)));
    live.filter(row::Column::Fingerprint.eq(fingerprint)).count(conn).await
}

pub(in crate::claims) async fn insert_pending(conn: &impl ConnectionTrait, pending: Pending) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        id: Set(pending.id),
        state: Set(pending.state),
        source: Set(pending.source),
        fingerprint: Set(pending.fingerprint),
        expires: Set(signed(pending.expires)),
    };
    row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// Finds and deletes in one step: of two that ask at once, one gets it.
pub(in crate::claims) async fn take_pending(
    db: &DatabaseConnection,
    id: &[u8],
    now: u64,
) -> Result<Option<Vec<u8>>, DbErr> {
    let transaction = database::begin(db).await?;
    let found = row::Entity::find_by_id(id.to_vec()).one(&transaction).await?;
    let deleted = row::Entity::delete_by_id(id.to_vec()).exec(&transaction).await?.rows_affected;
    transaction.commit().await?;
    Ok(found.filter(|row| deleted == 1 && row.expires > signed(now)).map(|row| row.state))
}

pub(in crate::claims) async fn insert_token(conn: &impl ConnectionTrait, token: &Token) -> Result<(), DbErr> {
    let row = token_row::ActiveModel {
        hash: Set(token.hash.clone()),
        fingerprint: Set(token.fingerprint.clone()),
        spki: Set(token.key.spki_der().to_vec()),
        buyer_id: Set(token.buyer_id.clone()),
        expires: Set(signed(token.expires)),
    };
    token_row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub(in crate::claims) async fn find_token(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    now: u64,
) -> Result<Option<Token>, DbErr> {
    let live = token_row::Entity::find_by_id(hash.to_vec()).filter(token_row::Column::Expires.gt(signed(now)));
    live.one(conn).await?.map(Token::try_from).transpose()
}

/// A key that was enrolled goes on with the token that it was enrolled with.
pub(in crate::claims) async fn bind_token(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    buyer_id: &str,
) -> Result<(), DbErr> {
    let update = token_row::Entity::update_many()
        .col_expr(token_row::Column::BuyerId, Expr::value(buyer_id))
        .filter(token_row::Column::Hash.eq(hash.to_vec()));
    update.exec(conn).await.map(|_| ())
}

pub(in crate::claims) async fn sweep(conn: &impl ConnectionTrait, now: u64) -> Result<(), DbErr> {
    row::Entity::delete_many().filter(row::Column::Expires.lte(signed(now))).exec(conn).await?;
    token_row::Entity::delete_many().filter(token_row::Column::Expires.lte(signed(now))).exec(conn).await?;
    Ok(())
}
