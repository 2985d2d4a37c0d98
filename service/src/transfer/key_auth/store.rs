//! Rows of KeyAuth sessions and tokens; tokens are stored as SHA-256, which suffices for 256 random bits.

use fdo_protocol::crypto::VerifyingKey;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, PaginatorTrait};

use crate::database;
use crate::transfer::{signed, unsigned};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "key_auth_hello")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Vec<u8>,
        pub state: Vec<u8>,
        pub source: String,
        pub fingerprint: String,
        pub expires: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod token_row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "key_auth_token")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: Vec<u8>,
        pub fingerprint: String,
        pub spki: Vec<u8>,
        pub party: Option<String>,
        pub expires: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A hello that waits for its prove.
pub(super) struct Pending {
    pub(super) id: Vec<u8>,
    pub(super) state: Vec<u8>,
    /// The network that it came from.
    pub(super) source: String,
    /// Of the key that the caller says it has.
    pub(super) fingerprint: String,
    pub(super) expires: u64,
}

/// A token and what it is bound to.
pub(super) struct Token {
    pub(super) hash: Vec<u8>,
    pub(super) fingerprint: String,
    pub(super) key: VerifyingKey,
    pub(super) party: Option<String>,
    pub(super) expires: u64,
}

impl TryFrom<token_row::Model> for Token {
    type Error = DbErr;

    fn try_from(row: token_row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            key: VerifyingKey::from_spki_der(&row.spki)
                .map_err(|_| DbErr::Type("key_auth_token.spki holds an impossible value".into()))?,
            expires: unsigned(row.expires),
            hash: row.hash,
            fingerprint: row.fingerprint,
            party: row.party,
        })
    }
}

/// How many sessions wait for their prove.
pub(super) async fn pending(conn: &impl ConnectionTrait, now: u64) -> Result<u64, DbErr> {
    row::Entity::find().filter(row::Column::Expires.gt(signed(now))).count(conn).await
}

pub(super) async fn pending_of_source(conn: &impl ConnectionTrait, source: &str, now: u64) -> Result<u64, DbErr> {
    let live = row::Entity::find().filter(row::Column::Expires.gt(signed(now)));
    live.filter(row::Column::Source.eq(source)).count(conn).await
}

pub(super) async fn pending_of_key(
    conn: &impl ConnectionTrait,
    fingerprint: &str,
    now: u64,
) -> Result<u64, DbErr> {
    let live = row::Entity::find().filter(row::Column::Expires.gt(signed(now)));
    live.filter(row::Column::Fingerprint.eq(fingerprint)).count(conn).await
}

pub(super) async fn insert_pending(conn: &impl ConnectionTrait, pending: Pending) -> Result<(), DbErr> {
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
pub(super) async fn take_pending(db: &DatabaseConnection, id: &[u8], now: u64) -> Result<Option<Vec<u8>>, DbErr> {
    let transaction = database::begin(db).await?;
    let found = row::Entity::find_by_id(id.to_vec()).one(&transaction).await?;
    let deleted = row::Entity::delete_by_id(id.to_vec()).exec(&transaction).await?.rows_affected;
    transaction.commit().await?;
    Ok(found.filter(|row| deleted == 1 && row.expires > signed(now)).map(|row| row.state))
}

pub(super) async fn insert_token(conn: &impl ConnectionTrait, token: &Token) -> Result<(), DbErr> {
    let row = token_row::ActiveModel {
        hash: Set(token.hash.clone()),
        fingerprint: Set(token.fingerprint.clone()),
        spki: Set(token.key.spki_der().to_vec()),
        party: Set(token.party.clone()),
        expires: Set(signed(token.expires)),
    };
    token_row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn find_token(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    now: u64,
) -> Result<Option<Token>, DbErr> {
    let live = token_row::Entity::find_by_id(hash.to_vec()).filter(token_row::Column::Expires.gt(signed(now)));
    live.one(conn).await?.map(Token::try_from).transpose()
}

/// A key that was enrolled goes on with the token that it was enrolled with.
pub(super) async fn bind_token(conn: &impl ConnectionTrait, hash: &[u8], party: &str) -> Result<(), DbErr> {
    let update = token_row::Entity::update_many()
        .col_expr(token_row::Column::Party, Expr::value(party))
        .filter(token_row::Column::Hash.eq(hash.to_vec()));
    update.exec(conn).await.map(|_| ())
}

pub(super) async fn sweep(conn: &impl ConnectionTrait, now: u64) -> Result<(), DbErr> {
    row::Entity::delete_many().filter(row::Column::Expires.lte(signed(now))).exec(conn).await?;
    token_row::Entity::delete_many().filter(token_row::Column::Expires.lte(signed(now))).exec(conn).await?;
    Ok(())
}
