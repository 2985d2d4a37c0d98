//! `/api/v1/admission`: rules, groups, and what they would say of a device.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json, Path};
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Criteria, Deed, Effect, Error, Rule};
use crate::app::App;
use crate::config::Otherwise;
use crate::inventory;

/// The routes below `/api/v1/admission`.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(format!("/api/v1/admission{path}"));
    let group = resource("/groups/{name}").route(web::get().to(group)).route(web::put().to(put_group));
    cfg.service(resource("").route(web::get().to(get)))
        .service(resource("/rules").route(web::post().to(create)))
        .service(resource("/rules/{id}").route(web::delete().to(delete)))
        .service(resource("/test").route(web::post().to(test)))
        .service(group.route(web::delete().to(delete_group)));
}

/// How admission stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmissionView {
    /// What counts where no rule fits.
    pub default: Otherwise,
    /// Whether a webhook has the last word.
    pub webhook: bool,
    /// In the order in which they are looked at.
    pub rules: Vec<Rule>,
    pub groups: Vec<GroupView>,
}

/// A group of serials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupView {
    pub name: String,
    pub members: u64,
}

/// A rule to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    pub id: String,
    /// After all others if it is not given.
    #[serde(default)]
    pub position: Option<u32>,
    pub effect: Effect,
    #[serde(default)]
    pub deed: Option<Deed>,
    #[serde(default)]
    pub criteria: Criteria,
}

/// The serials of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMembers {
    pub serials: Vec<String>,
}

/// Which device wants what.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// A serial or a GUID.
    pub device: String,
    pub deed: Deed,
}

/// What rules and webhook say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialView {
    pub admitted: bool,
    pub by: String,
}

/// `GET /api/v1/admission`
pub async fn get(app: Data<App>, _: Require<Read>) -> Result<Json<AdmissionView>, Problem> {
    let groups = super::groups(&app.db).await?.into_iter().map(|(name, members)| GroupView { name, members });
    Ok(Json(AdmissionView {
        default: app.settings.admission.default,
        webhook: app.settings.admission.webhook.is_some(),
        rules: super::list(&app.db).await?,
        groups: groups.collect(),
    }))
}

/// `POST /api/v1/admission/rules`
pub async fn create(app: Data<App>, who: Require<Write>, new: Json<NewRule>) -> Result<HttpResponse, Problem> {
    let (new, now) = (new.into_inner(), app.clock.now());
    let rule = Rule {
        id: new.id,
        position: new.position.unwrap_or(0),
        effect: new.effect,
        deed: new.deed,
        criteria: new.criteria,
        created: now,
    };
    let transaction = database::begin(&app.db).await?;
    let rule = super::insert(&transaction, rule).await?;
    let detail = serde_json::to_string(&rule).unwrap_or_default();
    audit::record(&transaction, now, event(&who.id, "admission.add", &rule.id, &detail)).await?;
    transaction.commit().await?;
    app.admission.forget();
    Ok(HttpResponse::build(StatusCode::CREATED).json(rule))
}

/// `DELETE /api/v1/admission/rules/{id}`
pub async fn delete(app: Data<App>, who: Require<Write>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let transaction = database::begin(&app.db).await?;
    super::delete(&transaction, &id).await?;
    audit::record(&transaction, app.clock.now(), event(&who.id, "admission.remove", &id, "")).await?;
    transaction.commit().await?;
    app.admission.forget();
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/v1/admission/groups/{name}`
pub async fn group(app: Data<App>, _: Require<Read>, name: Path<String>) -> Result<Json<GroupMembers>, Problem> {
    Ok(Json(GroupMembers { serials: super::members(&app.db, &name).await? }))
}

/// `PUT /api/v1/admission/groups/{name}`
pub async fn put_group(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
    members: Json<GroupMembers>,
) -> Result<Json<GroupMembers>, Problem> {
    let serials = members.into_inner().serials;
    let detail = format!("{} serials", serials.len());
    let transaction = database::begin(&app.db).await?;
    super::put_group(&transaction, &name, serials).await?;
    audit::record(&transaction, app.clock.now(), event(&who.id, "admission.group", &name, &detail)).await?;
    transaction.commit().await?;
    Ok(Json(GroupMembers { serials: super::members(&app.db, &name).await? }))
}

/// `DELETE /api/v1/admission/groups/{name}`
pub async fn delete_group(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let transaction = database::begin(&app.db).await?;
    super::delete_group(&transaction, &name).await?;
    audit::record(&transaction, app.clock.now(), event(&who.id, "admission.group", &name, "removed")).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/admission/test`
pub async fn test(app: Data<App>, _: Require<Write>, trial: Json<Trial>) -> Result<Json<TrialView>, Problem> {
    let device = inventory::find_by_name(&app.db, &trial.device).await?;
    match super::decide(&app, trial.deed, &device).await {
        Ok(decision) => Ok(Json(TrialView { admitted: decision.admitted, by: decision.by })),
        Err(Error::Unanswered(reason)) => {
            Ok(Json(TrialView { admitted: false, by: format!("no answer: {reason}") }))
        }
        Err(error) => Err(error.into()),
    }
}

fn event<'a>(actor: &'a str, action: &'a str, subject: &'a str, detail: &'a str) -> Event<'a> {
    Event { actor, action, subject, outcome: Outcome::Success, detail }
}
