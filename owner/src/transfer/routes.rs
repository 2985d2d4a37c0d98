//! The transfer listener for other organisations: push root, pull root, DID document.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::{self, Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use fdo_protocol::Guid;
use fdo_service::transfer::did::WELL_KNOWN;
use fdo_service::transfer::listing::ListQuery;
use fdo_service::transfer::partners::{self, Partner};
use fdo_service::transfer::push::{PushAnswer, Pushed};
use fdo_service::transfer::refusal::Refusal;
use fdo_service::transfer::{
    CHECKSUM_HEADER, PULL_ROOT, PUSH_ROOT, VERSION, VERSION_HEADER, VOUCHER, body, checksum, timestamp, voucher_id,
};
use rand_core::Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::receive::{self, ReceiveError};
use super::{Receipt, hold, store};
use crate::app::App;
use crate::resale::{self, Resale, State};
use crate::vouchers::{self, Imported};

const LIST_DEFAULT: u64 = 50;
const LIST_MOST: u64 = 200;

/// The transfer listener; it serves nothing for devices and nothing for operators.
pub fn configure(cfg: &mut web::ServiceConfig, app: &Arc<App>) {
    cfg.app_data(Data::from(app.clone())).route(WELL_KNOWN, web::get().to(did));
    cfg.service(
        web::scope(PUSH_ROOT)
            .route("/auth/hello", web::post().to(hello))
            .route("/auth/prove", web::post().to(prove))
            .route("/status/{id}", web::get().to(status))
            .route("/list", web::get().to(list_received))
            .route("/assign", web::post().to(not_offered))
            .service(web::resource("").route(web::post().to(receive)).default_service(web::to(wrong_method))),
    );
    cfg.service(
        web::scope(PULL_ROOT)
            .route("/auth/hello", web::post().to(hello))
            .route("/auth/prove", web::post().to(prove))
            .route("/status/{id}", web::get().to(status))
            .route("/{id}/download", web::get().to(download))
            .route("", web::get().to(list_sold)),
    );
    cfg.default_service(web::to(nothing));
}

/// Who asks: a partner, a proven key, or both.
struct Peer {
    partner: Option<Partner>,
    /// The fingerprint of the proven key; none with a static token.
    key: Option<String>,
}

impl Peer {
    async fn of(app: &App, request: &HttpRequest) -> Result<Self, Refusal> {
        let token = body::bearer(request).ok_or_else(Refusal::unauthenticated)?;
        let by_token = app.partners.by_token(&token).await.map_err(|error| Refusal::fault(&error))?;
        if by_token.is_some() {
            return Self { partner: by_token, key: None }.active();
        }
        let bearer = app.key_auth.authenticate(Some(&token)).await?;
        let partner = match &bearer.party {
            Some(id) => partners::find(&app.db, id).await.map_err(|error| Refusal::fault(&error))?,
            None => None,
        };
        Self { partner, key: Some(bearer.fingerprint) }.active()
    }

    fn active(self) -> Result<Self, Refusal> {
        if self.partner.as_ref().is_some_and(|partner| partner.suspended) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "suspended", "this partner is suspended here"));
        }
        Ok(self)
    }

    /// The key that vouchers were extended to; a static token is for pushes only.
    fn key(&self) -> Result<&str, Refusal> {
        let message = "this token is for pushes; prove the owner key with KeyAuth";
        self.key.as_deref().ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "push_only", message))
    }

    fn partner(&self) -> Result<&Partner, Refusal> {
        let message = "this key is no partner's; ask the operator to add it";
        self.partner.as_ref().ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "key_not_enrolled", message))
    }
}

fn respond(app: &App, result: Result<HttpResponse, Refusal>) -> HttpResponse {
    result.unwrap_or_else(|refusal| {
        let mut id = [0_u8; 16];
        app.random.rng().fill_bytes(&mut id);
        refusal.respond(&hex::encode(id), app.clock.now())
    })
}

fn ok() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((VERSION_HEADER, VERSION));
    response
}

async fn did(app: Data<App>) -> HttpResponse {
    ok().json(super::document(&app).to_json())
}

