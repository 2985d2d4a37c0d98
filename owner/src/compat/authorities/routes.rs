//! Device CAs, which are pins of the trust here.

use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use fdo_pki::Certificate;
use fdo_service::compat::certificates::{
    CertificateImport, CertificatePage, CertificateQuery, CertificateView, fingerprint,
};
use fdo_service::compat::refusal::Refusal;
use fdo_service::compat::{pem, wants_pem};
use fdo_service::operators::require::{Admin, Read, Require};

use crate::app::App;
use crate::trust::{self, Kind, TrustedKey};

/// What such a pin is called.
const NAME: &str = "by /api/v2/device-ca";

async fn pinned(app: &App) -> Result<Vec<(Certificate, u64)>, Refusal> {
    let mut all = Vec::new();
    for pin in trust::list(&app.db).await?.into_iter().filter(|pin| pin.kind == Kind::DeviceCa) {
        all.push((Certificate::parse(&pin.der).map_err(trust::Error::from)?, pin.created));
    }
    Ok(all)
}

async fn find(app: &App, name: &str) -> Result<(Certificate, u64), Refusal> {
    let unknown = || Refusal::not_found("trust-unknown", "There is no device CA with this fingerprint.");
    let wanted = fingerprint(name).ok_or_else(unknown)?;
    let found = pinned(app).await?.into_iter().find(|(certificate, _)| certificate.fingerprint() == wanted);
    found.ok_or_else(unknown)
}

pub(crate) async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<CertificateQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let page: CertificatePage = query.select(pinned(&app).await?, app.clock.now())?;
    if wants_pem(&request) {
        return Ok(pem(page.certs.into_iter().map(|certificate| certificate.pem).collect()));
    }
    Ok(HttpResponse::Ok().json(page))
}

pub(crate) async fn get(
    app: Data<App>,
    _: Require<Read>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (certificate, created) = find(&app, &name).await?;
    let view = CertificateView::new(&certificate, created);
    Ok(if wants_pem(&request) { pem(view.pem) } else { HttpResponse::Ok().json(view) })
}

pub(crate) async fn import(app: Data<App>, who: Require<Admin>, body: Bytes) -> Result<HttpResponse, Refusal> {
    let now = app.clock.now();
    let (mut report, usable) = CertificateImport::read(&body, now);
    let mut known: Vec<[u8; 32]> = pinned(&app).await?.iter().map(|(known, _)| known.fingerprint()).collect();
    for (position, certificate) in usable {
        if known.contains(&certificate.fingerprint()) {
            report.skip(position, &certificate, "it is here already");
            continue;
        }
        let pin = TrustedKey::parse(Kind::DeviceCa, NAME, None, certificate.der(), now)?;
        trust::add(&app.db, &pin, &who.id, now).await?;
        known.push(certificate.fingerprint());
        report.take(position, &certificate, now);
    }
    Ok(HttpResponse::Ok().json(report))
}

pub(crate) async fn remove(
    app: Data<App>,
    who: Require<Admin>,
    name: Path<String>,
) -> Result<HttpResponse, Refusal> {
    let (certificate, _) = find(&app, &name).await?;
    let fingerprint = hex::encode(certificate.fingerprint());
    trust::remove(&app.db, &fingerprint, &who.id, app.clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}
