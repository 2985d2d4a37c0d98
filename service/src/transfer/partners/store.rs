//! Rows of partners, of their keys, and of their tokens (as SHA-256, which suffices for 256 random bits).

use fdo_protocol::crypto::VerifyingKey;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, LockBehavior, LockType};
use sea_orm::{ActiveValue::Set, Condition, QueryOrder, QuerySelect};

use super::{Partner, PartnerError};
use crate::database;
use crate::transfer::{signed, unsigned};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "transfer_partner")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub name: String,
        pub did: Option<String>,
        pub tls_pin: Option<String>,
        pub push_root: Option<String>,
        pub pull_root: Option<String>,
        pub token: Option<Vec<u8>>,
        pub suspended: bool,
        pub created: i64,
        pub pull_at: Option<i64>,
        pub pull_attempts: i64,
        pub pulled: Option<i64>,
        pub pull_since: Option<i64>,
        pub pull_error: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod key_row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "transfer_partner_key")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub fingerprint: String,
        pub partner_id: String,
        pub key_type: String,
        pub spki: Vec<u8>,
        pub created: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod token_row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "transfer_partner_token")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: Vec<u8>,
        pub partner_id: String,
        pub created: i64,
        pub expires: Option<i64>,
        pub last_used: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<row::Model> for Partner {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        let bad = || DbErr::Type("transfer_partner.tls_pin holds an impossible value".to_owned());
        let pin = row.tls_pin.map(|text| {
            let mut pin = [0_u8; 32];
            hex::decode_to_slice(text, &mut pin).map(|()| pin).map_err(|_| bad())
        });
        Ok(Self {
            tls_pin: pin.transpose()?,
            id: row.id,
            name: row.name,
            did: row.did,
            push_root: row.push_root,
            pull_root: row.pull_root,
            token: row.token,
            suspended: row.suspended,
            created: unsigned(row.created),
            pull_at: row.pull_at.map(unsigned),
            pull_attempts: u32::try_from(row.pull_attempts).unwrap_or_default(),
            pulled: row.pulled.map(unsigned),
            pull_since: row.pull_since.map(unsigned),
            pull_error: row.pull_error,
        })
    }
}

pub(super) async fn insert(conn: &impl ConnectionTrait, partner: &Partner) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        id: Set(partner.id.clone()),
        name: Set(partner.name.clone()),
        did: Set(partner.did.clone()),
        tls_pin: Set(partner.tls_pin.map(hex::encode)),
        push_root: Set(partner.push_root.clone()),
        pull_root: Set(partner.pull_root.clone()),
        token: Set(partner.token.clone()),
        suspended: Set(partner.suspended),
        created: Set(signed(partner.created)),
        pull_at: Set(partner.pull_at.map(signed)),
        pull_attempts: Set(0),
        pulled: Set(None),
        pull_since: Set(None),
        pull_error: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn set_roots(conn: &impl ConnectionTrait, partner: &Partner) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::PushRoot, Expr::value(partner.push_root.clone()))
        .col_expr(row::Column::PullRoot, Expr::value(partner.pull_root.clone()))
        .filter(row::Column::Id.eq(&partner.id));
    update.exec(conn).await.map(|_| ())
}

pub(super) async fn set_suspended(conn: &impl ConnectionTrait, id: &str, suspended: bool) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Suspended, Expr::value(suspended))
        .filter(row::Column::Id.eq(id));
    update.exec(conn).await.map(|_| ())
}

pub(super) async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<(), DbErr> {
    crate::transfer::outbox::forget_partner(conn, id).await?;
    token_row::Entity::delete_many().filter(token_row::Column::PartnerId.eq(id)).exec(conn).await?;
    key_row::Entity::delete_many().filter(key_row::Column::PartnerId.eq(id)).exec(conn).await?;
    row::Entity::delete_by_id(id).exec(conn).await.map(|_| ())
}

/// By id.
pub async fn find(conn: &impl ConnectionTrait, id: &str) -> Result<Option<Partner>, DbErr> {
    row::Entity::find_by_id(id).one(conn).await?.map(Partner::try_from).transpose()
}

/// By id, name, DID or one of the roots.
pub async fn get(conn: &impl ConnectionTrait, name: &str) -> Result<Partner, PartnerError> {
    let any = [row::Column::Id, row::Column::Name, row::Column::Did, row::Column::PullRoot, row::Column::PushRoot]
        .into_iter()
        .fold(Condition::any(), |any, column| any.add(column.eq(name)));
    let found = row::Entity::find().filter(any).order_by_asc(row::Column::Id).one(conn).await?;
    found.map(Partner::try_from).transpose()?.ok_or_else(|| PartnerError::Unknown(name.to_owned()))
}

/// By DID.
pub async fn find_by_did(conn: &impl ConnectionTrait, did: &str) -> Result<Option<Partner>, DbErr> {
    let found = row::Entity::find().filter(row::Column::Did.eq(did)).one(conn).await?;
    found.map(Partner::try_from).transpose()
}

/// Whose key this is.
pub async fn find_by_key(conn: &impl ConnectionTrait, fingerprint: &str) -> Result<Option<Partner>, DbErr> {
    match key_row::Entity::find_by_id(fingerprint).one(conn).await? {
        Some(key) => find(conn, &key.partner_id).await,
        None => Ok(None),
    }
}

