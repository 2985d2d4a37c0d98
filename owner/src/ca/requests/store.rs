//! Rows of requests that wait.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect};
use serde::Deserialize;

use super::{EnrollmentRequest, RequestState};
use crate::db::entity::enrollment_request::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for EnrollmentRequest {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("enrollment_request.{column} holds an impossible value"));
        let state = RequestState::ALL.into_iter().find(|state| state.name() == row.state);
        Ok(Self {
            state: state.ok_or_else(|| bad("state"))?,
            guid: row.guid.parse().map_err(|_| bad("guid"))?,
            pending_until: row.pending_until.map(unsigned),
            attempts: unsigned(row.attempts),
            next_attempt: row.next_attempt.map(unsigned),
            created: unsigned(row.created),
            updated: unsigned(row.updated),
            id: row.id,
            device_id: row.device_id,
            device_serial: row.device_serial,
            profile: row.profile,
            authority: row.authority,
            csr: row.csr,
            csr_sha256: row.csr_sha256,
            key_sha256: row.key_sha256,
            origin: row.origin,
            session: row.session,
            replaces: row.replaces,
            certificate: row.certificate,
            reason: row.reason,
        })
    }
}

fn row(request: &EnrollmentRequest) -> ActiveModel {
    ActiveModel {
        id: Set(request.id.clone()),
        device_id: Set(request.device_id.clone()),
        guid: Set(request.guid.to_string()),
        device_serial: Set(request.device_serial.clone()),
        profile: Set(request.profile.clone()),
        authority: Set(request.authority.clone()),
        state: Set(request.state.name().to_owned()),
        csr_sha256: Set(request.csr_sha256.clone()),
        key_sha256: Set(request.key_sha256.clone()),
        csr: Set(request.csr.clone()),
        origin: Set(request.origin.clone()),
        session: Set(request.session.clone()),
        pending_until: Set(request.pending_until.map(signed)),
        replaces: Set(request.replaces.clone()),
        certificate: Set(request.certificate.clone()),
        reason: Set(request.reason.clone()),
        attempts: Set(signed(request.attempts)),
        next_attempt: Set(request.next_attempt.map(signed)),
        created: Set(signed(request.created)),
        updated: Set(signed(request.updated)),
    }
}

fn one(row: Option<Model>) -> Result<Option<EnrollmentRequest>, DbErr> {
    row.map(EnrollmentRequest::try_from).transpose()
}

fn is_open() -> Expr {
    Column::State.is_in(RequestState::OPEN.map(RequestState::name))
}

/// The request of a device with these very bytes.
pub(super) async fn find_same(
    conn: &impl ConnectionTrait,
    device_id: &str,
    csr_sha256: &str,
) -> Result<Option<EnrollmentRequest>, DbErr> {
    let query = Entity::find().filter(Column::DeviceId.eq(device_id)).filter(Column::CsrSha256.eq(csr_sha256));
    one(query.one(conn).await?)
}

/// Whether another device has asked for a certificate for this key.
pub(super) async fn is_asked_by_another(
    conn: &impl ConnectionTrait,
    key_sha256: &str,
    device_id: &str,
) -> Result<bool, DbErr> {
    let query = Entity::find().filter(Column::KeySha256.eq(key_sha256)).filter(Column::DeviceId.ne(device_id));
    Ok(query.one(conn).await?.is_some())
}

pub(super) async fn insert(conn: &impl ConnectionTrait, request: &EnrollmentRequest) -> Result<(), DbErr> {
    Entity::insert(row(request)).exec_without_returning(conn).await.map(|_| ())
}

/// The same request, for the next certificate.
pub(super) async fn begin_again(conn: &impl ConnectionTrait, request: &EnrollmentRequest) -> Result<(), DbErr> {
    Entity::delete_by_id(&request.id).exec(conn).await?;
    insert(conn, request).await
}

/// A device that asks with another request has lost, or never kept, the key of the one before.
pub(super) async fn withdraw_earlier(conn: &impl ConnectionTrait, device_id: &str, now: u64) -> Result<(), DbErr> {
    let earlier = Column::State.is_in([RequestState::Requested.name(), RequestState::Approved.name()]);
    refuse_all(conn, Column::DeviceId.eq(device_id).and(earlier), "the device made another request", now).await
}

async fn refuse_all(conn: &impl ConnectionTrait, which: Expr, reason: &str, now: u64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(RequestState::Refused.name()))
        .col_expr(Column::Reason, Expr::value(reason))
        .col_expr(Column::NextAttempt, Expr::value(None::<i64>))
        .col_expr(Column::PendingUntil, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(which)
        .filter(is_open())
        .exec(conn)
        .await
        .map(|_| ())
}

