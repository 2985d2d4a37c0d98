//! `/api/v1/profiles`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use fdo_service::operators::require::{Admin, Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Compiled, Error, Profile};
use crate::app::App;

/// A profile as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileView {
    #[serde(flatten)]
    pub profile: Profile,
    /// Whether nobody has set it.
    pub built_in: bool,
    pub created: Option<u64>,
    pub updated: Option<u64>,
}

impl From<&Compiled> for ProfileView {
    fn from(compiled: &Compiled) -> Self {
        Self {
            profile: compiled.profile.clone(),
            built_in: compiled.times.is_none(),
            created: compiled.times.map(|(created, _)| created),
            updated: compiled.times.map(|(_, updated)| updated),
        }
    }
}

/// `GET /api/v1/profiles`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    page: Query<PageQuery>,
) -> Result<Json<Page<ProfileView>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    let profiles = app.ca.profiles();
    let behind =
        |compiled: &&std::sync::Arc<Compiled>| after.as_ref().is_none_or(|name| compiled.profile.name > *name);
    let rows = profiles.iter().filter(behind).map(|compiled| ProfileView::from(&**compiled)).collect();
    Ok(Json(Page::from_rows(rows, limit, |last| last.profile.name.clone())))
}

/// `GET /api/v1/profiles/{name}`
pub async fn get(app: Data<App>, _: Require<Read>, name: Path<String>) -> Result<Json<ProfileView>, Problem> {
    let name = name.into_inner();
    let found = app.ca.compiled(&name).ok_or(Error::NotFound(name))?;
    Ok(Json(ProfileView::from(&*found)))
}

/// `PUT /api/v1/profiles/{name}`: the whole profile, in the place of what was there.
pub async fn put(
    app: Data<App>,
    who: Require<Admin>,
    name: Path<String>,
    profile: Json<Profile>,
) -> Result<HttpResponse, Problem> {
    let profile = Profile { name: name.into_inner(), ..profile.into_inner() };
    let is_new = super::put(&app, &who.id, &profile).await?;
    let found = app.ca.compiled(&profile.name).ok_or(Error::NotFound(profile.name))?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(ProfileView::from(&*found)))
}

/// `DELETE /api/v1/profiles/{name}`
pub async fn delete(app: Data<App>, who: Require<Admin>, name: Path<String>) -> Result<HttpResponse, Problem> {
    super::delete(&app, &who.id, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}
