//! `/api/v2/device-ca`, and `/api/v1/device-ca` on the compat listener.

use std::sync::Arc;

use actix_web::web::{self, Bytes, Data, Path, PayloadConfig, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use fdo_service::compat::certificates::{
    CertificateImport, CertificatePage, CertificateQuery, CertificateView, MAX_BODY, fingerprint,
};
use fdo_service::compat::refusal::Refusal;
use fdo_service::compat::{self, Gate, Wrapped, pem, resource, wants_pem};
use fdo_service::host::clock::Clock;
use fdo_service::operators::require::{Admin, Read, Require};
use fdo_service::problem;

use crate::app::App;
use crate::policy::{DeviceCa, DeviceCaRule, Policies};

/// What the note of a CA says that came this way.
const NOTE: &str = "by /api/v2/device-ca";

/// Version 2, for the operator listener too.
pub(crate) fn configure(cfg: &mut ServiceConfig) {
    cfg.service(all(resource("/api/v2/device-ca"))).service(one(resource("/api/v2/device-ca/{fingerprint}")));
}

/// The whole compat listener.
pub(crate) fn listener(cfg: &mut ServiceConfig, app: &Arc<App>, gate: &Gate) {
    problem::configure(cfg);
    compat::configure_health(cfg, &app.db);
    cfg.app_data(Data::new(gate.clone()))
        .app_data(Data::from(app.policies.clone()))
        .app_data(Data::new(app.clock.clone()));
    configure(cfg);
    cfg.service(all(resource("/api/v1/device-ca"))).service(one(resource("/api/v1/device-ca/{fingerprint}")));
}

fn all<T: Wrapped>(resource: Resource<T>) -> Resource<T> {
    resource.app_data(PayloadConfig::new(MAX_BODY)).route(web::get().to(list)).route(web::post().to(import))
}

fn one<T: Wrapped>(resource: Resource<T>) -> Resource<T> {
    resource.route(web::get().to(get)).route(web::delete().to(remove))
}

async fn list(
    _: Require<Read>,
    policies: Data<Policies>,
    clock: Data<Clock>,
    query: Query<CertificateQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let all = policies.device_cas().await?;
    let all = all.into_iter().map(|authority| (authority.certificate, authority.created)).collect();
    let page: CertificatePage = query.select(all, clock.now())?;
    if wants_pem(&request) {
        return Ok(pem(page.certs.into_iter().map(|certificate| certificate.pem).collect()));
    }
    Ok(HttpResponse::Ok().json(page))
}

async fn get(
    _: Require<Read>,
    policies: Data<Policies>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let wanted = fingerprint(&name).ok_or_else(unknown)?;
    let found = policies.device_cas().await?.into_iter().find(|ca| ca.certificate.fingerprint() == wanted);
    let DeviceCa { certificate, created, .. } = found.ok_or_else(unknown)?;
    let view = CertificateView::new(&certificate, created);
    Ok(if wants_pem(&request) { pem(view.pem) } else { HttpResponse::Ok().json(view) })
}

async fn import(
    who: Require<Admin>,
    policies: Data<Policies>,
    clock: Data<Clock>,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let now = clock.now();
    let (mut report, usable) = CertificateImport::read(&body, now);
    for (position, certificate) in usable {
        match policies.add_device_ca(certificate.der(), NOTE, &who.id, now).await? {
            true => report.take(position, &certificate, now),
            false => report.skip(position, &certificate, "it is here already"),
        }
    }
    if report.imported > 0 && policies.current().await?.settings.device_ca == DeviceCaRule::Any {
        let how = "`fdo-rendezvous policy set --device-ca required` puts the list in force";
        // That server has one message a certificate.
        if let Some(last) = report.messages.last_mut() {
            *last = format!("{last}; devices of every CA are registered until then: {how}");
        }
    }
    Ok(HttpResponse::Ok().json(report))
}

async fn remove(
    who: Require<Admin>,
    policies: Data<Policies>,
    clock: Data<Clock>,
    name: Path<String>,
) -> Result<HttpResponse, Refusal> {
    let wanted = fingerprint(&name).ok_or_else(unknown)?;
    policies.remove_device_ca(&wanted, &who.id, clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn unknown() -> Refusal {
    Refusal::not_found("not-listed", "There is no device CA with this fingerprint.")
}
