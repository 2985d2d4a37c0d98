//! The webhook that has the last word: asked with a device's facts, it says yes or no within its time, or nobody gets in.

use fdo_service::webhook::Webhook;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::rule::Facts;
use super::{Decision, Deed, Error};
use crate::app::App;
use crate::inventory::DeviceState;

#[derive(Serialize)]
struct Question<'a> {
    /// Another one for each question.
    id: String,
    deed: Deed,
    time: u64,
    device: DeviceFacts<'a>,
}

#[derive(Serialize)]
struct DeviceFacts<'a> {
    id: &'a str,
    guid: String,
    serial: Option<&'a str>,
    model: Option<&'a str>,
    device_info: &'a str,
    maker_key: Option<&'a str>,
    groups: &'a [String],
    state: DeviceState,
}

#[derive(Deserialize)]
struct Said {
    allow: bool,
    #[serde(default)]
    reason: String,
}

pub(super) async fn ask(
    app: &App,
    webhook: &Webhook,
    at_once: &Semaphore,
    facts: &Facts<'_>,
) -> Result<Decision, Error> {
    let unanswered = |reason: String| Error::Unanswered(reason);
    let waited = tokio::time::timeout(webhook.patience, at_once.acquire()).await;
    let Ok(Ok(_turn)) = waited else { return Err(unanswered("too many questions are open".to_owned())) };
    let (now, device) = (app.clock.now(), facts.device);
    let mut id = [0; 16];
    app.random.rng().fill_bytes(&mut id);
    let question = Question {
        id: hex::encode(id),
        deed: facts.deed,
        time: now,
        device: DeviceFacts {
            id: &device.id,
            guid: device.guid.to_string(),
            serial: device.serial.as_deref(),
            model: device.model.as_deref(),
            device_info: &device.device_info,
            maker_key: facts.maker_key,
            groups: facts.groups,
            state: device.state,
        },
    };
    let body = serde_json::to_vec(&question).map_err(|error| unanswered(error.to_string()))?;
    let answer = webhook.post(&app.guard, body, now).await.map_err(|error| unanswered(error.to_string()))?;
    if answer.status != 200 {
        return Err(unanswered(format!("the webhook answers with status {}", answer.status)));
    }
    let said: Said = serde_json::from_slice(&answer.body)
        .map_err(|_| unanswered("the webhook's answer is not {\"allow\": true or false}".to_owned()))?;
    let reason: String = said.reason.chars().filter(|c| !c.is_control()).take(200).collect();
    let by = if reason.is_empty() { "webhook".to_owned() } else { format!("webhook: {reason}") };
    Ok(Decision { admitted: said.allow, by })
}