/// 70 came: the requests of this TO2 may go on.
pub(in crate::ca) async fn confirm(conn: &impl ConnectionTrait, session: &str) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Session, Expr::value(None::<String>))
        .col_expr(Column::PendingUntil, Expr::value(None::<i64>))
        .filter(Column::Session.eq(session))
        .exec(conn)
        .await
        .map(|_| ())
}

/// The TO2 ended before 70: what was asked in it is forgotten, so that the same request may be made again.
pub(in crate::ca) async fn abandon(conn: &impl ConnectionTrait, session: &str) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::Session.eq(session)).exec(conn).await.map(|_| ())
}

/// Forgets what was asked in TO2s that never ended.
pub(in crate::ca) async fn forget_abandoned(conn: &impl ConnectionTrait, now: u64) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::PendingUntil.lte(signed(now))).exec(conn).await.map(|_| ())
}

/// A device that gets no certificates any more gets none that it asked for before either.
pub(in crate::ca) async fn refuse_device(
    conn: &impl ConnectionTrait,
    device_id: &str,
    except_session: Option<&str>,
    now: u64,
) -> Result<(), DbErr> {
    let mut which = Column::DeviceId.eq(device_id);
    if let Some(session) = except_session {
        which = which.and(Column::Session.is_null().or(Column::Session.ne(session)));
    }
    refuse_all(conn, which, "the device's certificates were revoked", now).await
}

/// By its id.
pub(crate) async fn find(conn: &impl ConnectionTrait, id: &str) -> Result<Option<EnrollmentRequest>, DbErr> {
    one(Entity::find_by_id(id).one(conn).await?)
}

/// Which requests to list.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RequestFilter {
    pub state: Option<RequestState>,
    pub device: Option<String>,
}

/// In the order of their ids.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    filter: &RequestFilter,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<EnrollmentRequest>, DbErr> {
    let mut query = Entity::find().order_by_asc(Column::Id).limit(limit);
    if let Some(state) = filter.state {
        query = query.filter(Column::State.eq(state.name()));
    }
    if let Some(device) = &filter.device {
        query = query.filter(Column::DeviceSerial.eq(device).or(Column::Guid.eq(device)));
    }
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.all(conn).await?.into_iter().map(EnrollmentRequest::try_from).collect()
}

/// What may be forwarded to one of these CAs, the longest waiting first.
pub(crate) async fn due(
    conn: &impl ConnectionTrait,
    authorities: &[String],
    now: u64,
    limit: u64,
) -> Result<Vec<EnrollmentRequest>, DbErr> {
    Entity::find()
        .filter(Column::State.is_in([RequestState::Approved.name(), RequestState::Forwarded.name()]))
        .filter(Column::NextAttempt.lte(signed(now)))
        .filter(Column::Session.is_null())
        .filter(Column::Authority.is_in(authorities))
        .order_by_asc(Column::NextAttempt)
        .limit(limit)
        .all(conn)
        .await?
        .into_iter()
        .map(EnrollmentRequest::try_from)
        .collect()
}

/// Takes a due request for one attempt; false when another replica was faster.
pub(crate) async fn take(
    conn: &impl ConnectionTrait,
    request: &EnrollmentRequest,
    until: u64,
    now: u64,
) -> Result<bool, DbErr> {
    let taken = Entity::update_many()
        .col_expr(Column::NextAttempt, Expr::value(signed(until)))
        .col_expr(Column::Attempts, Expr::value(signed(request.attempts + 1)))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Id.eq(&request.id))
        .filter(Column::State.eq(request.state.name()))
        .filter(Column::NextAttempt.eq(request.next_attempt.map(signed)))
        .exec(conn)
        .await?;
    Ok(taken.rows_affected > 0)
}

/// A step of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step<'a> {
    pub reason: Option<&'a str>,
    pub next_attempt: Option<u64>,
    /// The serial number of what was issued.
    pub certificate: Option<&'a str>,
}

/// Moves a request on; false when it is no longer open.
pub(crate) async fn advance(
    conn: &impl ConnectionTrait,
    id: &str,
    to: RequestState,
    step: &Step<'_>,
    now: u64,
) -> Result<bool, DbErr> {
    let moved = Entity::update_many()
        .col_expr(Column::State, Expr::value(to.name()))
        .col_expr(Column::Reason, Expr::value(step.reason.map(str::to_owned)))
        .col_expr(Column::NextAttempt, Expr::value(step.next_attempt.map(signed)))
        .col_expr(Column::Certificate, Expr::value(step.certificate.map(str::to_owned)))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Id.eq(id))
        .filter(is_open())
        .exec(conn)
        .await?;
    Ok(moved.rows_affected > 0)
}
