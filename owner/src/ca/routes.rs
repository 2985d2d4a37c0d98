//! `GET /api/v1/ca` and `GET /api/v1/certificates`.

use actix_web::web;
use fdo_pki::Certificate;
use fdo_service::operators::require::{Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{CertificateFilter, IssuedCertificate};
use crate::app::App;

/// A CA certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorityView {
    pub subject: String,
    pub serial: String,
    pub not_after: u64,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    pub pem: String,
}

/// The CA of this owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaView {
    pub root: AuthorityView,
    pub issuing: AuthorityView,
}

fn view(certificate: &Certificate) -> Result<AuthorityView, Problem> {
    Ok(AuthorityView {
        subject: certificate.subject(),
        serial: certificate.serial().to_owned(),
        not_after: certificate.not_after(),
        fingerprint: hex::encode(certificate.fingerprint()),
        pem: fdo_pki::pem::encode_certificates(&[certificate.der()]).map_err(|error| Problem::internal(&error))?,
    })
}

/// The root and the issuing CA.
pub async fn get(app: web::Data<App>, _: Require<Read>) -> Result<web::Json<CaView>, Problem> {
    Ok(web::Json(CaView { root: view(&app.ca.anchor())?, issuing: view(app.ca.active().certificate())? }))
}

/// The certificates that it issued.
pub async fn list(
    app: web::Data<App>,
    _: Require<Read>,
    page: web::Query<PageQuery>,
    filter: web::Query<CertificateFilter>,
) -> Result<web::Json<Page<IssuedCertificate>>, Problem> {
    let limit = page.limit()?;
    let rows = super::list(&app.db, &filter, page.after::<String>()?.as_deref(), limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.serial.clone())))
}
