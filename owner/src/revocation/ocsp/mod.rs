//! OCSP (RFC 6960): questions about certificates of our CAs are answered from memory where an answer was signed before
//! and nothing changed in its shard since, else from the database.

mod answers;
mod responders;

use std::sync::Arc;

use fdo_pki::ocsp::{CertificateId, Failure, Request, Single, Status, answer};
use sha1::{Digest, Sha1};

pub use answers::Answer;
pub(super) use answers::Answers;
pub(super) use responders::Responders;

use self::responders::Responder;
use super::view::Scope;
use super::{Error, store};
use crate::app::App;

/// What is sent.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Signed; caches may keep it only where it was made for no nonce.
    Signed(Arc<Answer>),
    /// Not signed, and not to be kept.
    Failed(Failure),
}

/// Answers a request in DER.
pub async fn respond(app: &App, request: &[u8]) -> Reply {
    let request = match Request::parse(request) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(%error, "an OCSP request does not decode");
            return Reply::Failed(Failure::MalformedRequest);
        }
    };
    match respond_to(app, &request).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(%error, "cannot answer an OCSP request");
            app.metrics.count("firstlight_ocsp_failures_total");
            // Only what a later try may mend.
            let failure =
                if matches!(error, Error::Database(_)) { Failure::TryLater } else { Failure::InternalError };
            Reply::Failed(failure)
        }
    }
}

async fn respond_to(app: &App, request: &Request) -> Result<Reply, Error> {
    let now = app.clock.now();
    let Some(issuer) = app.revocation.responders.issuer_of(app, &request.ids)? else {
        return Ok(Reply::Failed(Failure::Unauthorized));
    };
    let is_plain = request.nonce.is_none() && request.ids.len() == 1;
    if is_plain {
        let current = |shard: u8| app.revocation.view.of(&issuer, Scope::Shard(shard));
        if let Some(answer) = app.revocation.answers.find(request.ids[0].der(), now, current) {
            return Ok(Reply::Signed(answer));
        }
    }
    let Some(responder) = app.revocation.responders.of(app, &issuer).await? else {
        return Ok(Reply::Failed(Failure::Unauthorized));
    };
    let signed = live(app, &issuer, &responder, request, now).await?;
    let answer = Arc::new(signed.answer);
    if let Some((shard, number)) = signed.of_shard.filter(|_| is_plain) {
        app.revocation.answers.keep(request.ids[0].der(), shard, number, &answer);
    }
    Ok(Reply::Signed(answer))
}

struct Signed {
    answer: Answer,
    /// The shard of the one certificate that was asked for, and the number of its list before it was looked up.
    of_shard: Option<(u8, u64)>,
}

async fn live(
    app: &App,
    issuer: &str,
    responder: &Responder,
    request: &Request,
    now: u64,
) -> Result<Signed, Error> {
    let next_update = (now + app.settings.status.ocsp_seconds()).min(responder.not_after());
    let mut of_shard = None;
    let mut statuses = Vec::with_capacity(request.ids.len());
    for id in &request.ids {
        let (status, shard) = look_up(app, issuer, id).await?;
        of_shard = shard;
        statuses.push(status);
    }
    let singles: Vec<Single<'_>> = request
        .ids
        .iter()
        .zip(&statuses)
        .map(|(id, status)| Single { id: id.der(), status: *status, this_update: now, next_update })
        .collect();
    let nonce = request.nonce.as_deref();
    let der = answer(responder.id(), now, &singles, nonce)?.sign(responder.key())?;
    app.metrics.count("firstlight_ocsp_signed_total");
    let tag = hex::encode(Sha1::digest(&der));
    let may_be_kept = nonce.is_none();
    Ok(Signed { answer: Answer { der: der.into(), this_update: now, next_update, tag, may_be_kept }, of_shard })
}

/// Good only where it was issued and is not revoked. With it, the shard and the number of its list, unless that lags.
async fn look_up(app: &App, issuer: &str, id: &CertificateId) -> Result<(Status, Option<(u8, u64)>), Error> {
    let serial = hex::encode(id.serial());
    let before = app.revocation.view.generation();
    let Some(found) = store::find(&app.db, issuer, &serial).await? else { return Ok((Status::Unknown, None)) };
    let status = match found.revoked {
        Some((at, reason)) => Status::Revoked { at, reason },
        None if found.is_issued => Status::Good,
        // Nobody has it yet; whoever asks guesses.
        None => return Ok((Status::Unknown, None)),
    };
    let known = app.revocation.view.of(issuer, Scope::Shard(found.shard));
    // What was looked up before a change must not pass for what was looked up after it.
    let is_current = !known.is_behind && app.revocation.view.generation() == before;
    Ok((status, is_current.then_some((found.shard, known.number))))
}
