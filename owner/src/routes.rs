//! Every URL of the service: FDO on the device listener, `/api/v1` on the operator listener.

use std::sync::Arc;

use actix_web::Resource;
use actix_web::web::{self, delete, get, post, put};
use fdo_pki::Certificate;
use fdo_service::compat::Gate;
use fdo_service::endpoint::{self, Endpoint};
use fdo_service::host::Listener;
use fdo_service::host::health::Health;
use fdo_service::host::{client_certificates, data_dir, tls};
use fdo_service::transfer::{outbox, partners};
use fdo_service::{operators, problem};

use crate::app::App;
use crate::config::Config;
use crate::enrollment::est;
use crate::error::StartError;
use crate::onboarding::Conversation;
use crate::{
    admission, alerts, ca, claims, compat, console, enrollment, files, inventory, keys, manufacturers, networks,
    onboarding, plans, redirect, registration, resale, revocation, transfer, trust, uploads, vouchers,
};

/// The listeners "device", "operator" and "status", and "compat" and "transfer" where they are wanted.
pub fn listeners(config: &Config, app: &Arc<App>) -> Result<Vec<Listener>, StartError> {
    let (endpoint, health, data) = (endpoint(app), app.health.clone(), web::Data::from(app.clone()));
    let compat = compat_listener(config, app, &endpoint)?;
    let device = move |cfg: &mut web::ServiceConfig| device(cfg, &endpoint, &health);
    let operator = move |cfg: &mut web::ServiceConfig| operator(cfg, &data);
    let listeners = [
        Listener::device("device", &config.listen.address, device).tls(tls::server_config(&config.listen)?),
        Listener::operator("operator", &config.operators.address, operator)
            .tls(tls::server_config(&config.operators)?),
    ];
    let listeners = listeners
        .into_iter()
        .chain(compat)
        .chain(est_listener(config, app)?)
        .chain(transfer_listener(config, app)?);
    Ok(listeners.chain(status_listener(config, app)).collect())
}

/// For anybody who wants to know whether a certificate is revoked; plain HTTP, since what it serves is signed.
fn status_listener(config: &Config, app: &Arc<App>) -> Option<Listener> {
    let (health, served) = (app.health.clone(), app.clone());
    let configure = move |cfg: &mut web::ServiceConfig| {
        health.configure(cfg);
        revocation::status::routes::configure(cfg, &served);
    };
    let address = Some(&config.status.address).filter(|address| !address.is_empty());
    address.map(|address| Listener::device("status", address, configure))
}

/// For devices that renew; always TLS, and its certificate is replaced while it serves.
fn est_listener(config: &Config, app: &Arc<App>) -> Result<Option<Listener>, StartError> {
    if !config.est.is_on() {
        return Ok(None);
    }
    let tls = client_certificates::server_config(app.est_identity.shown())?;
    let served = app.clone();
    let configure = move |cfg: &mut web::ServiceConfig| est::routes::configure(cfg, &served);
    Ok(Some(Listener::enrolment("est", &config.est.address, tls, configure)))
}

/// For other organisations; always TLS.
fn transfer_listener(config: &Config, app: &Arc<App>) -> Result<Option<Listener>, StartError> {
    let Some(listen) = config.transfer.listen() else { return Ok(None) };
    let tls = match tls::server_config(&listen)? {
        Some(tls) => tls,
        None => {
            let folder = app.data_dir.join("transfer");
            data_dir::create(&folder)?;
            let (names, now) = (&config.transfer.names, app.clock.now());
            let (tls, der) = tls::self_signed_files(&folder, names, now, &mut app.random.rng())?;
            // Partners pin a self-signed one; another is known by its CA.
            let pin = Certificate::parse(&der)?.spki_sha256();
            app.transfer_pin.get_or_init(|| hex::encode(pin));
            tls
        }
    };
    let (health, served) = (app.health.clone(), app.clone());
    let configure = move |cfg: &mut web::ServiceConfig| {
        health.configure(cfg);
        transfer::routes::configure(cfg, &served);
    };
    Ok(Some(Listener::device("transfer", &listen.address, configure).tls(tls)))
}

/// One address for everything, as scripts for go-fdo-server expect it: management and FDO.
fn compat_listener(
    config: &Config,
    app: &Arc<App>,
    endpoint: &Arc<Endpoint<Conversation>>,
) -> Result<Option<Listener>, StartError> {
    let Some((address, operator)) = config.compat.listener()? else { return Ok(None) };
    let gate = Gate::new(&config.compat, operator, &app.operators);
    let (data, endpoint) = (web::Data::from(app.clone()), endpoint.clone());
    Ok(Some(Listener::compat("compat", address, move |cfg: &mut web::ServiceConfig| {
        compat::routes::listener(cfg, &data, &gate);
        endpoint::configure(cfg, endpoint.clone());
    })))
}

/// What devices talk to.
pub fn endpoint(app: &Arc<App>) -> Arc<Endpoint<Conversation>> {
    Endpoint::new(
        Conversation::new(app.clone()),
        app.clock.clone(),
        app.random.clone(),
        app.metrics.clone(),
        app.limits.clone(),
    )
}

/// The device listener; it serves no operator route.
pub fn device(cfg: &mut web::ServiceConfig, endpoint: &Arc<Endpoint<Conversation>>, health: &Health) {
    health.configure(cfg);
    endpoint::configure(cfg, endpoint.clone());
}

