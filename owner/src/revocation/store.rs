//! Rows of revocation: what changed, what a list has to show, the lists, and the responders' certificates.

use std::collections::HashMap;

use fdo_pki::{Reason, ToBeSigned};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, OnConflict};
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect};

use super::view::{Known, Scope, Shards};
use crate::ca::State;
use crate::db::entity::{certificate, crl, ocsp_responder};
use crate::db::{signed, unsigned};

/// A revoked certificate, as it stands in a list.
pub(super) struct Revoked {
    pub serial: Vec<u8>,
    pub at: u64,
    pub reason: Reason,
}

/// A list as it is served.
pub(super) struct StoredList {
    pub der: Vec<u8>,
    pub known: Known,
}

fn is_held() -> Expr {
    let hold = i32::from(Reason::CertificateHold.number());
    certificate::Column::State.eq(State::Revoked.name()).and(certificate::Column::ReasonCode.eq(hold))
}

/// Lifts holds: of one certificate, or of all of a device. Gives how many. What was never signed stays withdrawn.
pub(super) async fn release(
    conn: &impl ConnectionTrait,
    serial: Option<&str>,
    device_id: Option<&str>,
    now: u64,
) -> Result<u64, DbErr> {
    let mut update = certificate::Entity::update_many()
        .col_expr(certificate::Column::State, Expr::value(State::Issued.name()))
        .col_expr(certificate::Column::Revoked, Expr::value(None::<i64>))
        .col_expr(certificate::Column::Reason, Expr::value(None::<String>))
        .col_expr(certificate::Column::ReasonCode, Expr::value(None::<i32>))
        .col_expr(certificate::Column::Unlisted, Expr::value(signed(now)))
        .col_expr(certificate::Column::Updated, Expr::value(signed(now)))
        .filter(is_held())
        .filter(certificate::Column::Der.is_not_null());
    if let Some(serial) = serial {
        update = update.filter(certificate::Column::Serial.eq(serial));
    }
    if let Some(device_id) = device_id {
        update = update.filter(certificate::Column::DeviceId.eq(device_id));
    }
    Ok(update.exec(conn).await?.rows_affected)
}

/// Everything that is known of lists and of changes that they do not show.
pub(super) async fn shards(conn: &impl ConnectionTrait) -> Result<Shards, DbErr> {
    let rows: Vec<(String, i32, i64, i64, i64)> = crl::Entity::find()
        .select_only()
        .columns([
            crl::Column::Authority,
            crl::Column::Shard,
            crl::Column::Number,
            crl::Column::ThisUpdate,
            crl::Column::NextUpdate,
        ])
        .into_tuple()
        .all(conn)
        .await?;
    let behind: Vec<(String, i32)> = certificate::Entity::find()
        .select_only()
        .columns([certificate::Column::Authority, certificate::Column::Shard])
        .filter(certificate::Column::Unlisted.is_not_null())
        .distinct()
        .into_tuple()
        .all(conn)
        .await?;
    let mut shards: Shards = HashMap::new();
    for (authority, shard, number, this_update, next_update) in rows {
        let Some(scope) = Scope::from_column(shard) else { continue };
        let known = Known {
            number: unsigned(number),
            this_update: unsigned(this_update),
            next_update: unsigned(next_update),
            is_behind: false,
        };
        shards.entry(authority).or_default().insert(scope, known);
    }
    for (authority, shard) in behind {
        let Some(scope) = Scope::from_column(shard) else { continue };
        shards.entry(authority).or_default().entry(scope).or_default().is_behind = true;
    }
    Ok(shards)
}

/// Gives out the next number of a scope, inside the caller's transaction. To be committed before anything is signed.
pub(super) async fn next_number(conn: &impl ConnectionTrait, authority: &str, scope: Scope) -> Result<u64, DbErr> {
    let row = crl::ActiveModel {
        authority: Set(authority.to_owned()),
        shard: Set(scope.column()),
        number: Set(0),
        reserved: Set(1),
        der: Set(None),
        this_update: Set(0),
        next_update: Set(0),
    };
    let next = Expr::col((Alias::new("crl"), Alias::new("reserved"))).add(1);
    let conflict = OnConflict::columns([crl::Column::Authority, crl::Column::Shard])
        .value(crl::Column::Reserved, next)
        .to_owned();
    crl::Entity::insert(row).on_conflict(conflict).exec_without_returning(conn).await?;
    let found = crl::Entity::find_by_id((authority.to_owned(), scope.column())).one(conn).await?;
    let gone = || DbErr::RecordNotFound("a CRL's row".to_owned());
    found.map(|row| unsigned(row.reserved)).ok_or_else(gone)
}

/// Takes the marks of a shard away, inside the transaction that stores the list which shows the changes.
pub(super) async fn clear_marks(conn: &impl ConnectionTrait, authority: &str, shard: u8) -> Result<(), DbErr> {
    certificate::Entity::update_many()
        .col_expr(certificate::Column::Unlisted, Expr::value(None::<i64>))
        .filter(certificate::Column::Authority.eq(authority))
        .filter(certificate::Column::Shard.eq(i32::from(shard)))
        .filter(certificate::Column::Unlisted.is_not_null())
        .exec(conn)
        .await
        .map(|_| ())
}

