//! `/api/v1/redirect`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use fdo_protocol::RvTo2Addr;
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::config::rv_to2_addr_entry;

/// Where devices are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RedirectView {
    /// Whether operators have set it; otherwise it is the configuration's `public_url`.
    pub set: bool,
    /// In the order in which devices try them.
    pub urls: Vec<String>,
}

/// Where devices shall be sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRedirect {
    /// `http://HOST:PORT` or `https://HOST:PORT`, at most 8.
    pub urls: Vec<String>,
}

/// `GET /api/v1/redirect`
pub async fn get(app: Data<App>, _: Require<Read>) -> Result<Json<RedirectView>, Problem> {
    view(&app).await
}

/// `PUT /api/v1/redirect`
pub async fn set(
    app: Data<App>,
    who: Require<Write>,
    new: Json<NewRedirect>,
) -> Result<Json<RedirectView>, Problem> {
    if new.urls.is_empty() {
        let detail = "Name at least one URL; DELETE goes back to the configuration's `public_url`.";
        return Err(Problem::unprocessable("redirect", detail));
    }
    let entries = new.urls.iter().map(|url| rv_to2_addr_entry(url)).collect::<Result<_, _>>();
    let addresses = RvTo2Addr(entries.map_err(super::Error::from)?);
    super::set(&app.db, &addresses, &who.id, app.clock.now()).await?;
    view(&app).await
}

/// `DELETE /api/v1/redirect`
pub async fn reset(app: Data<App>, who: Require<Write>) -> Result<HttpResponse, Problem> {
    super::reset(&app.db, &who.id, app.clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn view(app: &App) -> Result<Json<RedirectView>, Problem> {
    let set = super::find(&app.db).await?.is_some();
    let urls = super::current(&app.db, &app.settings).await?.urls();
    Ok(Json(RedirectView { set, urls }))
}