/// In the order of their names.
pub async fn list(conn: &impl ConnectionTrait, after: Option<String>, limit: u64) -> Result<Vec<Partner>, DbErr> {
    let mut query = row::Entity::find().order_by_asc(row::Column::Name).limit(limit);
    if let Some(after) = after {
        query = query.filter(row::Column::Name.gt(after));
    }
    query.all(conn).await?.into_iter().map(Partner::try_from).collect()
}

pub(super) async fn insert_key(
    conn: &impl ConnectionTrait,
    partner_id: &str,
    fingerprint: &str,
    key: &VerifyingKey,
    now: u64,
) -> Result<(), DbErr> {
    let row = key_row::ActiveModel {
        fingerprint: Set(fingerprint.to_owned()),
        partner_id: Set(partner_id.to_owned()),
        key_type: Set(key.key_type().to_string()),
        spki: Set(key.spki_der().to_vec()),
        created: Set(signed(now)),
    };
    key_row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn delete_key(conn: &impl ConnectionTrait, fingerprint: &str) -> Result<(), DbErr> {
    key_row::Entity::delete_by_id(fingerprint).exec(conn).await.map(|_| ())
}

/// A partner's keys.
pub async fn keys_of(conn: &impl ConnectionTrait, partner_id: &str) -> Result<Vec<VerifyingKey>, DbErr> {
    let rows = key_row::Entity::find()
        .filter(key_row::Column::PartnerId.eq(partner_id))
        .order_by_asc(key_row::Column::Created)
        .order_by_asc(key_row::Column::Fingerprint)
        .all(conn)
        .await?;
    let bad = |_| DbErr::Type("transfer_partner_key.spki holds an impossible value".to_owned());
    rows.iter().map(|row| VerifyingKey::from_spki_der(&row.spki).map_err(bad)).collect()
}

pub(super) async fn insert_token(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    partner_id: &str,
    now: u64,
    expires: Option<u64>,
) -> Result<(), DbErr> {
    let row = token_row::ActiveModel {
        hash: Set(hash.to_vec()),
        partner_id: Set(partner_id.to_owned()),
        created: Set(signed(now)),
        expires: Set(expires.map(signed)),
        last_used: Set(None),
    };
    token_row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn delete_tokens(conn: &impl ConnectionTrait, partner_id: &str) -> Result<(), DbErr> {
    let gone = token_row::Entity::delete_many().filter(token_row::Column::PartnerId.eq(partner_id));
    gone.exec(conn).await.map(|_| ())
}

/// The partner that a token was made for, while the token is good.
pub async fn find_by_token(conn: &impl ConnectionTrait, hash: &[u8], now: u64) -> Result<Option<Partner>, DbErr> {
    let good = token_row::Column::Expires.is_null().or(token_row::Column::Expires.gt(signed(now)));
    match token_row::Entity::find_by_id(hash.to_vec()).filter(good).one(conn).await? {
        Some(token) => find(conn, &token.partner_id).await,
        None => Ok(None),
    }
}

/// Takes the partners that are to be asked for vouchers now: nobody else gets them before `until`. Inside a
/// transaction.
pub async fn due_for_pull(
    conn: &impl ConnectionTrait,
    now: u64,
    until: u64,
    limit: u64,
) -> Result<Vec<Partner>, DbErr> {
    let mut query = row::Entity::find()
        .filter(row::Column::PullAt.lte(signed(now)))
        .filter(row::Column::PullRoot.is_not_null())
        .filter(row::Column::Suspended.eq(false))
        .order_by_asc(row::Column::PullAt)
        .limit(limit);
    if database::is_postgres(conn) {
        query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let due = query.all(conn).await?;
    let ids: Vec<&str> = due.iter().map(|row| row.id.as_str()).collect();
    row::Entity::update_many()
        .col_expr(row::Column::PullAt, Expr::value(signed(until)))
        .filter(row::Column::Id.is_in(ids))
        .exec(conn)
        .await?;
    due.into_iter().map(Partner::try_from).collect()
}

/// All that was made there before `since` is here.
pub async fn pulled(
    conn: &impl ConnectionTrait,
    id: &str,
    now: u64,
    next: u64,
    since: Option<u64>,
) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Pulled, Expr::value(signed(now)))
        .col_expr(row::Column::PullAt, Expr::value(signed(next)))
        .col_expr(row::Column::PullSince, Expr::value(since.map(signed)))
        .col_expr(row::Column::PullAttempts, Expr::value(0))
        .col_expr(row::Column::PullError, Expr::value(None::<String>))
        .filter(row::Column::Id.eq(id));
    update.exec(conn).await.map(|_| ())
}

/// It did not go well; `next` is when it is tried again.
pub async fn pull_failed(conn: &impl ConnectionTrait, id: &str, next: u64, why: &str) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::PullAt, Expr::value(signed(next)))
        .col_expr(row::Column::PullAttempts, Expr::col(row::Column::PullAttempts).add(1))
        .col_expr(row::Column::PullError, Expr::value(why))
        .filter(row::Column::Id.eq(id));
    update.exec(conn).await.map(|_| ())
}
