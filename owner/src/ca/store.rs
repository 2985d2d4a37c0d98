//! Rows of the CA: its own certificates with sealed keys, and the certificates that it issued.

use std::fmt;

use fdo_pki::{Issued, ToBeSigned};
use fdo_protocol::Guid;
use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect, TransactionTrait};
use serde::{Deserialize, Serialize};

use super::{Error, Reason, Requester};
use crate::db::entity::{authority, certificate};
use crate::db::{signed, unsigned};

/// A CA certificate and its key, sealed.
pub(super) struct StoredAuthority {
    pub certificate: Vec<u8>,
    pub sealed_key: Vec<u8>,
}

/// Both CAs of the owner.
pub(super) struct Authorities {
    pub root: StoredAuthority,
    pub issuing: StoredAuthority,
}

pub(super) async fn find_authorities(conn: &impl ConnectionTrait) -> Result<Option<Authorities>, DbErr> {
    let find = async |kind: &'static str| {
        let row = authority::Entity::find_by_id(kind).one(conn).await?;
        Ok::<_, DbErr>(row.map(|row| StoredAuthority { certificate: row.certificate, sealed_key: row.sealed_key }))
    };
    Ok(match (find("root").await?, find("issuing").await?) {
        (Some(root), Some(issuing)) => Some(Authorities { root, issuing }),
        _ => None,
    })
}

pub(super) async fn insert_authorities(
    db: &DatabaseConnection,
    both: &Authorities,
    now: u64,
) -> Result<(), DbErr> {
    let row = |kind: &str, stored: &StoredAuthority| authority::ActiveModel {
        kind: Set(kind.to_owned()),
        certificate: Set(stored.certificate.clone()),
        sealed_key: Set(stored.sealed_key.clone()),
        created: Set(signed(now)),
    };
    let transaction = db.begin().await?;
    authority::Entity::insert(row("root", &both.root)).exec_without_returning(&transaction).await?;
    authority::Entity::insert(row("issuing", &both.issuing)).exec_without_returning(&transaction).await?;
    transaction.commit().await
}

/// How far a certificate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Stored, but perhaps never signed.
    Prepared,
    Issued,
    Revoked,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Issued => "issued",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A certificate of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    pub serial: String,
    pub guid: String,
    pub device_serial: Option<String>,
    pub subject: String,
    pub state: State,
    /// Whether the TO2 that it was issued in has ended.
    pub confirmed: bool,
    pub not_after: u64,
    pub created: u64,
    pub revoked: Option<u64>,
    /// Why it was revoked, as RFC 5280 names it.
    pub reason: Option<String>,
    pub pem: Option<String>,
}

impl TryFrom<certificate::Model> for IssuedCertificate {
    type Error = DbErr;

    fn try_from(row: certificate::Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("certificate.{column} holds an impossible value"));
        let state = [State::Prepared, State::Issued, State::Revoked];
        let state = state.into_iter().find(|state| state.name() == row.state);
        let pem = row.der.as_ref().map(|der| fdo_pki::pem::encode_certificates(&[der]));
        Ok(Self {
            state: state.ok_or_else(|| bad("state"))?,
            confirmed: row.session.is_none(),
            not_after: unsigned(row.not_after),
            created: unsigned(row.created),
            revoked: row.revoked.map(unsigned),
            reason: row.reason,
            pem: pem.transpose().map_err(|_| bad("der"))?,
            serial: row.serial,
            guid: row.guid,
            device_serial: row.device_serial,
            subject: row.subject,
        })
    }
}

