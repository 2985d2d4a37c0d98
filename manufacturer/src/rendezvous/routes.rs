//! `/api/v1/rendezvous`: what new devices are born with, for operators.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, ServiceConfig};
use fdo_protocol::RendezvousInfo;
use fdo_service::compat::rendezvous_info;
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Rendezvous;
use crate::config::{self, Place};

pub fn configure(cfg: &mut ServiceConfig, rendezvous: &Arc<Rendezvous>) {
    cfg.app_data(Data::from(rendezvous.clone())).service(
        web::resource("/api/v1/rendezvous")
            .route(web::get().to(show))
            .route(web::put().to(set))
            .route(web::delete().to(reset)),
    );
}

/// What the next device is born with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RendezvousView {
    /// Whether operators have set it; otherwise it is the configuration's.
    pub set: bool,
    /// Each directive as a list of objects with one key.
    pub directives: Value,
}

/// Where devices shall look.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRendezvous {
    /// As in the configuration: URLs, or objects that say more; in the order in which they are tried.
    pub places: Vec<Place>,
}

async fn show(_: Require<Read>, rendezvous: Data<Rendezvous>) -> Result<Json<RendezvousView>, Problem> {
    view(&rendezvous).await
}

async fn set(
    who: Require<Write>,
    rendezvous: Data<Rendezvous>,
    new: Json<NewRendezvous>,
) -> Result<Json<RendezvousView>, Problem> {
    let wrong = |error: config::SettingError| Problem::unprocessable("rendezvous", format!("{error}."));
    let info: RendezvousInfo = config::rendezvous_info(&new.places).map_err(wrong)?;
    rendezvous.set(&info, &who.id).await?;
    view(&rendezvous).await
}

async fn reset(who: Require<Write>, rendezvous: Data<Rendezvous>) -> Result<HttpResponse, Problem> {
    rendezvous.reset(&who.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn view(rendezvous: &Rendezvous) -> Result<Json<RendezvousView>, Problem> {
    let set = rendezvous.find().await?.is_some();
    let directives = rendezvous_info::write(Some(&rendezvous.current().await?));
    Ok(Json(RendezvousView { set, directives }))
}
