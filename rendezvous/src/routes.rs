//! Every URL of the service: FDO for owners and devices on one listener, the operator API on the other.

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use fdo_service::compat::Gate;
use fdo_service::endpoint::{self, Endpoint};
use fdo_service::host::Listener;
use fdo_service::host::tls;
use fdo_service::{operators, problem};

use crate::app::{App, StartError};
use crate::config::Config;
use crate::conversation::Rendezvous;
use crate::registrations::routes as registrations;
use crate::{compat, policy};

/// The listeners "device" and "operator", and "compat" where it is wanted.
pub(crate) fn listeners(
    config: &Config,
    app: &Arc<App>,
    endpoint: Arc<Endpoint<Rendezvous>>,
) -> Result<Vec<Listener>, StartError> {
    let (health, fdo) = (app.health.clone(), endpoint.clone());
    let device = move |cfg: &mut ServiceConfig| {
        health.configure(cfg);
        endpoint::configure(cfg, endpoint.clone());
    };
    let compat = compat_listener(config, app, &fdo)?;
    let app = app.clone();
    let operator = move |cfg: &mut ServiceConfig| operator(cfg, &app);
    let listeners = [
        Listener::device("device", &config.listen.address, device).tls(tls::server_config(&config.listen)?),
        Listener::operator("operator", &config.operators.address, operator)
            .tls(tls::server_config(&config.operators)?),
    ];
    Ok(listeners.into_iter().chain(compat).collect())
}

/// One address for everything, as those scripts expect it: management and FDO.
fn compat_listener(
    config: &Config,
    app: &Arc<App>,
    fdo: &Arc<Endpoint<Rendezvous>>,
) -> Result<Option<Listener>, StartError> {
    let Some((address, operator)) = config.compat.listener()? else { return Ok(None) };
    let gate = Gate::new(&config.compat, operator, &app.operators);
    let (app, fdo) = (app.clone(), fdo.clone());
    Ok(Some(Listener::compat("compat", address, move |cfg: &mut ServiceConfig| {
        compat::routes::listener(cfg, &app, &gate);
        endpoint::configure(cfg, fdo.clone());
    })))
}

fn operator(cfg: &mut ServiceConfig, app: &App) {
    problem::configure(cfg);
    app.health.configure(cfg);
    app.metrics.configure(cfg);
    operators::routes::configure(cfg, &app.operators);
    policy::routes::configure(cfg, &app.policies);
    compat::routes::configure(cfg);
    cfg.app_data(web::Data::from(app.registrations.clone()))
        .app_data(web::Data::new(app.clock.clone()))
        .service(web::resource("/api/v1/registrations").route(web::get().to(registrations::list)))
        .service(
            web::resource("/api/v1/registrations/{guid}")
                .route(web::get().to(registrations::get))
                .route(web::delete().to(registrations::delete)),
        );
}