/// The operator listener.
pub fn operator(cfg: &mut web::ServiceConfig, app: &web::Data<App>) {
    problem::configure(cfg);
    app.health.configure(cfg);
    app.metrics.configure(cfg);
    operators::routes::configure(cfg, &app.operators);
    cfg.app_data(app.clone());
    cfg.service(resource("devices").route(get().to(inventory::routes::list)))
        .service(resource("devices/{name}").route(get().to(onboarding::routes::device)));
    let uploads = resource("vouchers").app_data(web::PayloadConfig::new(vouchers::upload::MAX_FILE));
    cfg.service(uploads.route(get().to(vouchers::routes::list)).route(post().to(vouchers::routes::upload)))
        .service(resource("vouchers/{guid}").route(get().to(vouchers::routes::get)))
        .service(resource("vouchers/{guid}/download").route(get().to(vouchers::routes::download)))
        .service(resource("vouchers/{guid}/block").route(post().to(vouchers::routes::block)))
        .service(resource("vouchers/{guid}/unblock").route(post().to(vouchers::routes::unblock)));
    let resell = resource("vouchers/{name}/resell").route(post().to(resale::routes::resell));
    cfg.service(resell).service(resource("resales").route(get().to(resale::routes::list)));
    cfg.service(resource("resales/{guid}").route(get().to(resale::routes::get)))
        .service(resource("resales/{guid}/hand-over").route(post().to(resale::routes::hand_over)))
        .service(resource("resales/{guid}/confirm").route(post().to(resale::routes::confirm)))
        .service(resource("resales/{guid}/cancel").route(post().to(resale::routes::cancel)));
    partners::routes::configure(cfg, &app.partners);
    outbox::routes::configure(cfg);
    cfg.service(resource("vouchers/{name}/transfer").route(post().to(transfer::desk::routes::transfer)))
        .service(resource("resales/{guid}/push").route(post().to(transfer::desk::routes::push)))
        .service(resource("pulls").route(post().to(transfer::desk::routes::create_pull)))
        .service(resource("transfer").route(get().to(transfer::desk::routes::introduce)));
    let networks = resource("networks").route(get().to(networks::routes::list));
    let network = resource("networks/{id}").route(get().to(networks::routes::get));
    cfg.service(networks.route(post().to(networks::routes::create)))
        .service(network.route(put().to(networks::routes::update)).route(delete().to(networks::routes::delete)));
    let plan = resource("plans/{id}").route(get().to(plans::routes::get)).route(put().to(plans::routes::put));
    cfg.service(resource("plans").route(get().to(plans::routes::list)))
        .service(resource("plans/preview").route(get().to(onboarding::routes::preview)))
        .service(plan.route(delete().to(plans::routes::delete)));
    let file = resource("files/{name}").route(get().to(files::routes::get)).route(put().to(files::routes::put));
    cfg.service(resource("files").route(get().to(files::routes::list)))
        .service(file.route(delete().to(plans::routes::remove_file)));
    let upload = resource("uploads/{id}").route(get().to(uploads::routes::get));
    cfg.service(resource("uploads").route(get().to(uploads::routes::list)))
        .service(upload.route(delete().to(uploads::routes::delete)))
        .service(resource("uploads/{id}/content").route(get().to(uploads::routes::content)));
    let trusted = resource("trust").route(get().to(trust::routes::list)).route(post().to(trust::routes::create));
    cfg.service(trusted).service(resource("trust/{fingerprint}").route(delete().to(trust::routes::delete)));
    let makers = resource("manufacturers").route(get().to(manufacturers::routes::list));
    cfg.service(makers.route(post().to(manufacturers::routes::create)))
        .service(resource("manufacturers/{id}").route(delete().to(manufacturers::routes::delete)))
        .service(resource("manufacturers/{id}/refresh").route(post().to(manufacturers::routes::refresh)));
    let claim = resource("claims/{serial}").route(get().to(claims::routes::get));
    cfg.service(resource("claims").route(get().to(claims::routes::list)).route(post().to(claims::routes::create)))
        .service(claim.route(delete().to(claims::routes::withdraw)));
    let redirect = resource("redirect").route(get().to(redirect::routes::get));
    cfg.service(redirect.route(put().to(redirect::routes::set)).route(delete().to(redirect::routes::reset)));
    admission::routes::configure(cfg);
    compat::routes::configure(cfg);
    revocation::routes::configure(cfg, resource);
    cfg.service(resource("keys").route(get().to(keys::routes::list)));
    let profile = resource("profiles/{name}").route(get().to(ca::profiles::routes::get));
    cfg.service(resource("profiles").route(get().to(ca::profiles::routes::list))).service(
        profile.route(put().to(ca::profiles::routes::put)).route(delete().to(ca::profiles::routes::delete)),
    );
    enrollment::external::routes::configure(cfg);
    use ca::authorities::routes as authorities;
    cfg.service(resource("ca/authorities").route(get().to(authorities::list)))
        .service(resource("ca/introduce").route(post().to(authorities::introduce)))
        .service(resource("ca/import").route(post().to(authorities::import)))
        .service(resource("ca/authorities/{id}/activate").route(post().to(authorities::activate)))
        .service(resource("ca/authorities/{id}/retire").route(post().to(authorities::retire)));
    inventory::certificates::routes::configure(cfg);
    alerts::routes::configure(cfg);
    cfg.service(resource("summary").route(get().to(console::summary)));
    console::configure(cfg);
    cfg.service(resource("ca").route(get().to(ca::routes::get)))
        .service(resource("certificates").route(get().to(ca::routes::list)))
        .service(resource("onboardings").route(get().to(onboarding::routes::list)))
        .service(resource("registrations").route(get().to(registration::routes::list)))
        .service(resource("registrations/{guid}/renew").route(post().to(registration::routes::renew)));
}

fn resource(path: &str) -> Resource {
    web::resource(format!("/api/v1/{path}"))
}
