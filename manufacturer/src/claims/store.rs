//! Rows of claims, and the log of what was signed.

use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, PaginatorTrait, QueryOrder, QuerySelect};

use super::Claim;
use crate::db::entity::{claim as row, signer_log};
use crate::db::{impossible, signed, unsigned};

/// One line of the signer log.
pub struct Signature<'a> {
    /// SHA-256 of the tip that the signature follows; the log takes each only once.
    pub previous: Vec<u8>,
    pub claim: &'a Claim,
    /// Fingerprint of the key that signed.
    pub signer: &'a str,
}

/// Which of a key's claims to list, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub since: Option<u64>,
    pub until: Option<u64>,
    /// The claim after which to begin: when it was made, and its GUID.
    pub after: Option<(u64, String)>,
    /// Only claims that were not downloaded.
    pub pending: bool,
    pub limit: u64,
}

impl TryFrom<row::Model> for Claim {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            guid: row.guid.parse().map_err(|_| impossible("claim.guid"))?,
            created: unsigned(row.created, "claim.created")?,
            delivered: row.delivered.map(|at| unsigned(at, "claim.delivered")).transpose()?,
            canon: row.canon,
            serial: row.serial,
            model: row.model,
            buyer_id: row.buyer_id,
            fingerprint: row.fingerprint,
            bytes: row.bytes,
            checksum: row.checksum,
            request_id: row.request_id,
        })
    }
}

pub async fn insert(conn: &impl ConnectionTrait, claim: &Claim) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        guid: Set(claim.guid.to_string()),
        canon: Set(claim.canon.clone()),
        serial: Set(claim.serial.clone()),
        model: Set(claim.model.clone()),
        buyer_id: Set(claim.buyer_id.clone()),
        fingerprint: Set(claim.fingerprint.clone()),
        size: Set(i64::try_from(claim.bytes.len()).unwrap_or(i64::MAX)),
        bytes: Set(claim.bytes.clone()),
        checksum: Set(claim.checksum.clone()),
        request_id: Set(claim.request_id.clone()),
        created: Set(signed(claim.created)),
        delivered: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub async fn find(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<Claim>, DbErr> {
    row::Entity::find_by_id(guid.to_string()).one(conn).await?.map(Claim::try_from).transpose()
}

/// The newest claim of a serial by one buyer.
pub async fn find_by_serial(
    conn: &impl ConnectionTrait,
    canon: &str,
    buyer_id: &str,
) -> Result<Option<Claim>, DbErr> {
    let newest = row::Entity::find()
        .filter(row::Column::Canon.eq(canon))
        .filter(row::Column::BuyerId.eq(buyer_id))
        .order_by_desc(row::Column::Created);
    newest.one(conn).await?.map(Claim::try_from).transpose()
}

pub async fn list(conn: &impl ConnectionTrait, after: Option<String>, limit: u64) -> Result<Vec<Claim>, DbErr> {
    let mut query = row::Entity::find().order_by_asc(row::Column::Guid).limit(limit);
    if let Some(after) = after {
        query = query.filter(row::Column::Guid.gt(after));
    }
    query.all(conn).await?.into_iter().map(Claim::try_from).collect()
}

/// The claims of one key.
pub async fn list_of_key(
    conn: &impl ConnectionTrait,
    fingerprint: &str,
    wanted: &Wanted,
) -> Result<Vec<Claim>, DbErr> {
    let mut query = row::Entity::find()
        .filter(row::Column::Fingerprint.eq(fingerprint))
        .order_by_asc(row::Column::Created)
        .order_by_asc(row::Column::Guid)
        .limit(wanted.limit);
    if let Some(since) = wanted.since {
        query = query.filter(row::Column::Created.gte(signed(since)));
    }
    if let Some(until) = wanted.until {
        query = query.filter(row::Column::Created.lte(signed(until)));
    }
    if wanted.pending {
        query = query.filter(row::Column::Delivered.is_null());
    }
    if let Some((created, guid)) = &wanted.after {
        let same = Condition::all()
            .add(row::Column::Created.eq(signed(*created)))
            .add(row::Column::Guid.gt(guid.as_str()));
        query = query.filter(Condition::any().add(row::Column::Created.gt(signed(*created))).add(same));
    }
    query.all(conn).await?.into_iter().map(Claim::try_from).collect()
}

pub async fn set_delivered(conn: &impl ConnectionTrait, guid: &Guid, now: u64) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Delivered, Expr::value(signed(now)))
        .filter(row::Column::Guid.eq(guid.to_string()))
        .filter(row::Column::Delivered.is_null());
    update.exec(conn).await.map(|_| ())
}

pub async fn log_signature(conn: &impl ConnectionTrait, signature: &Signature<'_>) -> Result<(), DbErr> {
    let row = signer_log::ActiveModel {
        previous: Set(signature.previous.clone()),
        guid: Set(signature.claim.guid.to_string()),
        checksum: Set(signature.claim.checksum.clone()),
        fingerprint: Set(signature.claim.fingerprint.clone()),
        signer: Set(signature.signer.to_owned()),
        created: Set(signed(signature.claim.created)),
    };
    signer_log::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// How many signatures were made.
pub async fn signatures(conn: &impl ConnectionTrait) -> Result<u64, DbErr> {
    signer_log::Entity::find().count(conn).await
}