async fn hello(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let answer = async {
        body::cbor_only(&request)?;
        let hello = body::read(payload, body::KEY_AUTH_LIMIT).await?;
        let identity = super::identity(&app).map_err(|error| Refusal::fault(&error))?;
        let challenge = app.key_auth.hello(&hello, body::source(&request), identity).await?;
        Ok(ok().content_type(body::CBOR).body(challenge))
    };
    respond(&app, answer.await)
}

async fn prove(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let answer = async {
        body::cbor_only(&request)?;
        let proof = body::read(payload, body::KEY_AUTH_LIMIT).await?;
        let proven = app.key_auth.prove(&proof, body::source(&request)).await?;
        let partner = partners::find_by_key(&app.db, &hex::encode(proven.fingerprint)).await;
        let partner = partner.map_err(|error| Refusal::fault(&error))?;
        let peer = Peer { partner, key: None }.active()?;
        let result = app.key_auth.issue(proven, peer.partner.map(|partner| partner.id)).await?;
        Ok(ok().content_type(body::CBOR).body(result))
    };
    respond(&app, answer.await)
}

/// One pushed voucher.
async fn receive(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let answer = async {
        let peer = Peer::of(&app, &request).await?;
        let partner = peer.partner()?;
        // Each may hold 10 MiB.
        let _room = app.pushes.try_acquire().map_err(|_| {
            let message = "many vouchers arrive at once; push again in a minute";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
        })?;
        let pushed = Pushed::read(&request, payload).await?;
        let (guid, imported) = receive::receive(&app, partner, &pushed).await?;
        let message = match imported {
            Imported::New => "the voucher is imported",
            Imported::Same => "the voucher was here already",
            Imported::Extended => "the longer chain took the place of the earlier one",
        };
        Ok(ok().json(PushAnswer {
            status: "accepted".to_owned(),
            voucher_id: voucher_id(&guid),
            message: message.to_owned(),
            timestamp: timestamp(app.clock.now()),
        }))
    };
    respond(&app, answer.await)
}

