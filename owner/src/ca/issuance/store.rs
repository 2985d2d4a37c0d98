//! Rows of certificates on their way: stored before the signature, completed after it.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QuerySelect};

use super::Draft;
use crate::ca::certificates::store::of_key;
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

/// Stores what is about to be signed; false for those whose key was certified before. A conflict is no error, so that it
/// does not end the transaction for the others.
pub(super) async fn insert_all(conn: &impl ConnectionTrait, drafts: &[&Draft]) -> Result<Vec<bool>, DbErr> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let rows = drafts.iter().map(|draft| row(draft, draft.key.clone()));
    let inserted = certificate::Entity::insert_many(rows).on_conflict(taken()).exec_without_returning(conn).await;
    let inserted = match inserted {
        Err(DbErr::RecordNotInserted) => 0,
        other => other?,
    };
    if inserted == drafts.len() as u64 {
        return Ok(vec![true; drafts.len()]);
    }
    let serials = drafts.iter().map(|draft| draft.serial.as_str());
    let there: Vec<String> = certificate::Entity::find()
        .select_only()
        .column(certificate::Column::Serial)
        .filter(certificate::Column::Serial.is_in(serials))
        .into_tuple()
        .all(conn)
        .await?;
    Ok(drafts.iter().map(|draft| there.contains(&draft.serial)).collect())
}

/// Two serials of 126 random bits do not meet: what is taken is the key.
fn taken() -> OnConflict {
    OnConflict::column(certificate::Column::Spki).do_nothing().to_owned()
}

/// Who asks once more for a key, since the answer was lost, is given the certificate that there is; a key that is somebody
/// else's is refused.
pub(super) async fn insert_again(conn: &impl ConnectionTrait, draft: &Draft) -> Result<Option<Vec<u8>>, Error> {
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
            .col_expr(certificate::Column::Unlisted, Expr::value(signed(draft.now)))
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
    match certificate::Entity::insert(row(draft, claim)).on_conflict(taken()).exec_without_returning(conn).await {
        // Another request of the device was faster.
        Ok(0) | Err(DbErr::RecordNotInserted) => Err(Error::KeySeen),
        Ok(_) => Ok(None),
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

/// A certificate after its signature, as it is stored.
pub(in crate::ca) struct Completed {
    pub serial: String,
    pub der: Vec<u8>,
    pub fingerprint: String,
    /// Whether it belongs to no TO2, and so is the device's own from now on.
    pub is_own: bool,
    pub now: u64,
}

/// False when it was revoked or replaced meanwhile: then it must not be sent.
pub(super) async fn set_issued(conn: &impl ConnectionTrait, completed: &Completed) -> Result<bool, DbErr> {
    let mut update = certificate::Entity::update_many()
        .col_expr(certificate::Column::Der, Expr::value(completed.der.clone()))
        .col_expr(certificate::Column::Fingerprint, Expr::value(completed.fingerprint.clone()))
        .col_expr(certificate::Column::State, Expr::value(State::Issued.name()))
        .col_expr(certificate::Column::Updated, Expr::value(signed(completed.now)));
    if completed.is_own {
        update = update.col_expr(certificate::Column::PendingUntil, Expr::value(None::<i64>));
    }
    let updated = update
        .filter(certificate::Column::Serial.eq(&completed.serial))
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
