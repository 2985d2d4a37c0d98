//! `/api/v1/partners` of the operators' listener.

use actix_web::{HttpResponse, web};
use base64ct::{Base64, Encoding};
use fdo_pki::Certificate;
use fdo_protocol::crypto::VerifyingKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{NewPartner, Partner, PartnerError, Partners, fingerprint, store};
use crate::operators::require::{Admin, Read, Require};
use crate::paging::{Page, PageQuery};
use crate::problem::Problem;
use crate::transfer::client::CallError;
use crate::transfer::did::DidError;

/// Adds the routes.
pub fn configure(cfg: &mut web::ServiceConfig, partners: &Partners) {
    let one = |path: &str| web::resource(format!("/api/v1/partners/{{name}}{path}"));
    cfg.app_data(web::Data::new(partners.clone()))
        .service(web::resource("/api/v1/partners").route(web::get().to(list)).route(web::post().to(add)))
        .service(one("").route(web::get().to(get)).route(web::delete().to(remove)))
        .service(one("/refresh").route(web::post().to(refresh)))
        .service(one("/suspend").route(web::post().to(suspend)))
        .service(one("/activate").route(web::post().to(activate)))
        .service(one("/token").route(web::post().to(token)).route(web::delete().to(revoke)));
}

/// A partner as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartnerView {
    pub id: String,
    pub name: String,
    pub did: Option<String>,
    /// SHA-256 of the TLS key that its service must show.
    pub tls_fingerprint: Option<String>,
    pub push_root: Option<String>,
    pub pull_root: Option<String>,
    /// Whether our pushes present a token of its operator.
    pub with_token: bool,
    pub suspended: bool,
    pub created: u64,
    pub pull_at: Option<u64>,
    pub pulled: Option<u64>,
    pub pull_error: Option<String>,
    /// The fingerprints of its keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

impl From<Partner> for PartnerView {
    fn from(partner: Partner) -> Self {
        Self {
            id: partner.id,
            name: partner.name,
            did: partner.did,
            tls_fingerprint: partner.tls_pin.map(hex::encode),
            push_root: partner.push_root,
            pull_root: partner.pull_root,
            with_token: partner.token.is_some(),
            suspended: partner.suspended,
            created: partner.created,
            pull_at: partner.pull_at,
            pulled: partner.pulled,
            pull_error: partner.pull_error,
            keys: Vec::new(),
        }
    }
}

/// A partner to add.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewPartnerBody {
    pub name: String,
    pub did: Option<String>,
    pub fingerprint: Option<String>,
    pub push_root: Option<String>,
    pub pull_root: Option<String>,
    /// Public keys or certificates in PEM.
    pub keys: Vec<String>,
    /// What its operator made for our pushes. Never shown again.
    pub token: Option<String>,
}

/// How to read a DID document again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshBody {
    /// Take other keys than before.
    pub accept: bool,
}

/// How long a token is good.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenBody {
    pub expires: Option<u64>,
}

/// A new token, shown this once.
#[derive(Serialize, Deserialize)]
pub struct TokenView {
    pub partner: String,
    pub token: String,
}

/// A fingerprint as people type it: upper case, colons and spaces are fine.
pub fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ' | '\t' | '\n' | '\r')).collect();
    let mut pin = [0_u8; 32];
    hex::decode_to_slice(digits, &mut pin).ok().map(|()| pin)
}

/// A key out of PEM: a public key or a certificate.
pub fn parse_key(pem: &str) -> Result<VerifyingKey, Problem> {
    let wrong = |reason: String| Problem::unprocessable("key", format!("This is no public key in PEM: {reason}."));
    if pem.contains("PRIVATE KEY") {
        return Err(wrong("it is a private key; keep that for yourself".to_owned()));
    }
    if pem.contains("BEGIN CERTIFICATE") {
        let ders = fdo_pki::pem::decode_certificates(pem).map_err(|error| wrong(error.to_string()))?;
        let first = ders.first().ok_or_else(|| wrong("it is empty".to_owned()))?;
        let certificate = Certificate::parse(first).map_err(|error| wrong(error.to_string()))?;
        return certificate.public_key().map_err(|error| wrong(error.to_string()));
    }
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = Base64::decode_vec(&base64).map_err(|error| wrong(error.to_string()))?;
    VerifyingKey::from_spki_der(&der).map_err(|error| wrong(error.to_string()))
}

