//! `GET /api/v1/registrations` and `POST /api/v1/registrations/{guid}/renew`.

use actix_web::web;
use fdo_protocol::Guid;
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::Deserialize;

use super::Registration;
use crate::app::App;

/// Which registrations to list.
#[derive(Debug, Default, Deserialize)]
pub struct Filter {
    pub guid: Option<String>,
}

/// Where and until when devices are registered.
pub async fn list(
    app: web::Data<App>,
    _: Require<Read>,
    page: web::Query<PageQuery>,
    filter: web::Query<Filter>,
) -> Result<web::Json<Page<Registration>>, Problem> {
    let limit = page.limit()?;
    let wanted = filter.guid.as_deref().map(guid).transpose()?.map(|guid| guid.to_string());
    let rows = super::list(&app.db, wanted.as_deref(), page.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| (last.guid.clone(), last.rendezvous.clone()))))
}

/// Makes a device due at all its rendezvous now; gives what is known of them before that.
pub async fn renew(
    app: web::Data<App>,
    _: Require<Write>,
    name: web::Path<String>,
) -> Result<web::Json<Vec<Registration>>, Problem> {
    let guid = guid(&name)?;
    super::renew(&app.db, &guid, app.clock.now()).await?;
    app.registrar.wake();
    let rows = super::list(&app.db, Some(&guid.to_string()), None, 1000).await?;
    Ok(web::Json(rows))
}

/// With hyphens or without.
fn guid(text: &str) -> Result<Guid, Problem> {
    let wrong =
        |_| Problem::bad_request("guid", "This is no GUID; write it like 0f8fad5b-d9cb-469f-a165-70867728950e.");
    text.parse().map_err(wrong)
}