/// Stores what is about to be signed. A TO2 that asks once more for the same key, since the reply was lost, is given the
/// certificate that it has.
pub(super) async fn insert_prepared(
    conn: &impl ConnectionTrait,
    prepared: &ToBeSigned,
    requester: &Requester<'_>,
    now: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let row = certificate::ActiveModel {
        serial: Set(prepared.serial().to_string()),
        guid: Set(requester.guid.to_string()),
        device_id: Set(requester.device_id.to_owned()),
        device_serial: Set(requester.serial.map(str::to_owned)),
        subject: Set(prepared.subject().to_owned()),
        spki: Set(hex::encode(prepared.spki_sha256())),
        tbs: Set(prepared.der().to_vec()),
        der: Set(None),
        state: Set(State::Prepared.name().to_owned()),
        session: Set(Some(requester.session.to_owned())),
        pending_until: Set(Some(signed(requester.pending_until))),
        not_after: Set(signed(prepared.not_after())),
        created: Set(signed(now)),
        revoked: Set(None),
        reason: Set(None),
    };
    match certificate::Entity::insert(row).exec_without_returning(conn).await {
        Ok(_) => Ok(None),
        // Two serials of 128 random bits do not meet: it is the key.
        Err(error) if database::is_unique_violation(&error) => prepare_again(conn, prepared, requester).await,
        Err(error) => Err(error.into()),
    }
}

async fn find_again(
    conn: &impl ConnectionTrait,
    spki: [u8; 32],
    requester: &Requester<'_>,
) -> Result<Option<certificate::Model>, DbErr> {
    certificate::Entity::find()
        .filter(certificate::Column::Spki.eq(hex::encode(spki)))
        .filter(certificate::Column::Session.eq(requester.session))
        .filter(certificate::Column::DeviceId.eq(requester.device_id))
        .filter(certificate::Column::State.ne(State::Revoked.name()))
        .one(conn)
        .await
}

/// What a repeated request of the same TO2 was issued meanwhile, for the same key.
pub(super) async fn issued_meanwhile(
    conn: &impl ConnectionTrait,
    spki: [u8; 32],
    requester: &Requester<'_>,
) -> Result<Option<Vec<u8>>, DbErr> {
    Ok(find_again(conn, spki, requester).await?.and_then(|row| row.der))
}

async fn prepare_again(
    conn: &impl ConnectionTrait,
    prepared: &ToBeSigned,
    requester: &Requester<'_>,
) -> Result<Option<Vec<u8>>, Error> {
    let earlier = find_again(conn, prepared.spki_sha256(), requester).await?.ok_or(Error::KeySeen)?;
    if earlier.der.is_some() {
        return Ok(earlier.der);
    }
    // What has no DER here was never sent, so this one takes its place.
    let taken = certificate::Entity::update_many()
        .col_expr(certificate::Column::Serial, Expr::value(prepared.serial().to_string()))
        .col_expr(certificate::Column::Tbs, Expr::value(prepared.der().to_vec()))
        .col_expr(certificate::Column::NotAfter, Expr::value(signed(prepared.not_after())))
        .col_expr(certificate::Column::PendingUntil, Expr::value(signed(requester.pending_until)))
        .filter(certificate::Column::Serial.eq(earlier.serial))
        .filter(certificate::Column::State.eq(State::Prepared.name()))
        .exec(conn)
        .await?;
    if taken.rows_affected == 0 { Err(Error::Withdrawn) } else { Ok(None) }
}

