//! Messages on their way to targets: written with the alert, sent until they arrive, each under an id that stays the same.

mod email;
mod store;
mod webhook;

use std::collections::BTreeMap;
use std::time::Duration;

use fdo_service::database::{self, ConnectionTrait, DbErr};
use fdo_service::queue;
use futures_util::stream::{self, StreamExt};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::targets::{self, Address, Target};
use super::{Alert, Error, Kind, Severity};
use crate::alerts::routes::AlertView;
use crate::app::App;

pub use store::{queued, sweep};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

/// For so long whoever took a message works on it; then another one may.
const WORKING_SECONDS: u64 = 120;
const BATCH: u64 = 100;
/// Targets that are spoken to at a time.
const PARALLEL: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(15);
/// The first pause after a failure; it doubles up to an hour.
const FIRST_PAUSE: u64 = 5;
const LONGEST_PAUSE: u64 = 3_600;
/// A message that did not arrive in three days is given up.
const GIVE_UP_SECONDS: u64 = 3 * 86_400;
/// Sent messages are kept for so long.
pub const KEEP_SECONDS: u64 = 30 * 86_400;

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    Opened,
    /// It lasts, and nobody has answered.
    Reminder,
    Closed,
    /// An operator tries the target.
    Test,
}

impl Event {
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reminder => "reminder",
            Self::Closed => "closed",
            Self::Test => "test",
        }
    }
}

/// What a target is sent: the body of a webhook, and what a mail is written from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The same each time that this message is sent: who has seen it may leave it.
    pub id: String,
    pub event: Event,
    pub created: u64,
    pub alert: AlertView,
}

/// A message in the queue.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub id: String,
    pub target_id: String,
    pub body: String,
    pub attempts: u32,
    pub created: u64,
}

/// An id that later ones sort behind.
pub(super) fn new_id(app: &App, now: u64) -> String {
    let mut random = [0; 10];
    app.random.rng().fill_bytes(&mut random);
    uuid::Builder::from_unix_timestamp_millis(now.saturating_mul(1_000), &random).into_uuid().to_string()
}

/// Writes a message for each target that wants it, in the transaction that changed the alert.
pub(super) async fn enqueue(
    app: &App,
    conn: &impl ConnectionTrait,
    targets: &[Target],
    alert: &Alert,
    event: Event,
    now: u64,
) -> Result<(), DbErr> {
    for target in targets.iter().filter(|target| alert.severity >= target.least_severity) {
        let id = new_id(app, now);
        let view = AlertView::new(alert.clone(), now);
        let message = Message { id: id.clone(), event, created: now, alert: view };
        let body = serde_json::to_string(&message).map_err(|error| DbErr::Json(error.to_string()))?;
        store::insert(conn, &id, &alert.id, &target.id, event, &body, now).await?;
    }
    Ok(())
}

/// Sends what is due. Several replicas may do this at once.
pub async fn run_due(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let due = store::take_due(&transaction, now, now + WORKING_SECONDS, BATCH).await?;
    transaction.commit().await?;
    let mut by_target: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    for delivery in due {
        by_target.entry(delivery.target_id.clone()).or_default().push(delivery);
    }
    let each = stream::iter(by_target).map(|(target, due)| async move { to_target(app, &target, due).await });
    let mut each = each.buffer_unordered(PARALLEL);
    while let Some(done) = each.next().await {
        done?;
    }
    Ok(())
}

/// One target's messages in their order. After one that fails the rest waits too.
async fn to_target(app: &App, id: &str, due: Vec<Delivery>) -> Result<(), Error> {
    let target = targets::find(&app.db, id).await?;
    let mut failed: Option<String> = None;
    for delivery in due {
        let outcome = match (&target, &failed) {
            (None, _) => Err("the target was removed".to_owned()),
            (Some(target), _) if !target.enabled => Err("the target is switched off".to_owned()),
            (_, Some(reason)) => Err(reason.clone()),
            (Some(target), None) => send(app, target, &delivery.body).await,
        };
        let now = app.clock.now();
        match outcome {
            Ok(()) => {
                store::sent(&app.db, &delivery.id, now).await?;
                targets::note(&app.db, id, now, None).await?;
                app.metrics.count("firstlight_alert_messages_sent_total");
            }
            Err(reason) => {
                let pause = queue::doubled(FIRST_PAUSE, delivery.attempts, LONGEST_PAUSE);
                let next = now + queue::jittered(pause, &mut app.random.rng());
                let next = (now < delivery.created + GIVE_UP_SECONDS).then_some(next);
                if next.is_none() {
                    tracing::error!(
                        target_id = id,
                        message = delivery.id,
                        reason,
                        "a message about an alert is given up"
                    );
                    app.metrics.count("firstlight_alert_messages_given_up_total");
                }
                app.metrics.count("firstlight_alert_messages_failed_total");
                store::failed(&app.db, &delivery.id, next, &reason).await?;
                targets::note(&app.db, id, now, Some(&reason)).await?;
                failed = Some(reason);
            }
        }
    }
    Ok(())
}

/// Sends a message that is about nothing, and waits for the answer.
pub async fn test(app: &App, target: &Target) -> Result<(), Error> {
    let now = app.clock.now();
    let id = new_id(app, now);
    let alert = Alert {
        id: "test".to_owned(),
        kind: Kind::CertificateExpires,
        subject: "test".to_owned(),
        threshold: 30,
        severity: Severity::Info,
        title: "this is a test: alerts of this owner arrive here".to_owned(),
        detail: json!({}),
        device_id: None,
        device_serial: None,
        count: 0,
        opened: now,
        last: now,
        closed: None,
        acknowledged: None,
        acknowledged_by: None,
        silenced_until: None,
        told: None,
    };
    let message = Message { id, event: Event::Test, created: now, alert: AlertView::new(alert, now) };
    let body = serde_json::to_string(&message).map_err(|error| DbErr::Json(error.to_string()))?;
    let outcome = send(app, target, &body).await;
    let failed = outcome.as_ref().err().map(String::as_str);
    targets::note(&app.db, &target.id, app.clock.now(), failed).await?;
    outcome.map_err(Error::Unsent)
}

/// The reason of a failure is shown to operators: no secret stands in it.
async fn send(app: &App, target: &Target, body: &str) -> Result<(), String> {
    let secret = targets::open(app, target).map_err(|error| error.to_string())?;
    let sending = async {
        match &target.address {
            Address::Webhook { url } => {
                webhook::send(&app.guard, url, secret.clone(), body, app.clock.now()).await
            }
            Address::Email { .. } => {
                let message = serde_json::from_str::<Message>(body).map_err(|error| error.to_string())?;
                email::send(&app.guard, &target.address, secret.as_deref().map(Vec::as_slice), &message).await
            }
        }
    };
    let sent = tokio::time::timeout(TIMEOUT, sending).await;
    sent.unwrap_or_else(|_| Err(format!("no answer in {} seconds", TIMEOUT.as_secs())))
        .map_err(|reason| reason.chars().take(300).collect())
}
