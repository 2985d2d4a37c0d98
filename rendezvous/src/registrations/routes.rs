//! `/api/v1/registrations`: what is registered, for operators.

use actix_web::{HttpResponse, web};
use fdo_protocol::messages::to0::To1dBlob;
use fdo_protocol::{Guid, cbor, cose::Sign1};
use fdo_service::database;
use fdo_service::host::clock::Clock;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Registration, Registrations};

/// A registration as the API shows it. Hashes are SHA-256 in hex, times are seconds since the epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegistrationView {
    pub guid: String,
    /// Hash of the device's certificate.
    pub device: String,
    /// Fingerprint of the owner's key.
    pub owner: String,
    /// Fingerprint of the key in the voucher's header.
    pub manufacturer: String,
    /// Entries of the owner's voucher.
    pub entries: u32,
    /// Where the device is sent, in the order in which it tries.
    pub addresses: Vec<String>,
    pub registered: u64,
    pub renewed: u64,
    pub expires: u64,
    /// Whether the device has asked here and shown that it holds its key; written down about once a minute.
    pub proven: bool,
}

impl From<Registration> for RegistrationView {
    fn from(row: Registration) -> Self {
        let blob =
            Sign1::from_bytes(&row.to1d).and_then(|to1d| cbor::decode::<To1dBlob>(to1d.unverified_payload()));
        Self {
            guid: row.guid.to_string(),
            device: hex::encode(row.device),
            owner: hex::encode(row.owner),
            manufacturer: hex::encode(row.manufacturer),
            entries: row.entries,
            addresses: blob.map(|blob| blob.rv_to2_addr.urls()).unwrap_or_default(),
            registered: row.registered,
            renewed: row.renewed,
            expires: row.expires,
            proven: row.proven,
        }
    }
}

pub async fn list(
    _: Require<Read>,
    registrations: web::Data<Registrations>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<RegistrationView>>, Problem> {
    let limit = query.limit()?;
    let after = query.after::<(String, String)>()?.map(|key| position(&key)).transpose()?;
    let rows = registrations.list(after, limit + 1).await?;
    let page = Page::from_rows(rows, limit, |last| (last.guid.to_string(), hex::encode(last.device)));
    Ok(web::Json(page.map(RegistrationView::from)))
}

/// All registrations of one GUID; more than one only where somebody forged a voucher with it.
pub async fn get(
    _: Require<Read>,
    registrations: web::Data<Registrations>,
    guid: web::Path<String>,
) -> Result<web::Json<Vec<RegistrationView>>, Problem> {
    let guid = parse(&guid)?;
    let rows = registrations.list_of(&guid).await?;
    if rows.is_empty() {
        return Err(unknown(&guid));
    }
    Ok(web::Json(rows.into_iter().map(RegistrationView::from).collect()))
}

pub async fn delete(
    who: Require<Write>,
    registrations: web::Data<Registrations>,
    clock: web::Data<Clock>,
    guid: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let guid = parse(&guid)?;
    let registrations = registrations.into_inner();
    let (this, actor, now) = (registrations.clone(), who.id.clone(), clock.now());
    registrations.change(guid, async move { remove(&this, &guid, &actor, now).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn remove(registrations: &Registrations, guid: &Guid, actor: &str, now: u64) -> Result<(), Problem> {
    let transaction = database::begin(&registrations.db).await?;
    let removed = registrations.delete(&transaction, guid).await?;
    if removed == 0 {
        return Err(unknown(guid));
    }
    let (subject, detail) = (guid.to_string(), format!("{removed} removed"));
    let event = Event {
        actor,
        action: "registration.delete",
        subject: &subject,
        outcome: Outcome::Success,
        detail: &detail,
    };
    audit::record(&transaction, now, event).await?;
    Ok(transaction.commit().await?)
}

fn position((guid, device): &(String, String)) -> Result<(Guid, [u8; 32]), Problem> {
    let wrong = || Problem::bad_request("cursor", "`cursor` must be the `next` of an earlier page.");
    let mut bytes = [0; 32];
    hex::decode_to_slice(device, &mut bytes).map_err(|_| wrong())?;
    Ok((guid.parse().map_err(|_| wrong())?, bytes))
}

fn parse(guid: &str) -> Result<Guid, Problem> {
    guid.parse()
        .map_err(|_| Problem::bad_request("guid", "A GUID is 32 hexadecimal digits, with or without hyphens."))
}

fn unknown(guid: &Guid) -> Problem {
    Problem::not_found("registration-unknown", format!("Nothing is registered for {guid}."))
}
