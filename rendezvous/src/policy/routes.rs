//! `/api/v1/policy`: who may register, for operators.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query, ServiceConfig, delete, get, post, resource};
use fdo_service::host::clock::Clock;
use fdo_service::operators::require::{Admin, Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{
    DeviceCa, List, ListedKey, Policies, Policy, PolicyChange, PolicyError, PolicySettings, fingerprint_of,
};
use crate::registrations::{Party, Registrations};

/// The policy as the API shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyView {
    pub settings: PolicySettings,
    /// Whether operators have changed the settings; otherwise they are the configuration's.
    pub set: bool,
    /// Counts changes of settings and lists.
    pub version: u64,
    /// When the last one was made, in seconds since the epoch; 0 if never.
    pub changed: u64,
    pub allowed: usize,
    pub denied: usize,
    pub device_cas: usize,
}

impl From<&Policy> for PolicyView {
    fn from(policy: &Policy) -> Self {
        Self {
            settings: policy.settings.clone(),
            set: policy.set,
            version: policy.version,
            changed: policy.changed,
            allowed: policy.listed(List::Allow),
            denied: policy.listed(List::Deny),
            device_cas: policy.authority_count(),
        }
    }
}

/// A key on a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListedKeyView {
    pub party: Party,
    pub fingerprint: String,
    pub note: String,
    pub created: u64,
}

/// A key to be listed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    pub party: Party,
    /// `PUBLIC KEY` or `CERTIFICATE` in PEM, or a fingerprint.
    pub key: String,
    #[serde(default)]
    pub note: String,
    /// Denies the key without ending its registrations.
    #[serde(default)]
    pub keep_registrations: bool,
}

/// A key that was listed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Added {
    pub key: ListedKeyView,
    /// Live registrations that ended because of it.
    pub ended: u64,
    /// Whether the list counts as the policy is now.
    pub in_force: bool,
}

/// A device CA.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceCaView {
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    pub subject: String,
    pub not_after: u64,
    pub note: String,
    pub created: u64,
    pub pem: String,
}

/// A device CA to be listed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDeviceCa {
    /// A `CERTIFICATE` in PEM.
    pub pem: String,
    #[serde(default)]
    pub note: String,
}

impl From<ListedKey> for ListedKeyView {
    fn from(key: ListedKey) -> Self {
        let fingerprint = hex::encode(key.fingerprint);
        Self { party: key.party, fingerprint, note: key.note, created: key.created }
    }
}