/// What a shard's list has to show: what is revoked and ended no earlier than `since`, in the order of the serials.
pub(super) async fn revoked(
    conn: &impl ConnectionTrait,
    authority: &str,
    shard: u8,
    since: u64,
) -> Result<Vec<Revoked>, DbErr> {
    let rows: Vec<(String, Option<i64>, Option<i32>)> = certificate::Entity::find()
        .select_only()
        .columns([certificate::Column::Serial, certificate::Column::Revoked, certificate::Column::ReasonCode])
        .filter(certificate::Column::Authority.eq(authority))
        .filter(certificate::Column::Shard.eq(i32::from(shard)))
        .filter(certificate::Column::State.eq(State::Revoked.name()))
        .filter(certificate::Column::NotAfter.gte(signed(since)))
        .order_by_asc(certificate::Column::Serial)
        .into_tuple()
        .all(conn)
        .await?;
    let bad = || DbErr::Type("certificate.serial holds an impossible value".to_owned());
    let read = |(serial, at, code): (String, Option<i64>, Option<i32>)| {
        Ok(Revoked {
            serial: hex::decode(serial).map_err(|_| bad())?,
            at: at.map(unsigned).unwrap_or_default(),
            reason: reason(code),
        })
    };
    rows.into_iter().map(read).collect()
}

fn reason(code: Option<i32>) -> Reason {
    let code = code.and_then(|code| u8::try_from(code).ok());
    code.and_then(Reason::from_number).unwrap_or(Reason::Unspecified)
}

/// Stores a signed list; false where somebody has taken a later number meanwhile.
pub(super) async fn publish(
    conn: &impl ConnectionTrait,
    authority: &str,
    scope: Scope,
    list: &StoredList,
) -> Result<bool, DbErr> {
    let updated = crl::Entity::update_many()
        .col_expr(crl::Column::Der, Expr::value(list.der.clone()))
        .col_expr(crl::Column::Number, Expr::value(signed(list.known.number)))
        .col_expr(crl::Column::ThisUpdate, Expr::value(signed(list.known.this_update)))
        .col_expr(crl::Column::NextUpdate, Expr::value(signed(list.known.next_update)))
        .filter(crl::Column::Authority.eq(authority))
        .filter(crl::Column::Shard.eq(scope.column()))
        .filter(crl::Column::Reserved.eq(signed(list.known.number)))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// The newest list of a scope, where there is one.
pub(super) async fn list(
    conn: &impl ConnectionTrait,
    authority: &str,
    scope: Scope,
) -> Result<Option<StoredList>, DbErr> {
    let row = crl::Entity::find_by_id((authority.to_owned(), scope.column())).one(conn).await?;
    Ok(row.and_then(|row| {
        let known = Known {
            number: unsigned(row.number),
            this_update: unsigned(row.this_update),
            next_update: unsigned(row.next_update),
            is_behind: false,
        };
        Some(StoredList { der: row.der?, known })
    }))
}

/// What is known of a certificate that a CA issued.
pub(super) struct Found {
    pub shard: u8,
    /// None while it was not signed yet.
    pub is_issued: bool,
    pub revoked: Option<(u64, Reason)>,
}

/// By serial number in hexadecimal, of one CA.
pub(super) async fn find(
    conn: &impl ConnectionTrait,
    authority: &str,
    serial: &str,
) -> Result<Option<Found>, DbErr> {
    let row: Option<(i32, String, Option<i64>, Option<i32>)> = certificate::Entity::find_by_id(serial)
        .select_only()
        .columns([
            certificate::Column::Shard,
            certificate::Column::State,
            certificate::Column::Revoked,
            certificate::Column::ReasonCode,
        ])
        .filter(certificate::Column::Authority.eq(authority))
        .into_tuple()
        .one(conn)
        .await?;
    Ok(row.map(|(shard, state, at, code)| Found {
        shard: u8::try_from(shard).unwrap_or_default(),
        is_issued: state == State::Issued.name(),
        revoked: (state == State::Revoked.name()).then(|| (at.map(unsigned).unwrap_or_default(), reason(code))),
    }))
}

/// Keeps what is about to be signed for a responder.
pub(super) async fn insert_responder(
    conn: &impl ConnectionTrait,
    authority: &str,
    prepared: &ToBeSigned,
    now: u64,
) -> Result<(), DbErr> {
    let row = ocsp_responder::ActiveModel {
        serial: Set(prepared.serial().to_string()),
        authority: Set(authority.to_owned()),
        tbs: Set(prepared.der().to_vec()),
        der: Set(None),
        not_after: Set(signed(prepared.not_after())),
        created: Set(signed(now)),
    };
    ocsp_responder::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// Keeps what was signed, and drops what ended long ago.
pub(super) async fn set_responder(
    conn: &impl ConnectionTrait,
    serial: &str,
    der: &[u8],
    ended_before: u64,
) -> Result<(), DbErr> {
    ocsp_responder::Entity::update_many()
        .col_expr(ocsp_responder::Column::Der, Expr::value(der.to_vec()))
        .filter(ocsp_responder::Column::Serial.eq(serial))
        .exec(conn)
        .await?;
    ocsp_responder::Entity::delete_many()
        .filter(ocsp_responder::Column::NotAfter.lt(signed(ended_before)))
        .exec(conn)
        .await
        .map(|_| ())
}
