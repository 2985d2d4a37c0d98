//! Rows of buyers, their keys and their enrolment codes.

use fdo_protocol::crypto::VerifyingKey;
use fdo_service::database::is_postgres;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder, QuerySelect};

use super::{Buyer, BuyerKey, BuyerState, EnrolmentCode};
use crate::db::entity::{buyer as row, buyer_key as key_row, enrolment_code as code_row};
use crate::db::{impossible, signed, unsigned};

impl TryFrom<row::Model> for Buyer {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            state: BuyerState::from_name(&row.state).ok_or_else(|| impossible("buyer.state"))?,
            created: unsigned(row.created, "buyer.created")?,
            id: row.id,
            name: row.name,
        })
    }
}

impl TryFrom<key_row::Model> for BuyerKey {
    type Error = DbErr;

    fn try_from(row: key_row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            key: VerifyingKey::from_spki_der(&row.spki).map_err(|_| impossible("buyer_key.spki"))?,
            created: unsigned(row.created, "buyer_key.created")?,
            fingerprint: row.fingerprint,
            buyer_id: row.buyer_id,
            code_hash: row.code_hash,
        })
    }
}

impl TryFrom<code_row::Model> for EnrolmentCode {
    type Error = DbErr;

    fn try_from(row: code_row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            created: unsigned(row.created, "enrolment_code.created")?,
            expires: unsigned(row.expires, "enrolment_code.expires")?,
            opened: row.opened.map(|opened| unsigned(opened, "enrolment_code.opened")).transpose()?,
            completed: row.completed,
            hash: row.hash,
            buyer_id: row.buyer_id,
        })
    }
}

pub async fn insert(conn: &impl ConnectionTrait, buyer: &Buyer) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        id: Set(buyer.id.clone()),
        name: Set(buyer.name.clone()),
        state: Set(buyer.state.name().to_owned()),
        created: Set(signed(buyer.created)),
    };
    row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// By name or id.
pub async fn find(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Buyer>, DbErr> {
    let either = Condition::any().add(row::Column::Name.eq(name)).add(row::Column::Id.eq(name));
    row::Entity::find().filter(either).one(conn).await?.map(Buyer::try_from).transpose()
}

pub async fn list(conn: &impl ConnectionTrait, after: Option<String>, limit: u64) -> Result<Vec<Buyer>, DbErr> {
    let mut query = row::Entity::find().order_by_asc(row::Column::Name).limit(limit);
    if let Some(after) = after {
        query = query.filter(row::Column::Name.gt(after));
    }
    query.all(conn).await?.into_iter().map(Buyer::try_from).collect()
}

pub async fn set_state(conn: &impl ConnectionTrait, id: &str, state: BuyerState) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(state.name()))
        .filter(row::Column::Id.eq(id));
    update.exec(conn).await.map(|_| ())
}

pub async fn insert_key(conn: &impl ConnectionTrait, key: &BuyerKey) -> Result<(), DbErr> {
    let row = key_row::ActiveModel {
        fingerprint: Set(key.fingerprint.clone()),
        buyer_id: Set(key.buyer_id.clone()),
        key_type: Set(key.key.key_type().to_string()),
        spki: Set(key.key.spki_der().to_vec()),
        state: Set("active".to_owned()),
        code_hash: Set(key.code_hash.clone()),
        created: Set(signed(key.created)),
    };
    key_row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub async fn find_key(conn: &impl ConnectionTrait, fingerprint: &str) -> Result<Option<BuyerKey>, DbErr> {
    key_row::Entity::find_by_id(fingerprint).one(conn).await?.map(BuyerKey::try_from).transpose()
}

pub async fn keys_of(conn: &impl ConnectionTrait, buyer_id: &str) -> Result<Vec<BuyerKey>, DbErr> {
    let of_buyer = key_row::Entity::find()
        .filter(key_row::Column::BuyerId.eq(buyer_id))
        .order_by_asc(key_row::Column::Created)
        .order_by_asc(key_row::Column::Fingerprint);
    of_buyer.all(conn).await?.into_iter().map(BuyerKey::try_from).collect()
}

pub async fn insert_code(conn: &impl ConnectionTrait, code: &EnrolmentCode) -> Result<(), DbErr> {
    let row = code_row::ActiveModel {
        hash: Set(code.hash.clone()),
        buyer_id: Set(code.buyer_id.clone()),
        created: Set(signed(code.created)),
        expires: Set(signed(code.expires)),
        opened: Set(code.opened.map(signed)),
        completed: Set(code.completed),
    };
    code_row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub async fn find_code_locked(conn: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<EnrolmentCode>, DbErr> {
    let mut query = code_row::Entity::find_by_id(hash.to_vec());
    if is_postgres(conn) {
        query = query.lock_exclusive();
    }
    query.one(conn).await?.map(EnrolmentCode::try_from).transpose()
}

pub async fn use_code(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    opened: u64,
    completed: bool,
) -> Result<(), DbErr> {
    let update = code_row::Entity::update_many()
        .col_expr(code_row::Column::Opened, Expr::value(signed(opened)))
        .col_expr(code_row::Column::Completed, Expr::value(completed))
        .filter(code_row::Column::Hash.eq(hash.to_vec()));
    update.exec(conn).await.map(|_| ())
}
