//! `/api/v1/plans`, and the removal of a file, which waits for the plans that name it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Error, Plan, PlanScope, Scope, Step, store};
use crate::app::App;

/// A plan as operators see it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PlanView {
    /// `all`, `model:camera`, `device:SN-0001`.
    pub id: String,
    #[serde(flatten)]
    pub scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub steps: Vec<Step>,
    pub created: u64,
    pub updated: u64,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            id: plan.scope.to_string(),
            scope: plan.scope.scope().clone(),
            description: plan.description,
            steps: plan.steps.into_iter().map(Step::without_secrets).collect(),
            created: plan.created,
            updated: plan.updated,
        }
    }
}

/// A plan as it is written: in the body of a PUT, and in files. What is shown may be written again, so the id and the
/// times that only the service sets are read over.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    #[serde(default, skip_serializing)]
    pub id: Option<String>,
    /// `all`, `model` or `device`.
    pub scope: String,
    /// The model, or the device's serial, GUID or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub steps: Vec<Step>,
    #[serde(default, skip_serializing)]
    pub created: Option<u64>,
    #[serde(default, skip_serializing)]
    pub updated: Option<u64>,
}

impl PlanFile {
    /// Which devices it is for.
    pub fn scope(&self) -> Result<PlanScope, Error> {
        PlanScope::new(&self.scope, self.target.as_deref())
    }
}

/// `GET /api/v1/plans`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    page: Query<PageQuery>,
) -> Result<Json<Page<PlanView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&app.db, &app.sealing, page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.scope.to_string()).map(PlanView::from)))
}

/// `GET /api/v1/plans/{id}`
pub async fn get(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<Json<PlanView>, Problem> {
    let id = named(&id)?.to_string();
    let plan = store::find(&app.db, &app.sealing, &id).await?.ok_or(Error::NotFound(id))?;
    Ok(Json(plan.into()))
}

/// What cannot be a plan's id is no plan's.
fn named(id: &str) -> Result<PlanScope, Error> {
    PlanScope::parse(id).map_err(|_| Error::NotFound(id.to_owned()))
}

/// `PUT /api/v1/plans/{id}`: the whole plan, in the place of what was there.
pub async fn put(
    app: Data<App>,
    who: Require<Write>,
    id: Path<String>,
    file: Json<PlanFile>,
) -> Result<HttpResponse, Problem> {
    let file = file.into_inner();
    let scope = PlanScope::parse(&id)?;
    if file.scope()? != scope {
        let detail = format!("the body is for {}, the path for {scope}", file.scope()?);
        return Err(Error::Field("scope", detail).into());
    }
    let mut plan = Plan { scope, description: file.description, steps: file.steps, created: 0, updated: 0 };
    let is_new = super::put(&app, &who.id, &mut plan).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(PlanView::from(plan)))
}

/// `DELETE /api/v1/plans/{id}`
pub async fn delete(app: Data<App>, who: Require<Write>, id: Path<String>) -> Result<HttpResponse, Problem> {
    super::delete(&app, &who.id, &named(&id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /api/v1/files/{name}`
pub async fn remove_file(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    super::remove_file(&app, &who.id, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}
