//! Rows of the certificates that the CA issued: found, confirmed, revoked.

use fdo_pki::Certificate;
use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Func;
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect};

use super::{CertificateFilter, IssuedCertificate, State};
use crate::ca::Reason;
use crate::ca::requests::{self, EnrollmentRequest};
use crate::db::entity::certificate;
use crate::db::{signed, unsigned};

/// More certificates than a device renews in a second.
const SAME_SECOND: u64 = 16;

impl TryFrom<certificate::Model> for IssuedCertificate {
    type Error = DbErr;

    fn try_from(row: certificate::Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("certificate.{column} holds an impossible value"));
        let state = State::ALL.into_iter().find(|state| state.name() == row.state);
        let pem = row.der.as_ref().map(|der| fdo_pki::pem::encode_certificates(&[der]));
        let number = |number: i32| u8::try_from(number).ok();
        Ok(Self {
            state: state.ok_or_else(|| bad("state"))?,
            confirmed: row.session.is_none(),
            not_before: unsigned(row.not_before),
            not_after: unsigned(row.not_after),
            created: unsigned(row.created),
            updated: unsigned(row.updated),
            revoked: row.revoked.map(unsigned),
            reason: row.reason,
            reason_code: row.reason_code.and_then(number),
            pem: pem.transpose().map_err(|_| bad("der"))?,
            serial: row.serial,
            guid: row.guid,
            device_id: row.device_id,
            device_serial: row.device_serial,
            subject: row.subject,
            authority: row.authority,
            profile: row.profile,
            fingerprint: row.fingerprint,
            key_type: row.key_type,
            key_sha256: row.key_sha256,
            shard: number(row.shard).ok_or_else(|| bad("shard"))?,
            origin: row.origin,
            replaces: row.replaces,
        })
    }
}

/// 70 came: the certificates of this TO2 are the device's own. Gives their serials with their last second of validity,
/// or nothing when one of them was revoked meanwhile, so that the TO2 must not end well.
pub async fn confirm(conn: &impl ConnectionTrait, session: &str) -> Result<Option<Vec<(String, u64)>>, DbErr> {
    requests::store::confirm(conn, session).await?;
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
    requests::store::abandon(conn, session).await?;
    revoke_all(conn, certificate::Column::Session.eq(session), Reason::CessationOfOperation, now).await
}

/// Revokes what was issued in TO2s that nothing was heard of for too long. Gives how many.
pub async fn revoke_abandoned(conn: &impl ConnectionTrait, now: u64) -> Result<u64, DbErr> {
    requests::store::forget_abandoned(conn, now).await?;
    let overdue = certificate::Column::PendingUntil.lte(signed(now));
    revoke_all(conn, overdue, Reason::CessationOfOperation, now).await
}

/// Revokes the certificates of a device, save those of one TO2. Gives how many.
pub async fn revoke_device(
    conn: &impl ConnectionTrait,
    device_id: &str,
    except_session: Option<&str>,
    reason: Reason,
    now: u64,
) -> Result<u64, DbErr> {
    requests::store::refuse_device(conn, device_id, except_session, now).await?;
    let mut which = certificate::Column::DeviceId.eq(device_id);
    if let Some(session) = except_session {
        let other = certificate::Column::Session.is_null().or(certificate::Column::Session.ne(session));
        which = which.and(other);
    }
    revoke_all(conn, which, reason, now).await
}

/// Every revocation goes through here. What is only held may become final, since when it was held.
async fn revoke_all(conn: &impl ConnectionTrait, which: Expr, reason: Reason, now: u64) -> Result<u64, DbErr> {
    let since = [Expr::col(certificate::Column::Revoked), Expr::value(signed(now))];
    let holds = certificate::Column::State.ne(State::Revoked.name());
    let held = certificate::Column::ReasonCode.eq(i32::from(Reason::CertificateHold.number()));
    let changes = if reason == Reason::CertificateHold { holds } else { holds.or(held) };
    let revoked = certificate::Entity::update_many()
        .col_expr(certificate::Column::State, Expr::value(State::Revoked.name()))
        .col_expr(certificate::Column::Revoked, Func::coalesce(since).into())
        .col_expr(certificate::Column::Reason, Expr::value(reason.name()))
        .col_expr(certificate::Column::ReasonCode, Expr::value(i32::from(reason.number())))
        .col_expr(certificate::Column::Updated, Expr::value(signed(now)))
        // Until a CRL shows it.
        .col_expr(certificate::Column::Unlisted, Expr::value(signed(now)))
        .col_expr(certificate::Column::PendingUntil, Expr::value(None::<i64>))
        .filter(which)
        .filter(changes)
        .exec(conn)
        .await?;
    Ok(revoked.rows_affected)
}

