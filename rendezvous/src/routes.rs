//! Every URL of the service: FDO for owners and devices on one listener, the operator API on the other.

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use fdo_service::endpoint::{self, Endpoint};
use fdo_service::host::Listener;
use fdo_service::host::tls::{self, TlsError};
use fdo_service::{operators, problem};

use crate::app::App;
use crate::config::Config;
use crate::conversation::Rendezvous;
use crate::policy;
use crate::registrations::routes as registrations;

/// The two listeners, "device" and "operator".
pub(crate) fn listeners(
    config: &Config,
    app: &Arc<App>,
    endpoint: Arc<Endpoint<Rendezvous>>,
) -> Result<Vec<Listener>, TlsError> {
    let health = app.health.clone();
    let device = move |cfg: &mut ServiceConfig| {
        health.configure(cfg);
        endpoint::configure(cfg, endpoint.clone());
    };
    let app = app.clone();
    let operator = move |cfg: &mut ServiceConfig| operator(cfg, &app);
    Ok(vec![
        Listener::device("device", &config.listen.address, device).tls(tls::server_config(&config.listen)?),
        Listener::operator("operator", &config.operators.address, operator)
            .tls(tls::server_config(&config.operators)?),
    ])
}

fn operator(cfg: &mut ServiceConfig, app: &App) {
    problem::configure(cfg);
    app.health.configure(cfg);
    app.metrics.configure(cfg);
    operators::routes::configure(cfg, &app.operators);
    policy::routes::configure(cfg, &app.policies);
    cfg.app_data(web::Data::from(app.registrations.clone()))
        .app_data(web::Data::new(app.clock.clone()))
        .service(web::resource("/api/v1/registrations").route(web::get().to(registrations::list)))
        .service(
            web::resource("/api/v1/registrations/{guid}")
                .route(web::get().to(registrations::get))
                .route(web::delete().to(registrations::delete)),
        );
}
