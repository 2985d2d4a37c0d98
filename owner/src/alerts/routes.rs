//! `/api/v1/alerts`, `/api/v1/alert-targets` and `/api/v1/forecast`.

use actix_web::web::{self, Data, Json, Path, Query};
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Alert, Error, Filter, Kind, Severity, store, targets};
use crate::app::App;
use crate::inventory::{self, certificates};

const DAY: u64 = 86_400;
const YEAR: u64 = 366 * DAY;

/// Adds the URLs.
pub fn configure(cfg: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(format!("/api/v1/{path}"));
    cfg.service(resource("alerts").route(web::get().to(list)))
        .service(resource("alerts/{id}").route(web::get().to(get)))
        .service(resource("alerts/{id}/ack").route(web::post().to(acknowledge)))
        .service(resource("alerts/{id}/silence").route(web::post().to(silence)))
        .service(resource("forecast").route(web::get().to(forecast)));
    let all = resource("alert-targets").route(web::get().to(targets::routes::list));
    let one = resource("alert-targets/{id}").route(web::get().to(targets::routes::get));
    cfg.service(all.route(web::post().to(targets::routes::add)))
        .service(one.route(web::put().to(targets::routes::set)).route(web::delete().to(targets::routes::remove)))
        .service(resource("alert-targets/{id}/test").route(web::post().to(targets::routes::test)));
}

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Open,
    /// Somebody knows.
    Acknowledged,
    /// Nobody is told for now.
    Silenced,
    Closed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Silenced => "silenced",
            Self::Closed => "closed",
        }
    }
}

/// An alert as operators and targets see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlertView {
    pub id: String,
    pub kind: Kind,
    pub subject: String,
    pub threshold: u64,
    pub severity: Severity,
    pub state: State,
    pub title: String,
    pub detail: serde_json::Value,
    pub device_id: Option<String>,
    pub device_serial: Option<String>,
    pub count: u64,
    pub opened: u64,
    pub last: u64,
    pub closed: Option<u64>,
    pub acknowledged: Option<u64>,
    pub acknowledged_by: Option<String>,
    pub silenced_until: Option<u64>,
}

impl AlertView {
    pub fn new(alert: Alert, now: u64) -> Self {
        let state = match &alert {
            Alert { closed: Some(_), .. } => State::Closed,
            Alert { silenced_until: Some(until), .. } if *until > now => State::Silenced,
            Alert { acknowledged: Some(_), .. } => State::Acknowledged,
            _ => State::Open,
        };
        Self {
            state,
            id: alert.id,
            kind: alert.kind,
            subject: alert.subject,
            threshold: alert.threshold,
            severity: alert.severity,
            title: alert.title,
            detail: alert.detail,
            device_id: alert.device_id,
            device_serial: alert.device_serial,
            count: alert.count,
            opened: alert.opened,
            last: alert.last,
            closed: alert.closed,
            acknowledged: alert.acknowledged,
            acknowledged_by: alert.acknowledged_by,
            silenced_until: alert.silenced_until,
        }
    }
}

/// Which of them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    #[default]
    Open,
    Closed,
    All,
}

/// Which alerts.
#[derive(Debug, Deserialize)]
pub struct AlertQuery {
    #[serde(default)]
    pub state: Which,
    pub kind: Option<Kind>,
    pub severity: Option<Severity>,
    /// A fingerprint, a device's id, a probe's id.
    pub subject: Option<String>,
    /// A device's serial or GUID.
    pub device: Option<String>,
}

/// `GET /api/v1/alerts`: the newest first.
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    query: Query<AlertQuery>,
    page: Query<PageQuery>,
) -> Result<Json<Page<AlertView>>, Problem> {
    let (limit, now, query) = (page.limit()?, app.clock.now(), query.into_inner());
    let device_id = match &query.device {
        Some(name) => Some(inventory::find_by_name(&app.db, name).await?.id),
        None => None,
    };
    let open = match query.state {
        Which::Open => Some(true),
        Which::Closed => Some(false),
        Which::All => None,
    };
    let filter = Filter { open, kind: query.kind, severity: query.severity, subject: query.subject, device_id };
    let rows = store::list(&app.db, &filter, page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.id.clone()).map(|alert| AlertView::new(alert, now))))
}

