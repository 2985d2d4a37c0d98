//! `/api/v1/ca/authorities`: the CAs, and how one takes over from another.

use actix_web::web::{Data, Json, Path, Query};
use fdo_pki::Certificate;
use fdo_protocol::crypto::SigningKey;
use fdo_service::operators::require::{Admin, Read, Require};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::rollover::{self, Error};
use super::{Authority, Role, Standing};
use crate::app::App;
use crate::ca::certificates::store::count_live;
use crate::plans::Secret;

/// A CA as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaEntry {
    pub id: String,
    pub role: Role,
    pub state: Standing,
    pub subject: String,
    pub serial: String,
    pub not_before: u64,
    pub not_after: u64,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// How many of its certificates are neither expired nor revoked.
    pub certificates: u64,
    pub created: u64,
    /// The CA, and what stands above it where that is not our own root.
    pub pem: String,
}

async fn entry(app: &App, authority: &Authority) -> Result<CaEntry, Problem> {
    let certificate = authority.certificate();
    let all: Vec<&[u8]> = [certificate].into_iter().chain(authority.chain()).map(Certificate::der).collect();
    Ok(CaEntry {
        id: authority.id.clone(),
        role: authority.role,
        state: authority.standing,
        subject: certificate.subject(),
        serial: certificate.serial().to_owned(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        fingerprint: hex::encode(certificate.fingerprint()),
        certificates: count_live(&app.db, &authority.id, app.clock.now()).await.map_err(Error::from)?,
        created: authority.created,
        pem: fdo_pki::pem::encode_certificates(&all).map_err(Error::from)?,
    })
}

/// A CA as it is shown.
pub(crate) async fn shown(app: &App, id: &str) -> Result<Json<CaEntry>, Problem> {
    let authority = app.ca.authority(id).ok_or_else(|| Error::NotFound(id.to_owned()))?;
    Ok(Json(entry(app, &authority).await?))
}

/// `GET /api/v1/ca/authorities`: all of them, retired ones too.
pub async fn list(app: Data<App>, _: Require<Read>) -> Result<Json<Vec<CaEntry>>, Problem> {
    let mut all = Vec::new();
    for authority in app.ca.all_authorities() {
        all.push(entry(&app, &authority).await?);
    }
    Ok(Json(all))
}

/// What makes a new issuing CA: the root's secret in hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduction {
    pub root_secret: Secret,
}

/// What brings an issuing CA of the company's: its chain and its key, PEM.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    pub certificate: String,
    pub key: Secret,
}

/// `POST /api/v1/ca/introduce`
pub async fn introduce(
    app: Data<App>,
    who: Require<Admin>,
    body: Json<Introduction>,
) -> Result<Json<CaEntry>, Problem> {
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(body.root_secret.expose(), &mut *secret).map_err(|_| Error::RootSecret)?;
    let id = rollover::introduce(&app, &who.id, &secret).await?;
    shown(&app, &id).await
}

/// `POST /api/v1/ca/import`
pub async fn import(app: Data<App>, who: Require<Admin>, body: Json<Import>) -> Result<Json<CaEntry>, Problem> {
    let chain = read_chain(&body.certificate).map_err(Error::Chain)?;
    let key = SigningKey::from_pem(body.key.expose()).map_err(Error::Key)?;
    let id = rollover::import(&app, &who.id, &chain, &key).await?;
    shown(&app, &id).await
}

/// The certificates of a PEM text, in its order; a private key among them is refused.
pub(in crate::ca) fn read_chain(pem: &str) -> Result<Vec<Certificate>, fdo_pki::Error> {
    fdo_pki::pem::decode_certificates(pem)?.iter().map(|der| Certificate::parse(der)).collect()
}

/// `POST /api/v1/ca/authorities/{id}/activate`
pub async fn activate(app: Data<App>, who: Require<Admin>, id: Path<String>) -> Result<Json<CaEntry>, Problem> {
    rollover::activate(&app, &who.id, &id).await?;
    shown(&app, &id).await
}

/// Whether certificates that still hold are of no account.
#[derive(Debug, Deserialize)]
pub struct Force {
    #[serde(default)]
    force: bool,
}

/// `POST /api/v1/ca/authorities/{id}/retire`
pub async fn retire(
    app: Data<App>,
    who: Require<Admin>,
    id: Path<String>,
    query: Query<Force>,
) -> Result<Json<CaEntry>, Problem> {
    rollover::retire(&app, &who.id, &id, query.force).await?;
    shown(&app, &id).await
}