/// False when it was revoked or replaced meanwhile: then it must not be sent.
pub(super) async fn set_issued(conn: &impl ConnectionTrait, issued: &Issued) -> Result<bool, DbErr> {
    let updated = certificate::Entity::update_many()
        .col_expr(certificate::Column::Der, Expr::value(issued.der().to_vec()))
        .col_expr(certificate::Column::State, Expr::value(State::Issued.name()))
        .filter(certificate::Column::Serial.eq(issued.serial().to_string()))
        .filter(certificate::Column::State.eq(State::Prepared.name()))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// 70 came: the certificates of this TO2 are the device's own. Gives their serials with their last second of validity,
/// or nothing when one of them was revoked meanwhile, so that the TO2 must not end well.
pub async fn confirm(conn: &impl ConnectionTrait, session: &str) -> Result<Option<Vec<(String, u64)>>, DbErr> {
    let rows = certificate::Entity::find().filter(certificate::Column::Session.eq(session)).all(conn).await?;
    if rows.iter().any(|row| row.state != State::Issued.name()) {
        return Ok(None);
    }
    let confirmed = certificate::Entity::update_many()
        .col_expr(certificate::Column::Session, Expr::value(None::<String>))
        .col_expr(certificate::Column::PendingUntil, Expr::value(None::<i64>))
        .filter(certificate::Column::Session.eq(session))
        .filter(certificate::Column::State.eq(State::Issued.name()))
        .exec(conn)
        .await?;
    let all = confirmed.rows_affected == rows.len() as u64;
    let serial = |row: certificate::Model| (row.serial, unsigned(row.not_after));
    Ok(all.then(|| rows.into_iter().map(serial).collect()))
}

/// The TO2 goes on: its certificates are not abandoned before `until`.
pub async fn keep_pending(conn: &impl ConnectionTrait, session: &str, until: u64) -> Result<(), DbErr> {
    certificate::Entity::update_many()
        .col_expr(certificate::Column::PendingUntil, Expr::value(signed(until)))
        .filter(certificate::Column::Session.eq(session))
        .exec(conn)
        .await
        .map(|_| ())
}

/// The TO2 ended before 70: its certificates are revoked. Gives how many.
pub async fn abandon(conn: &impl ConnectionTrait, session: &str, now: u64) -> Result<u64, DbErr> {
    revoke(conn, certificate::Column::Session.eq(session), Reason::CessationOfOperation, now).await
}

/// Revokes what was issued in TO2s that nothing was heard of for too long. Gives how many.
pub async fn revoke_abandoned(conn: &impl ConnectionTrait, now: u64) -> Result<u64, DbErr> {
    let overdue = certificate::Column::PendingUntil.lte(signed(now));
    revoke(conn, overdue, Reason::CessationOfOperation, now).await
}

/// Revokes the certificates of a device, save those of one TO2. Gives how many.
pub async fn revoke_device(
    conn: &impl ConnectionTrait,
    device_id: &str,
    except_session: Option<&str>,
    reason: Reason,
    now: u64,
) -> Result<u64, DbErr> {
    let mut which = certificate::Column::DeviceId.eq(device_id);
    if let Some(session) = except_session {
        let other = certificate::Column::Session.is_null().or(certificate::Column::Session.ne(session));
        which = which.and(other);
    }
    revoke(conn, which, reason, now).await
}

async fn revoke(conn: &impl ConnectionTrait, which: Expr, reason: Reason, now: u64) -> Result<u64, DbErr> {
    let revoked = certificate::Entity::update_many()
        .col_expr(certificate::Column::State, Expr::value(State::Revoked.name()))
        .col_expr(certificate::Column::Revoked, Expr::value(signed(now)))
        .col_expr(certificate::Column::Reason, Expr::value(reason.name()))
        .col_expr(certificate::Column::PendingUntil, Expr::value(None::<i64>))
        .filter(which)
        .filter(certificate::Column::State.ne(State::Revoked.name()))
        .exec(conn)
        .await?;
    Ok(revoked.rows_affected)
}

/// Which certificates to list.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CertificateFilter {
    pub guid: Option<String>,
    pub serial: Option<String>,
    pub state: Option<State>,
}

/// The certificates after a serial, in the order of their serials.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &CertificateFilter,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<IssuedCertificate>, DbErr> {
    let mut query = certificate::Entity::find().order_by_asc(certificate::Column::Serial).limit(limit);
    if let Some(guid) = &filter.guid {
        query = query.filter(certificate::Column::Guid.eq(guid));
    }
    if let Some(serial) = &filter.serial {
        query = query.filter(certificate::Column::DeviceSerial.eq(serial));
    }
    if let Some(state) = filter.state {
        query = query.filter(certificate::Column::State.eq(state.name()));
    }
    if let Some(after) = after {
        query = query.filter(certificate::Column::Serial.gt(after));
    }
    query.all(conn).await?.into_iter().map(IssuedCertificate::try_from).collect()
}

/// All certificates that were issued to a GUID, the newest first.
pub async fn find_by_guid(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Vec<IssuedCertificate>, DbErr> {
    certificate::Entity::find()
        .filter(certificate::Column::Guid.eq(guid.to_string()))
        .order_by_desc(certificate::Column::Created)
        .all(conn)
        .await?
        .into_iter()
        .map(IssuedCertificate::try_from)
        .collect()
}