async fn shown(partners: &Partners, partner: Partner) -> Result<PartnerView, Problem> {
    let keys = store::keys_of(&partners.db, &partner.id).await?;
    Ok(PartnerView { keys: keys.iter().map(fingerprint).collect(), ..partner.into() })
}

async fn list(
    _: Require<Read>,
    partners: web::Data<Partners>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<Page<PartnerView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&partners.db, page.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.name.clone()).map(PartnerView::from)))
}

async fn get(
    _: Require<Read>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
) -> Result<web::Json<PartnerView>, Problem> {
    let partner = store::get(&partners.db, &name).await?;
    Ok(web::Json(shown(&partners, partner).await?))
}

async fn add(
    who: Require<Admin>,
    partners: web::Data<Partners>,
    body: web::Json<NewPartnerBody>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let wrong = || Problem::unprocessable("fingerprint", "A fingerprint has 64 hexadecimal digits.");
    let pin = body.fingerprint.as_deref().map(|text| parse_fingerprint(text).ok_or_else(wrong)).transpose()?;
    let new = NewPartner {
        name: body.name,
        did: body.did,
        tls_pin: pin,
        push_root: body.push_root,
        pull_root: body.pull_root,
        keys: body.keys.iter().map(|pem| parse_key(pem)).collect::<Result<_, _>>()?,
        token: body.token.map(Zeroizing::new),
    };
    let partner = partners.add(&who.id, new).await?;
    Ok(HttpResponse::Created().json(shown(&partners, partner).await?))
}

async fn refresh(
    who: Require<Admin>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
    body: web::Json<RefreshBody>,
) -> Result<web::Json<PartnerView>, Problem> {
    let partner = partners.refresh(&who.id, &name, body.accept).await?;
    Ok(web::Json(shown(&partners, partner).await?))
}

async fn suspend(
    who: Require<Admin>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
) -> Result<web::Json<PartnerView>, Problem> {
    Ok(web::Json(partners.set_suspended(&who.id, &name, true).await?.into()))
}

async fn activate(
    who: Require<Admin>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
) -> Result<web::Json<PartnerView>, Problem> {
    Ok(web::Json(partners.set_suspended(&who.id, &name, false).await?.into()))
}

async fn remove(
    who: Require<Admin>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    partners.remove(&who.id, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn token(
    who: Require<Admin>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
    body: web::Json<TokenBody>,
) -> Result<HttpResponse, Problem> {
    let token = partners.new_token(&who.id, &name, body.expires).await?;
    Ok(HttpResponse::Created().json(TokenView { partner: name.into_inner(), token: token.to_string() }))
}

async fn revoke(
    who: Require<Admin>,
    partners: web::Data<Partners>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    partners.revoke_tokens(&who.id, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<PartnerError> for Problem {
    fn from(error: PartnerError) -> Self {
        let detail = error.to_string();
        match error {
            PartnerError::Unknown(_) => Self::not_found("partner-unknown", detail),
            PartnerError::Exists(_) => Self::conflict("partner-exists", detail),
            PartnerError::KeyElsewhere(_) => Self::conflict("partner-key-elsewhere", detail),
            PartnerError::KeysChanged(_) => Self::conflict("partner-keys-changed", detail),
            PartnerError::Suspended(_) => Self::conflict("partner-suspended", detail),
            PartnerError::Name => Self::unprocessable("name", detail),
            PartnerError::Url(_) => Self::unprocessable("partner-url", detail),
            PartnerError::Nothing => Self::unprocessable("partner-nothing", detail),
            PartnerError::Lacks(..) => Self::unprocessable("partner-lacks", detail),
            PartnerError::Did(DidError::Call(error)) => call_problem(&error),
            PartnerError::Did(_) => Self::unprocessable("did", detail),
            PartnerError::Database(error) => error.into(),
        }
    }
}

/// A call to another organisation that failed, by whose fault it is.
pub fn call_problem(error: &CallError) -> Problem {
    let detail = error.to_string();
    match error {
        CallError::Url(_) => Problem::unprocessable("partner-url", detail),
        CallError::Outbound(_) => Problem::unprocessable("outbound-refused", detail),
        CallError::Identity(_) => Problem::new(502, "partner-identity", detail),
        CallError::Network { .. } => Problem::new(502, "partner-unreachable", detail),
        CallError::Refused { .. } => Problem::new(502, "partner-refuses", detail),
        CallError::Answer(_) | CallError::KeyAuth(_) => Problem::new(502, "partner-answer", detail),
        CallError::Settings(_) => Problem::internal(error),
    }
}
