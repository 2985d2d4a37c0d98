//! The console: pages for a browser, on the operator listener. The pages are the same for everybody and hold no data; what
//! they show comes over `/api/v1` with the token that an operator signs in with, so they can do what the API lets them do.

use std::collections::BTreeMap;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use actix_web::{HttpResponse, http::StatusCode};
use fdo_service::operators::require::{Read, Require};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::{alerts, inventory};

/// Nothing but these files, no inline script, and no other page around them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: [(&str, &str, &str); 9] = [
    ("", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("main.js", "text/javascript; charset=utf-8", include_str!("page/main.js")),
    ("api.js", "text/javascript; charset=utf-8", include_str!("page/api.js")),
    ("dom.js", "text/javascript; charset=utf-8", include_str!("page/dom.js")),
    ("overview.js", "text/javascript; charset=utf-8", include_str!("page/overview.js")),
    ("devices.js", "text/javascript; charset=utf-8", include_str!("page/devices.js")),
    ("certificates.js", "text/javascript; charset=utf-8", include_str!("page/certificates.js")),
    ("alerts.js", "text/javascript; charset=utf-8", include_str!("page/alerts.js")),
];

/// The fleet in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// How many devices there are in each state that any is in.
    pub devices: BTreeMap<String, u64>,
    /// How many alerts are open, neither acknowledged nor silenced.
    pub alerts: u64,
}

/// `/`, `/console/..`; [`summary`] is among the routes of the API.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.route("/", web::get().to(async || see("console/")))
        .route("/console", web::get().to(async || see("console/")))
        .route("/console/{file:[a-z.]*}", web::get().to(file));
}

/// Relative, so that it works behind a proxy with a path of its own.
fn see(place: &'static str) -> HttpResponse {
    HttpResponse::build(StatusCode::SEE_OTHER).insert_header((LOCATION, place)).finish()
}

async fn file(name: Path<String>) -> Result<HttpResponse, Problem> {
    let found = FILES.iter().find(|(file, ..)| *file == name.as_str());
    let (_, kind, content) =
        found.ok_or_else(|| Problem::not_found("page-unknown", "The console has no such file.".to_owned()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, *kind))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(*content))
}

/// `GET /api/v1/summary`
pub async fn summary(app: Data<App>, _: Require<Read>) -> Result<Json<Summary>, Problem> {
    let devices = inventory::count_by_state(&app.db).await.map_err(|error| Problem::internal(&error))?;
    let alerts =
        alerts::count_waiting(&app.db, app.clock.now()).await.map_err(|error| Problem::internal(&error))?;
    let devices = devices.into_iter().map(|(state, count)| (state.name().to_owned(), count)).collect();
    Ok(Json(Summary { devices, alerts }))
}