/// `GET /api/v1/alerts/{id}`
pub async fn get(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<Json<AlertView>, Problem> {
    view(&app, &id).await
}

async fn view(app: &App, id: &str) -> Result<Json<AlertView>, Problem> {
    let alert = store::find(&app.db, id).await?.ok_or_else(|| Error::NotFound(id.to_owned()))?;
    Ok(Json(AlertView::new(alert, app.clock.now())))
}

/// `POST /api/v1/alerts/{id}/ack`: somebody knows, and reminders end.
pub async fn acknowledge(
    app: Data<App>,
    who: Require<Write>,
    id: Path<String>,
) -> Result<Json<AlertView>, Problem> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    if !store::acknowledge(&transaction, &id, &who.id, now).await? {
        return Err(missing(&app, transaction, &id).await);
    }
    let event = Event { actor: &who.id, action: "alert.ack", subject: &id, outcome: Outcome::Success, detail: "" };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    view(&app, &id).await
}

/// For how long nobody is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Unix seconds; null ends the silence.
    pub until: Option<u64>,
}

/// `POST /api/v1/alerts/{id}/silence`
pub async fn silence(
    app: Data<App>,
    who: Require<Write>,
    id: Path<String>,
    wanted: Json<Silence>,
) -> Result<Json<AlertView>, Problem> {
    let now = app.clock.now();
    if wanted.until.is_some_and(|until| until <= now || until > now + YEAR) {
        return Err(Error::Until.into());
    }
    let transaction = database::begin(&app.db).await?;
    if !store::silence(&transaction, &id, wanted.until).await? {
        return Err(missing(&app, transaction, &id).await);
    }
    let detail = wanted.until.map_or_else(|| "no longer".to_owned(), |until| format!("until {until}"));
    let event = Event {
        actor: &who.id,
        action: "alert.silence",
        subject: &id,
        outcome: Outcome::Success,
        detail: &detail,
    };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    view(&app, &id).await
}

/// Why an open alert was not found.
async fn missing(app: &App, transaction: database::DatabaseTransaction, id: &str) -> Problem {
    drop(transaction);
    match store::find(&app.db, id).await {
        Ok(Some(_)) => Error::Closed(id.to_owned()).into(),
        Ok(None) => Error::NotFound(id.to_owned()).into(),
        Err(error) => error.into(),
    }
}

/// For how many days.
#[derive(Debug, Deserialize)]
pub struct ForecastQuery {
    pub days: Option<u64>,
}

/// How many certificates end on each coming day, the first day being today (UTC).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forecast {
    pub days: Vec<Day>,
    /// In use, and expired already.
    pub expired: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Day {
    /// Its first second.
    pub start: u64,
    pub certificates: u64,
}

/// `GET /api/v1/forecast?days=90`
pub async fn forecast(
    app: Data<App>,
    _: Require<Read>,
    query: Query<ForecastQuery>,
) -> Result<Json<Forecast>, Problem> {
    let days = query.days.unwrap_or(90);
    if !(1..=366).contains(&days) {
        return Err(Error::Days.into());
    }
    let now = app.clock.now();
    let start = now - now % DAY;
    let counted = certificates::forecast(&app.db, start, days).await?;
    let mut each: Vec<Day> = (0..days).map(|day| Day { start: start + day * DAY, certificates: 0 }).collect();
    for (day, certificates) in counted {
        if let Some(slot) = usize::try_from(day).ok().and_then(|day| each.get_mut(day)) {
            slot.certificates = certificates;
        }
    }
    let expired = certificates::alive_between(&app.db, 0, now, None).await?;
    Ok(Json(Forecast { days: each, expired }))
}