/// Revokes one certificate; false when there is no such certificate or it is revoked already.
pub async fn revoke(conn: &impl ConnectionTrait, serial: &str, reason: Reason, now: u64) -> Result<bool, DbErr> {
    Ok(revoke_all(conn, certificate::Column::Serial.eq(serial), reason, now).await? > 0)
}

/// By its serial number, in lower-case hexadecimal.
pub async fn find(conn: &impl ConnectionTrait, serial: &str) -> Result<Option<IssuedCertificate>, DbErr> {
    certificate::Entity::find_by_id(serial).one(conn).await?.map(IssuedCertificate::try_from).transpose()
}

/// By the SHA-256 of its DER, in lower-case hexadecimal.
pub async fn find_by_fingerprint(
    conn: &impl ConnectionTrait,
    fingerprint: &str,
) -> Result<Option<IssuedCertificate>, DbErr> {
    let query = certificate::Entity::find().filter(certificate::Column::Fingerprint.eq(fingerprint));
    query.one(conn).await?.map(IssuedCertificate::try_from).transpose()
}

/// The device's certificate that was issued last and confirmed, whether it holds or not.
pub async fn newest_of_device(
    conn: &impl ConnectionTrait,
    device_id: &str,
) -> Result<Option<IssuedCertificate>, DbErr> {
    let rows = certificate::Entity::find()
        .filter(certificate::Column::DeviceId.eq(device_id))
        .filter(certificate::Column::Der.is_not_null())
        .filter(certificate::Column::Session.is_null())
        .order_by_desc(certificate::Column::Created)
        .order_by_desc(certificate::Column::NotAfter)
        .limit(SAME_SECOND)
        .all(conn)
        .await?;
    // Within one second, that which none follows.
    let followed =
        |row: &certificate::Model| rows.iter().any(|later| later.replaces.as_ref() == Some(&row.serial));
    let newest = rows.iter().find(|row| !followed(row)).or(rows.first());
    newest.cloned().map(IssuedCertificate::try_from).transpose()
}

/// The certificates for a key, the newest first.
pub(in crate::ca) async fn of_key(
    conn: &impl ConnectionTrait,
    key: &str,
) -> Result<Vec<certificate::Model>, DbErr> {
    certificate::Entity::find()
        .filter(certificate::Column::KeySha256.eq(key))
        .order_by_desc(certificate::Column::Created)
        .all(conn)
        .await
}

/// Stores what an outside CA signed for a request.
pub(crate) async fn insert_foreign(
    conn: &impl ConnectionTrait,
    request: &EnrollmentRequest,
    received: &Certificate,
    origin: &str,
    now: u64,
) -> Result<(), DbErr> {
    let again = request.replaces.as_ref().filter(|_| !request.key_sha256.is_empty());
    let known = !of_key(conn, &request.key_sha256).await?.is_empty();
    let claim = match again {
        Some(replaced) if known => format!("{}/{replaced}", request.key_sha256),
        _ => request.key_sha256.clone(),
    };
    let row = certificate::ActiveModel {
        serial: Set(received.serial().to_owned()),
        guid: Set(request.guid.to_string()),
        device_id: Set(request.device_id.clone()),
        device_serial: Set(request.device_serial.clone()),
        subject: Set(received.subject()),
        spki: Set(claim),
        // Only who signs has to know what was to be signed.
        tbs: Set(Vec::new()),
        der: Set(Some(received.der().to_vec())),
        state: Set(State::Issued.name().to_owned()),
        session: Set(None),
        pending_until: Set(None),
        not_after: Set(signed(received.not_after())),
        created: Set(signed(now)),
        revoked: Set(None),
        reason: Set(None),
        authority: Set(request.authority.clone()),
        profile: Set(request.profile.clone()),
        fingerprint: Set(Some(hex::encode(received.fingerprint()))),
        key_type: Set(received.public_key().ok().map(|key| key.key_type().to_string())),
        key_sha256: Set(Some(request.key_sha256.clone())),
        not_before: Set(signed(received.not_before())),
        shard: Set(0),
        origin: Set(origin.to_owned()),
        request: Set(Some(request.csr_sha256.clone())),
        replaces: Set(request.replaces.clone()),
        reason_code: Set(None),
        unlisted: Set(None),
        updated: Set(signed(now)),
    };
    certificate::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// How many certificates of a CA are neither expired nor revoked.
pub(in crate::ca) async fn count_live(
    conn: &impl ConnectionTrait,
    authority: &str,
    now: u64,
) -> Result<u64, DbErr> {
    certificate::Entity::find()
        .filter(certificate::Column::Authority.eq(authority))
        .filter(certificate::Column::State.ne(State::Revoked.name()))
        .filter(certificate::Column::NotAfter.gte(signed(now)))
        .count(conn)
        .await
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
