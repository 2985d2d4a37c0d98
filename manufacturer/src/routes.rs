//! Every URL of the service, listener by listener.

use std::sync::Arc;

use actix_web::web;
use fdo_service::compat::Gate;
use fdo_service::endpoint::{self, Endpoint};
use fdo_service::host::health::Health;
use fdo_service::operators;
use fdo_service::operators::require::{Read, Require};
use fdo_service::problem::{self, Problem};
use fdo_service::transfer::{outbox, partners};
use serde::Serialize;

use crate::app::Desk;
use crate::buyers::routes::Introduction;
use crate::claims::Claims;
use crate::initialization::Initialization;
use crate::keys::Trust;
use crate::{allocations, buyers, claims, compat, devices, rendezvous, vouchers};

/// For devices on the line: DI, and nothing for operators.
pub fn device(cfg: &mut web::ServiceConfig, endpoint: &Arc<Endpoint<Initialization>>, health: &Health) {
    health.configure(cfg);
    endpoint::configure(cfg, endpoint.clone());
}

/// For buyers' owner services.
pub fn claims(
    cfg: &mut web::ServiceConfig,
    claims: &Arc<Claims>,
    introduction: &Arc<Introduction>,
    health: &Health,
) {
    health.configure(cfg);
    claims::routes::configure(cfg, claims, introduction);
}

/// For operators and their scripts.
pub fn operator(cfg: &mut web::ServiceConfig, desk: &Arc<Desk>) {
    problem::configure(cfg);
    desk.health.configure(cfg);
    desk.metrics.configure(cfg);
    operators::routes::configure(cfg, &desk.operators);
    devices::routes::configure(cfg, &desk.devices);
    vouchers::routes::configure(cfg, &desk.vouchers);
    buyers::routes::configure(cfg, &desk.buyers, &desk.introduction);
    allocations::routes::configure(cfg, &desk.allocations);
    claims::routes::configure_operators(cfg, &desk.claims);
    rendezvous::routes::configure(cfg, &desk.rendezvous);
    compat::routes::configure(cfg, desk);
    partners::routes::configure(cfg, &desk.partners);
    outbox::routes::configure(cfg);
    cfg.app_data(web::Data::from(desk.clone()))
        .service(web::resource("/api/v1/identity").route(web::get().to(identity)))
        .service(web::resource("/api/v1/trust").route(web::get().to(trust)));
}

/// For scripts that know no token: management and FDO at one address.
pub fn compat(
    cfg: &mut web::ServiceConfig,
    desk: &Arc<Desk>,
    gate: &Gate,
    endpoint: &Arc<Endpoint<Initialization>>,
) {
    compat::routes::listener(cfg, desk, gate);
    endpoint::configure(cfg, endpoint.clone());
}

/// By what buyers know this maker.
#[derive(Serialize)]
struct Identity {
    manufacturer: String,
    identity_fingerprint: String,
    claims_url: String,
}

async fn identity(_: Require<Read>, desk: web::Data<Desk>) -> web::Json<Identity> {
    web::Json(Identity {
        manufacturer: desk.maker.clone(),
        identity_fingerprint: desk.introduction.identity_fingerprint.clone(),
        claims_url: desk.introduction.claims_url().to_owned(),
    })
}

async fn trust(_: Require<Read>, desk: web::Data<Desk>) -> Result<web::Json<Trust>, Problem> {
    Ok(web::Json(desk.keys.trust(&desk.maker)?))
}
