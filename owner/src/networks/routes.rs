//! `/api/v1/networks`. No answer holds a password.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{Auth, Error, Network, Scope, store};
use crate::app::App;

/// A network as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkView {
    pub id: String,
    pub ssid: String,
    pub auth: Auth,
    pub trust_level: u8,
    pub enabled: bool,
    #[serde(flatten)]
    pub scope: Scope,
    pub has_password: bool,
    pub created: u64,
    pub updated: u64,
}

impl From<Network> for NetworkView {
    fn from(network: Network) -> Self {
        Self {
            id: network.id,
            ssid: network.ssid,
            auth: network.auth,
            trust_level: network.trust_level,
            enabled: network.enabled,
            scope: network.scope,
            has_password: network.has_password,
            created: network.created,
            updated: network.updated,
        }
    }
}

/// A password in a request; wiped when dropped, never shown.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A network to write. What is left out keeps its value, or takes the default in a new one.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkChange {
    /// Only in a new one.
    pub id: Option<String>,
    pub ssid: Option<String>,
    pub auth: Option<Auth>,
    pub password: Option<Password>,
    pub trust_level: Option<u8>,
    pub enabled: Option<bool>,
    /// `all`, `model` or `device`.
    pub scope: Option<String>,
    pub target: Option<String>,
}

impl NetworkChange {
    fn scope(&self, before: Scope) -> Result<Scope, Error> {
        let target = || self.target.clone().ok_or(Error::Field("target", "name the model or the device"));
        match self.scope.as_deref() {
            None => Ok(before),
            Some("all") => Ok(Scope::All),
            Some("model") => target().map(Scope::Model),
            Some("device") => target().map(Scope::Device),
            Some(_) => Err(Error::Field("scope", "use all, model or device")),
        }
    }
}

/// `GET /api/v1/networks`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    page: Query<PageQuery>,
) -> Result<Json<Page<NetworkView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&app.db, page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.id.clone()).map(NetworkView::from)))
}

/// `GET /api/v1/networks/{id}`
pub async fn get(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<Json<NetworkView>, Problem> {
    let found = store::find(&app.db, &id).await?.ok_or_else(|| Error::NotFound(id.into_inner()))?;
    Ok(Json(found.0.into()))
}

/// `POST /api/v1/networks`
pub async fn create(
    app: Data<App>,
    who: Require<Write>,
    new: Json<NetworkChange>,
) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let network = Network {
        id: new.id.clone().ok_or(Error::Field("id", "name the network"))?,
        ssid: new.ssid.clone().ok_or(Error::Field("ssid", "name the SSID"))?,
        auth: new.auth.unwrap_or(if new.password.is_some() { Auth::Wpa2Psk } else { Auth::Open }),
        trust_level: new.trust_level.unwrap_or(1),
        enabled: new.enabled.unwrap_or(true),
        scope: new.scope(Scope::All)?,
        has_password: new.password.is_some(),
        created: now,
        updated: now,
    };
    let password = new.password.as_ref().map(|password| password.0.as_bytes());
    super::check(&network, password)?;
    let sealed = password.map(|password| super::seal(&app.sealing, &network.id, password, &mut app.random.rng()));
    let transaction = database::begin(&app.db).await?;
    store::insert(&transaction, &network, sealed).await?;
    record(&transaction, &who.id, "network.create", &network.id, now).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Created().json(NetworkView::from(network)))
}

/// `PUT /api/v1/networks/{id}`
pub async fn update(
    app: Data<App>,
    who: Require<Write>,
    id: Path<String>,
    change: Json<NetworkChange>,
) -> Result<Json<NetworkView>, Problem> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let found = store::find(&transaction, &id).await?;
    let (before, sealed) = found.ok_or_else(|| Error::NotFound(id.into_inner()))?;
    if change.id.as_ref().is_some_and(|id| *id != before.id) {
        return Err(Error::Field("id", "a network keeps its id").into());
    }
    let auth = change.auth.unwrap_or(before.auth);
    let kept = sealed.filter(|_| auth != Auth::Open).map(|sealed| super::open(&app.sealing, &before.id, &sealed));
    let password = match &change.password {
        Some(password) => Some(Zeroizing::new(password.0.as_bytes().to_vec())),
        None => kept.transpose()?,
    };
    let network = Network {
        ssid: change.ssid.clone().unwrap_or(before.ssid),
        auth,
        trust_level: change.trust_level.unwrap_or(before.trust_level),
        enabled: change.enabled.unwrap_or(before.enabled),
        scope: change.scope(before.scope)?,
        has_password: password.is_some(),
        created: before.created,
        updated: now,
        id: before.id,
    };
    super::check(&network, password.as_ref().map(|password| password.as_slice()))?;
    let sealed = password.map(|password| super::seal(&app.sealing, &network.id, &password, &mut app.random.rng()));
    store::update(&transaction, &network, sealed).await?;
    record(&transaction, &who.id, "network.update", &network.id, now).await?;
    transaction.commit().await?;
    Ok(Json(network.into()))
}

/// `DELETE /api/v1/networks/{id}`
pub async fn delete(app: Data<App>, who: Require<Write>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let transaction = database::begin(&app.db).await?;
    store::delete(&transaction, &id).await?;
    record(&transaction, &who.id, "network.delete", &id, app.clock.now()).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn record(
    transaction: &fdo_service::database::DatabaseTransaction,
    actor: &str,
    action: &str,
    id: &str,
    now: u64,
) -> Result<(), fdo_service::database::DbErr> {
    let event = Event { actor, action, subject: id, outcome: Outcome::Success, detail: "" };
    audit::record(transaction, now, event).await
}
