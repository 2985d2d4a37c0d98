//! Rows of certificates on their way: stored before the signature, completed after it.

use fdo_pki::Issued;
use fdo_service::database;
use sea_orm::ActiveValue::Set;
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;

use super::Draft;
use crate::ca::{Error, Reason, State};
use crate::db::entity::certificate;
use crate::db::{signed, unsigned};

fn row(draft: &Draft, claim: String) -> certificate::ActiveModel {
    certificate::ActiveModel {
        serial: Set(draft.serial.clone()),
        guid: Set(draft.guid.clone()),
        device_id: Set(draft.device_id.clone()),
        device_serial: Set(draft.device_serial.clone()),
        subject: Set(draft.subject.clone()),
        spki: Set(claim),
        tbs: Set(draft.tbs.clone()),
        der: Set(None),
        state: Set(State::Prepared.name().to_owned()),
        session: Set(draft.session.clone()),
        pending_until: Set(Some(signed(draft.pending_until))),
        not_after: Set(signed(draft.not_after)),
        created: Set(signed(draft.now)),
        revoked: Set(None),
        reason: Set(None),
        authority: Set(draft.authority.clone()),
        profile: Set(draft.profile.clone()),
        fingerprint: Set(None),
        key_type: Set(Some(draft.key_type.clone())),
        key_sha256: Set(Some(draft.key.clone())),
        not_before: Set(signed(draft.not_before)),
        shard: Set(i32::from(draft.shard)),
        origin: Set(draft.origin.to_owned()),
        request: Set(Some(draft.request.clone())),
        replaces: Set(draft.replaces.clone()),
        reason_code: Set(None),
        updated: Set(signed(draft.now)),
        unlisted: Set(None),
    }
}

/// Stores what is about to be signed. Who asks once more, since the answer was lost, is given the certificate that there
/// is; a key that is somebody else's is refused.
pub(super) async fn insert_prepared(conn: &impl ConnectionTrait, draft: &Draft) -> Result<Option<Vec<u8>>, Error> {
    match certificate::Entity::insert(row(draft, draft.key.clone())).exec_without_returning(conn).await {
        Ok(_) => Ok(None),
        // Two serials of 126 random bits do not meet: it is the key.
        Err(error) if database::is_unique_violation(&error) => insert_again(conn, draft).await,
        Err(error) => Err(error.into()),
    }
}

async fn insert_again(conn: &impl ConnectionTrait, draft: &Draft) -> Result<Option<Vec<u8>>, Error> {
    let rows = of_key(conn, &draft.key).await?;
    if rows.iter().any(|row| row.device_id != draft.device_id) {
        return Err(Error::KeySeen);
    }
    let again = rows.iter().find(|row| is_same_request(row, draft));
    if let Some(earlier) = again {
        if earlier.der.is_some() {
            return Ok(earlier.der.clone());
        }
        // What has no DER here was never sent. Its number stays known, and the key is free for this one.
        let freed = certificate::Entity::update_many()
            .col_expr(certificate::Column::Spki, Expr::value(format!("{}/{}", earlier.spki, earlier.serial)))
            .col_expr(certificate::Column::State, Expr::value(State::Revoked.name()))
            .col_expr(certificate::Column::Revoked, Expr::value(signed(draft.now)))
            .col_expr(certificate::Column::Reason, Expr::value(Reason::Superseded.name()))
            .col_expr(certificate::Column::ReasonCode, Expr::value(i32::from(Reason::Superseded.number())))
            .col_expr(certificate::Column::Session, Expr::value(None::<String>))
            .col_expr(certificate::Column::PendingUntil, Expr::value(None::<i64>))
            .col_expr(certificate::Column::Updated, Expr::value(signed(draft.now)))
            .filter(certificate::Column::Serial.eq(&earlier.serial))
            .filter(certificate::Column::State.eq(State::Prepared.name()))
            .exec(conn)
            .await?;
        if freed.rows_affected == 0 {
            return Err(Error::Withdrawn);
        }
        return insert_as(conn, draft, earlier.spki.clone()).await;
    }
    match &draft.replaces {
        // A certificate is followed once with the same key; the claim says which.
        Some(replaced) if draft.reuse_key && rows.iter().any(|row| row.serial == *replaced) => {
            insert_as(conn, draft, format!("{}/{replaced}", draft.key)).await
        }
        _ => Err(Error::KeySeen),
    }
}

async fn insert_as(conn: &impl ConnectionTrait, draft: &Draft, claim: String) -> Result<Option<Vec<u8>>, Error> {
    match certificate::Entity::insert(row(draft, claim)).exec_without_returning(conn).await {
        Ok(_) => Ok(None),
        // Another request of the device was faster.
        Err(error) if database::is_unique_violation(&error) => Err(Error::KeySeen),
        Err(error) => Err(error.into()),
    }
}

/// Whether a row is what this request was, or will be, answered with.
fn is_same_request(row: &certificate::Model, draft: &Draft) -> bool {
    if row.state == State::Revoked.name() {
        return false;
    }
    match &draft.session {
        Some(session) => row.session.as_ref() == Some(session),
        None => {
            let (begins, ends) = (unsigned(row.not_before), unsigned(row.not_after));
            let renewable = begins + ends.saturating_sub(begins) * u64::from(draft.renew_percent) / 100;
            let same = row.request.as_ref() == Some(&draft.request);
            row.session.is_none() && same && draft.now < renewable
        }
    }
}

/// False when it was revoked or replaced meanwhile: then it must not be sent.
pub(super) async fn set_issued(conn: &impl ConnectionTrait, issued: &Issued, now: u64) -> Result<bool, DbErr> {
    // What belongs to no TO2 is the device's own from now on.
    let pending = Expr::case(certificate::Column::Session.is_null(), Expr::value(None::<i64>))
        .finally(Expr::col(certificate::Column::PendingUntil));
    let updated = certificate::Entity::update_many()
        .col_expr(certificate::Column::Der, Expr::value(issued.der().to_vec()))
        .col_expr(certificate::Column::Fingerprint, Expr::value(hex::encode(issued.fingerprint())))
        .col_expr(certificate::Column::State, Expr::value(State::Issued.name()))
        .col_expr(certificate::Column::PendingUntil, pending.into())
        .col_expr(certificate::Column::Updated, Expr::value(signed(now)))
        .filter(certificate::Column::Serial.eq(issued.serial().to_string()))
        .filter(certificate::Column::State.eq(State::Prepared.name()))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// What a repeated request was issued meanwhile, for the same key.
pub(super) async fn issued_meanwhile(
    conn: &impl ConnectionTrait,
    draft: &Draft,
) -> Result<Option<Vec<u8>>, DbErr> {
    let mut rows = of_key(conn, &draft.key).await?.into_iter();
    Ok(rows.find(|row| row.device_id == draft.device_id && is_same_request(row, draft)).and_then(|row| row.der))
}

/// The certificates for a key, the newest first.
async fn of_key(conn: &impl ConnectionTrait, key: &str) -> Result<Vec<certificate::Model>, DbErr> {
    certificate::Entity::find()
        .filter(certificate::Column::KeySha256.eq(key))
        .order_by_desc(certificate::Column::Created)
        .all(conn)
        .await
}
