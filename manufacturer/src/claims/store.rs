//! Rows of claims, and the log of what was signed.

use fdo_protocol::Guid;
use fdo_protocol::crypto::VerifyingKey;
use fdo_service::transfer::listing::Wanted;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, ExprTrait, Query};
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

/// A device that is allocated and made, and its buyer's key for it.
pub struct Waiting {
    pub serial: String,
    pub buyer_id: String,
    pub fingerprint: String,
    pub key: VerifyingKey,
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

/// Devices that nobody has claimed, allocated to a buyer that has a key of their voucher's type.
pub async fn allocated(conn: &impl ConnectionTrait, limit: u64) -> Result<Vec<Waiting>, DbErr> {
    let table = |name: &'static str| Alias::new(name);
    let column = |of: &'static str, name: &'static str| Expr::col((Alias::new(of), Alias::new(name)));
    let same = |a: (&'static str, &'static str), b: (&'static str, &'static str)| {
        column(a.0, a.1).equals((Alias::new(b.0), Alias::new(b.1)))
    };
    let select = Query::select()
        .expr_as(column("device", "serial"), table("serial"))
        .expr_as(column("allocation", "buyer_id"), table("buyer_id"))
        .expr_as(column("buyer_key", "fingerprint"), table("fingerprint"))
        .expr_as(column("buyer_key", "spki"), table("spki"))
        .from(table("allocation"))
        .inner_join(table("device"), same(("device", "canon"), ("allocation", "canon")))
        .inner_join(table("voucher"), same(("voucher", "guid"), ("device", "guid")))
        .inner_join(table("buyer"), same(("buyer", "id"), ("allocation", "buyer_id")))
        .inner_join(
            table("buyer_key"),
            same(("buyer_key", "buyer_id"), ("buyer", "id"))
                .and(same(("buyer_key", "key_type"), ("voucher", "key_type"))),
        )
        .left_join(table("claim"), same(("claim", "guid"), ("device", "guid")))
        .and_where(column("allocation", "live").is_not_null())
        .and_where(column("buyer", "state").eq("active"))
        .and_where(column("voucher", "state").eq("active"))
        .and_where(column("device", "state").ne("blocked"))
        .and_where(column("claim", "guid").is_null())
        .order_by((table("buyer_key"), table("created")), sea_orm::Order::Asc)
        .order_by((table("buyer_key"), table("fingerprint")), sea_orm::Order::Asc)
        .limit(limit)
        .take();
    let rows = conn.query_all(&select).await?;
    let waiting = |row: sea_orm::QueryResult| {
        let spki: Vec<u8> = row.try_get("", "spki")?;
        Ok(Waiting {
            serial: row.try_get("", "serial")?,
            buyer_id: row.try_get("", "buyer_id")?,
            fingerprint: row.try_get("", "fingerprint")?,
            key: VerifyingKey::from_spki_der(&spki).map_err(|_| impossible("buyer_key.spki"))?,
        })
    };
    rows.into_iter().map(waiting).collect()
}