impl From<DeviceCa> for DeviceCaView {
    fn from(authority: DeviceCa) -> Self {
        let certificate = &authority.certificate;
        Self {
            fingerprint: hex::encode(certificate.fingerprint()),
            subject: certificate.subject(),
            not_after: certificate.not_after(),
            pem: fdo_pki::pem::encode_certificates(&[certificate.der()]).unwrap_or_default(),
            note: authority.note,
            created: authority.created,
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let detail = sentence(&error.to_string());
        match &error {
            PolicyError::Fingerprint | PolicyError::Key(_) => Self::unprocessable("key", detail),
            PolicyError::Certificate(_) => Self::unprocessable("certificate", detail),
            PolicyError::Note => Self::unprocessable("note", detail),
            PolicyError::Wait => Self::unprocessable("wait-seconds", detail),
            PolicyError::NotListed(_) => Self::not_found("not-listed", detail),
            PolicyError::Full(_) => Self::conflict("list-full", detail),
            PolicyError::Database(_) => Self::internal(&error),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Adds the routes; they need the clock and the registrations too.
pub(crate) fn configure(cfg: &mut ServiceConfig, policies: &Arc<Policies>) {
    cfg.app_data(Data::from(policies.clone()))
        .service(
            resource("/api/v1/policy")
                .route(get().to(show))
                .route(actix_web::web::patch().to(set))
                .route(delete().to(reset)),
        )
        .service(resource("/api/v1/policy/device-cas").route(get().to(device_cas)).route(post().to(add_device_ca)))
        .service(resource("/api/v1/policy/device-cas/{fingerprint}").route(delete().to(remove_device_ca)))
        .service(resource("/api/v1/policy/{list}").route(get().to(list)).route(post().to(add)))
        .service(resource("/api/v1/policy/{list}/{party}/{fingerprint}").route(delete().to(remove)));
}

async fn show(_: Require<Read>, policies: Data<Policies>) -> Result<Json<PolicyView>, Problem> {
    Ok(Json(PolicyView::from(&*policies.current().await?)))
}

async fn set(
    who: Require<Admin>,
    policies: Data<Policies>,
    clock: Data<Clock>,
    change: Json<PolicyChange>,
) -> Result<Json<PolicyView>, Problem> {
    policies.set(change.into_inner(), &who.id, clock.now()).await?;
    Ok(Json(PolicyView::from(&*policies.current().await?)))
}

async fn reset(
    who: Require<Admin>,
    policies: Data<Policies>,
    clock: Data<Clock>,
) -> Result<HttpResponse, Problem> {
    policies.reset(&who.id, clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn list(
    _: Require<Read>,
    policies: Data<Policies>,
    list: Path<List>,
    query: Query<PageQuery>,
) -> Result<Json<Page<ListedKeyView>>, Problem> {
    let limit = query.limit()?;
    let after = query.after::<(Party, String)>()?;
    let after = after.map(|(party, key)| fingerprint_of(&key).map(|key| (party, key))).transpose()?;
    let rows = policies.list(*list, after, limit + 1).await?;
    let page = Page::from_rows(rows, limit, |last| (last.party, hex::encode(last.fingerprint)));
    Ok(Json(page.map(ListedKeyView::from)))
}

async fn add(
    who: Require<Admin>,
    policies: Data<Policies>,
    registrations: Data<Registrations>,
    clock: Data<Clock>,
    list: Path<List>,
    new: Json<NewKey>,
) -> Result<HttpResponse, Problem> {
    let NewKey { party, key, note, keep_registrations } = new.into_inner();
    let fingerprint = fingerprint_of(&key)?;
    let key = ListedKey { list: *list, party, fingerprint, note, created: clock.now() };
    let policies = policies.into_inner();
    let ended = policies.add(&registrations.into_inner(), key.clone(), keep_registrations, &who.id).await?;
    let in_force = policies.current().await?.settings.accept.counts(*list);
    Ok(HttpResponse::Created().json(Added { key: key.into(), ended, in_force }))
}

async fn remove(
    who: Require<Admin>,
    policies: Data<Policies>,
    clock: Data<Clock>,
    path: Path<(List, Party, String)>,
) -> Result<HttpResponse, Problem> {
    let (list, party, key) = path.into_inner();
    policies.remove(list, party, &fingerprint_of(&key)?, &who.id, clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn device_cas(_: Require<Read>, policies: Data<Policies>) -> Result<Json<Page<DeviceCaView>>, Problem> {
    let all = policies.device_cas().await?;
    Ok(Json(Page { items: all.into_iter().map(DeviceCaView::from).collect(), next: None }))
}

async fn add_device_ca(
    who: Require<Admin>,
    policies: Data<Policies>,
    clock: Data<Clock>,
    new: Json<NewDeviceCa>,
) -> Result<HttpResponse, Problem> {
    let unusable = |error: fdo_pki::Error| PolicyError::Certificate(error.to_string());
    let certificates = fdo_pki::pem::decode_certificates(&new.pem).map_err(unusable)?;
    let [der] = certificates.as_slice() else {
        return Err(PolicyError::Certificate("give one at a time".to_owned()).into());
    };
    let now = clock.now();
    let fresh = policies.add_device_ca(der, &new.note, &who.id, now).await?;
    let certificate = fdo_pki::Certificate::parse(der).map_err(unusable)?;
    let view = DeviceCaView::from(DeviceCa { certificate, note: new.note.clone(), created: now });
    Ok(if fresh { HttpResponse::Created().json(view) } else { HttpResponse::Ok().json(view) })
}

async fn remove_device_ca(
    who: Require<Admin>,
    policies: Data<Policies>,
    clock: Data<Clock>,
    fingerprint: Path<String>,
) -> Result<HttpResponse, Problem> {
    policies.remove_device_ca(&fingerprint_of(&fingerprint)?, &who.id, clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}
