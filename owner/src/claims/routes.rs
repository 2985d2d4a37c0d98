//! `/api/v1/claims`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Claim, Error, State, pursuit, store};
use crate::app::App;
use crate::manufacturers;

/// How long a request waits for the manufacturer unless it says otherwise, and at most.
const WAIT_SECONDS: u64 = 60;
const MOST_WAIT_SECONDS: u64 = 240;

/// A claim as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClaimView {
    pub serial: String,
    pub manufacturer: String,
    pub state: State,
    pub error: Option<String>,
    pub detail: Option<String>,
    pub guid: Option<String>,
    pub attempts: u32,
    pub next_at: Option<u64>,
    pub requested: u64,
    pub updated: u64,
}

impl From<Claim> for ClaimView {
    fn from(claim: Claim) -> Self {
        Self {
            serial: claim.serial,
            manufacturer: claim.manufacturer,
            state: claim.state,
            error: claim.error,
            detail: claim.detail,
            guid: claim.guid.map(|guid| guid.to_string()),
            attempts: claim.attempts,
            next_at: claim.next_at,
            requested: claim.requested,
            updated: claim.updated,
        }
    }
}

/// Serials to claim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewClaims {
    pub serials: Vec<String>,
    /// Its id or name; may be left out where there is only one.
    pub manufacturer: Option<String>,
    /// Seconds to wait for the manufacturer; 0 answers at once.
    pub wait: Option<u64>,
}

/// How each claim stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClaimReport {
    pub results: Vec<ClaimView>,
}

/// Which claims to list.
#[derive(Debug, Deserialize)]
pub struct ClaimQuery {
    pub state: Option<State>,
}

/// `POST /api/v1/claims`: 200 when each is settled, 202 while some are still asked for.
pub async fn create(app: Data<App>, who: Require<Write>, new: Json<NewClaims>) -> Result<HttpResponse, Problem> {
    let maker = manufacturers::resolve(&app, new.manufacturer.as_deref()).await?;
    let serials = super::request(&app, &who.id, &maker, &new.serials).await?;
    let wait = Duration::from_secs(new.wait.unwrap_or(WAIT_SECONDS).min(MOST_WAIT_SECONDS));
    let asking = {
        let (app, maker, serials) = (app.clone().into_inner(), maker.clone(), serials.clone());
        // Of its own, so that it goes on when the caller has no patience.
        tokio::spawn(async move {
            if let Err(error) = pursuit::pursue(&app, &maker, &serials).await {
                tracing::error!(%error, "claims could not be pursued; they are taken up again later");
            }
        })
    };
    if tokio::time::timeout(wait, asking).await.is_err() {
        tracing::info!(manufacturer = maker.name, "claims go on in the background");
    }
    let mut results = Vec::with_capacity(serials.len());
    for serial in &serials {
        let claim = store::find(&app.db, &maker.id, serial).await?;
        results.extend(claim.map(ClaimView::from));
    }
    let settled = results.iter().all(|claim| claim.state != State::Requested);
    let mut response = if settled { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    Ok(response.json(ClaimReport { results }))
}

/// `GET /api/v1/claims`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<ClaimQuery>,
    page: Query<PageQuery>,
) -> Result<Json<Page<ClaimView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&app.db, query.state, page.after()?, limit + 1).await?;
    let key = |last: &Claim| (last.manufacturer.clone(), last.serial.clone());
    Ok(Json(Page::from_rows(rows, limit, key).map(ClaimView::from)))
}

/// `GET /api/v1/claims/{serial}`: at whichever manufacturers it was claimed.
pub async fn get(app: Data<App>, _: Require<Read>, serial: Path<String>) -> Result<Json<ClaimReport>, Problem> {
    let claims = store::of_serial(&app.db, &serial).await?;
    if claims.is_empty() {
        return Err(Error::NotFound(serial.into_inner()).into());
    }
    Ok(Json(ClaimReport { results: claims.into_iter().map(ClaimView::from).collect() }))
}

/// `DELETE /api/v1/claims/{serial}`: stops asking.
pub async fn withdraw(app: Data<App>, who: Require<Write>, serial: Path<String>) -> Result<HttpResponse, Problem> {
    let transaction = database::begin(&app.db).await?;
    store::withdraw(&transaction, &serial).await?;
    let event = Event {
        actor: &who.id,
        action: "claim.withdraw",
        subject: &serial,
        outcome: Outcome::Success,
        detail: "",
    };
    audit::record(&transaction, app.clock.now(), event).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}
