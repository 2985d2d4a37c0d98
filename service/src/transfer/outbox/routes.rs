//! `/api/v1/pushes` of the operators' listener.

use actix_web::{HttpResponse, web};
use fdo_protocol::Guid;
use serde::{Deserialize, Serialize};

use super::{Push, State, store};
use crate::operators::require::{Read, Require, Write};
use crate::paging::{Page, PageQuery};
use crate::problem::Problem;
use crate::transfer::partners::Partners;

/// Adds the routes; those of partners come first.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/api/v1/pushes").route(web::get().to(list)))
        .service(web::resource("/api/v1/pushes/{guid}/retry").route(web::post().to(retry)));
}

/// A push as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushView {
    pub guid: String,
    pub serial: Option<String>,
    /// The partner's id.
    pub partner: String,
    pub state: State,
    pub attempts: u32,
    pub next_at: Option<u64>,
    pub error: Option<String>,
    pub created: u64,
    pub pushed: Option<u64>,
}

impl From<Push> for PushView {
    fn from(push: Push) -> Self {
        Self {
            guid: push.guid.to_string(),
            serial: push.serial,
            partner: push.partner_id,
            state: push.state,
            attempts: push.attempts,
            next_at: push.next_at,
            error: push.error,
            created: push.created,
            pushed: push.pushed,
        }
    }
}

#[derive(Debug, Deserialize)]
struct PushQuery {
    state: Option<State>,
}

async fn list(
    _: Require<Read>,
    partners: web::Data<Partners>,
    query: web::Query<PushQuery>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<Page<PushView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&partners.db, query.state, page.after()?, limit + 1).await?;
    let key = |last: &Push| (last.guid.to_string(), last.partner_id.clone());
    Ok(web::Json(Page::from_rows(rows, limit, key).map(PushView::from)))
}

async fn retry(
    _: Require<Write>,
    partners: web::Data<Partners>,
    guid: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let guid: Guid = guid.parse().map_err(|_| Problem::bad_request("guid", "This is not a GUID."))?;
    if store::retry(&partners.db, &guid, partners.clock.now()).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    Err(Problem::not_found("push-unknown", "Nothing of this GUID is still to be pushed."))
}