impl From<ReceiveError> for Refusal {
    fn from(error: ReceiveError) -> Self {
        use vouchers::Error as V;
        let (status, code) = match &error {
            ReceiveError::OtherGuid(_) => (StatusCode::BAD_REQUEST, "guid_mismatch"),
            ReceiveError::OtherSerial(_) => (StatusCode::BAD_REQUEST, "serial_mismatch"),
            ReceiveError::Voucher(V::Invalid(_) | V::Certificates(_)) => {
                (StatusCode::BAD_REQUEST, "voucher_invalid")
            }
            ReceiveError::Voucher(V::NotOurs(_) | V::NoEntries) => (StatusCode::FORBIDDEN, "not_our_key"),
            ReceiveError::Voucher(V::Untrusted(_) | V::OtherMaker(_)) => {
                (StatusCode::FORBIDDEN, "untrusted_manufacturer")
            }
            ReceiveError::Voucher(V::Fork(_)) => (StatusCode::CONFLICT, "fork"),
            ReceiveError::Voucher(V::SoldOn(_) | V::SaleOpen(_)) => (StatusCode::CONFLICT, "sold_on"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        // Which keys are here, and how an operator would mend it, is not for a partner.
        match code {
            "untrusted_manufacturer" => Self::new(status, code, "this device's manufacturer is not trusted here"),
            "not_our_key" => Self::new(status, code, "the voucher is not extended to a key of this owner"),
            "fork" => Self::new(status, code, "this voucher is here with a different chain of owners"),
            "sold_on" => Self::new(status, code, "this device was sold on from here"),
            _ => Self::of(status, code, &error),
        }
    }
}

async fn list_sold(app: Data<App>, request: HttpRequest, query: Query<ListQuery>) -> HttpResponse {
    let answer = async {
        let peer = Peer::of(&app, &request).await?;
        let (key, now) = (peer.key()?, app.clock.now());
        let wanted = app.continuations.wanted(&query, key, now)?;
        let rows = hold::list(&app, key, &wanted).await.map_err(|error| Refusal::fault(&error))?;
        Ok(ok().json(app.continuations.page(rows, &wanted, query.fields.as_deref(), key, now)))
    };
    respond(&app, answer.await)
}

async fn download(app: Data<App>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let answer = async {
        let peer = Peer::of(&app, &request).await?;
        let key = peer.key()?;
        let wrong = |_| Refusal::bad_request("a voucher id has 32 hexadecimal digits");
        let guid: Guid = id.parse().map_err(wrong)?;
        let sale = match hold::download(&app, key, &guid).await {
            Err(error @ resale::Error::Registering(_)) => {
                Err(Refusal::of(StatusCode::SERVICE_UNAVAILABLE, "busy", &error))
            }
            other => other.map_err(|error| Refusal::fault(&error)),
        }?;
        let sale = sale.ok_or_else(Refusal::not_found)?;
        let name = format!("attachment; filename=\"{}.fdoov\"", voucher_id(&guid));
        Ok(ok()
            .content_type(VOUCHER)
            .insert_header((CHECKSUM_HEADER, checksum(&sale.bytes)))
            .insert_header((CONTENT_DISPOSITION, name))
            .body(sale.bytes))
    };
    respond(&app, answer.await)
}

async fn status(app: Data<App>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let answer = async {
        let peer = Peer::of(&app, &request).await?;
        let guid = id.parse::<Guid>().ok();
        let fault = |error| Refusal::fault(&error);
        if let Some(partner) = &peer.partner
            && let Some(receipt) = store::find(&app.db, &partner.id, guid, &id).await.map_err(fault)?
        {
            return Ok(ok().json(received(&receipt)));
        }
        let sale = match (&peer.key, guid) {
            (Some(key), Some(guid)) => hold::find(&app, key, &guid).await.map_err(fault)?,
            _ => None,
        };
        // No access and unknown look the same.
        sale.map(|sale| ok().json(sold(&sale))).ok_or_else(Refusal::not_found)
    };
    respond(&app, answer.await)
}

fn received(receipt: &Receipt) -> Value {
    json!({
        "voucher_id": voucher_id(&receipt.guid),
        "serial": receipt.serial.as_deref().unwrap_or_default(),
        "model": receipt.model,
        "manufacturer": receipt.manufacturer,
        "status": "completed",
        "checksum": format!("sha256:{}", receipt.sha256),
        "size_bytes": receipt.size,
        "created_at": timestamp(receipt.received),
        "processed_at": timestamp(receipt.received),
    })
}

fn sold(sale: &Resale) -> Value {
    json!({
        "voucher_id": voucher_id(&sale.guid),
        "serial": sale.serial.as_deref().unwrap_or_default(),
        "status": if sale.state == State::Sold { "assigned" } else { "downloaded" },
        "checksum": checksum(&sale.bytes),
        "size_bytes": sale.bytes.len(),
        "owner_key_fingerprint": sale.next_key,
        "created_at": timestamp(sale.sold),
        "delivered_at": sale.handed_over.map(timestamp),
    })
}

#[derive(Deserialize)]
struct ReceivedQuery {
    limit: Option<u64>,
}

async fn list_received(app: Data<App>, request: HttpRequest, query: Query<ReceivedQuery>) -> HttpResponse {
    let answer = async {
        let peer = Peer::of(&app, &request).await?;
        let partner = peer.partner()?;
        let limit = query.limit.unwrap_or(LIST_DEFAULT).clamp(1, LIST_MOST);
        let rows = store::list(&app.db, &partner.id, limit + 1).await;
        let mut rows = rows.map_err(|error| Refusal::fault(&error))?;
        let has_more = rows.len() as u64 > limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let vouchers: Vec<Value> = rows.iter().map(received).collect();
        Ok(ok().json(json!({ "vouchers": vouchers, "has_more": has_more })))
    };
    respond(&app, answer.await)
}

async fn not_offered(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let answer = async {
        Peer::of(&app, &request).await?;
        let message = "assigning is not offered here; the owner sells by its own operators";
        Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", message))
    };
    respond(&app, answer.await)
}

async fn wrong_method(app: Data<App>) -> HttpResponse {
    let message = "vouchers are pushed by POST";
    respond(&app, Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)))
}

async fn nothing(app: Data<App>) -> HttpResponse {
    respond(&app, Err(Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")))
}
