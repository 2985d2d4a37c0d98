//! Who is told of alerts: webhooks and mail boxes. Their secrets are sealed and never come out again.

pub mod routes;
mod store;

use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use lettre::message::Mailbox;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Error, Severity};
use crate::app::App;

pub use store::{enabled, find, list, note};

const SEAL: &str = "alert targets";
const SECRET_BYTES: usize = 32;
const LEAST_SECRET: usize = 16;
const MOST_RECIPIENTS: usize = 50;

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// TLS after a greeting in the clear; without TLS, nothing is sent.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None; no password goes over it.
    None,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum Address {
    Webhook {
        url: String,
    },
    Email {
        /// `host:port`.
        server: String,
        #[serde(default)]
        encryption: Encryption,
        username: Option<String>,
        from: String,
        to: Vec<String>,
    },
}

impl Address {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Email { .. } => "email",
        }
    }
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub id: String,
    pub name: String,
    pub address: Address,
    /// Sealed: what a webhook's messages are signed with, or a mail server's password.
    pub(super) secret: Option<Vec<u8>>,
    /// What matters less is not told.
    pub least_severity: Severity,
    pub enabled: bool,
    pub created: u64,
    pub last_sent: Option<u64>,
    pub last_error: Option<String>,
}

/// A target to be, or what one becomes.
pub struct NewTarget {
    pub name: String,
    pub address: Address,
    /// Without one a webhook gets a new secret, and a change keeps the old.
    pub secret: Option<Zeroizing<String>>,
    pub least_severity: Severity,
    pub enabled: bool,
}

impl NewTarget {
    fn check(&self) -> Result<(), Error> {
        let named = (1..=100).contains(&self.name.chars().count()) && !self.name.chars().any(char::is_control);
        if !named {
            return Err(Error::Target(
                "name",
                "it has 1 to 100 characters, none of them a control character".into(),
            ));
        }
        match &self.address {
            Address::Webhook { url } => {
                let parsed = reqwest::Url::parse(url).map_err(|error| Error::Target("url", error.to_string()))?;
                if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
                    return Err(Error::Target(
                        "url",
                        "it begins with https://, or http:// in the own network".into(),
                    ));
                }
                if parsed.password().is_some() || !parsed.username().is_empty() {
                    return Err(Error::Target("url", "it holds no user or password; they would be shown".into()));
                }
                if self.secret.as_ref().is_some_and(|secret| secret.len() < LEAST_SECRET) {
                    return Err(Error::Target("secret", format!("it has at least {LEAST_SECRET} characters")));
                }
                Ok(())
            }
            Address::Email { server, encryption, username, from, to } => {
                server_address(server)?;
                let mailbox = |text: &String| text.parse::<Mailbox>().map(|_| ());
                mailbox(from).map_err(|error| Error::Target("from", error.to_string()))?;
                if to.is_empty() || to.len() > MOST_RECIPIENTS {
                    return Err(Error::Target("to", format!("there are 1 to {MOST_RECIPIENTS} of them")));
                }
                for text in to {
                    mailbox(text).map_err(|error| Error::Target("to", error.to_string()))?;
                }
                if *encryption == Encryption::None && (username.is_some() || self.secret.is_some()) {
                    return Err(Error::Target("encryption", "a password is not sent without TLS".into()));
                }
                Ok(())
            }
        }
    }
}

/// Host and port of a mail server.
pub(super) fn server_address(server: &str) -> Result<(&str, u16), Error> {
    let wrong = || Error::Target("server", "write host:port, such as smtp.example.com:587".into());
    let (host, port) = server.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || host.contains(['/', '@', ' ']) { Err(wrong()) } else { Ok((host, port)) }
}

fn seal(app: &App, id: &str, secret: &str) -> Vec<u8> {
    app.sealing.derive(SEAL).seal(id.as_bytes(), secret.as_bytes(), &mut app.random.rng())
}

/// The secret of a target, for whoever sends to it.
pub(super) fn open(app: &App, target: &Target) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let Some(sealed) = &target.secret else { return Ok(None) };
    app.sealing.derive(SEAL).open(target.id.as_bytes(), sealed).map(Some).map_err(|_| Error::Sealed)
}

/// Adds a target. A webhook's new secret is given back; it cannot be shown again.
pub async fn add(app: &App, actor: &str, new: NewTarget) -> Result<(Target, Option<Zeroizing<String>>), Error> {
    new.check()?;
    let id = format!("{:016x}", app.random.rng().next_u64());
    let (secret, made) = match (&new.address, new.secret) {
        (_, Some(given)) => (Some(given), None),
        (Address::Webhook { .. }, None) => {
            let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
            app.random.rng().fill_bytes(&mut *bytes);
            let made = Zeroizing::new(hex::encode(*bytes));
            (Some(made.clone()), Some(made))
        }
        (Address::Email { .. }, None) => (None, None),
    };
    let target = Target {
        secret: secret.as_ref().map(|secret| seal(app, &id, secret)),
        id,
        name: new.name,
        address: new.address,
        least_severity: new.least_severity,
        enabled: new.enabled,
        created: app.clock.now(),
        last_sent: None,
        last_error: None,
    };
    let transaction = database::begin(&app.db).await?;
    if !store::insert(&transaction, &target).await? {
        return Err(Error::TargetExists(target.name));
    }
    record(app, &transaction, actor, "alert-target.add", &target).await?;
    transaction.commit().await?;
    Ok((target, made))
}

/// Changes a target; without a secret it keeps the one that it has.
pub async fn set(app: &App, actor: &str, name: &str, new: NewTarget) -> Result<Target, Error> {
    new.check()?;
    let transaction = database::begin(&app.db).await?;
    let mut target =
        store::find(&transaction, name).await?.ok_or_else(|| Error::TargetUnknown(name.to_owned()))?;
    if target.address.kind() != new.address.kind() {
        return Err(Error::Target(
            "kind",
            "a webhook stays one, and so does a mail box; add another target".into(),
        ));
    }
    if let Some(secret) = &new.secret {
        target.secret = Some(seal(app, &target.id, secret));
    }
    target.name = new.name;
    target.address = new.address;
    target.least_severity = new.least_severity;
    target.enabled = new.enabled;
    store::update(&transaction, &target).await?;
    record(app, &transaction, actor, "alert-target.set", &target).await?;
    transaction.commit().await?;
    Ok(target)
}

/// Takes a target away, with what it was still to be told.
pub async fn remove(app: &App, actor: &str, name: &str) -> Result<(), Error> {
    let transaction = database::begin(&app.db).await?;
    let target = store::find(&transaction, name).await?.ok_or_else(|| Error::TargetUnknown(name.to_owned()))?;
    store::delete(&transaction, &target.id).await?;
    record(app, &transaction, actor, "alert-target.remove", &target).await?;
    Ok(transaction.commit().await?)
}

async fn record(
    app: &App,
    transaction: &database::DatabaseTransaction,
    actor: &str,
    action: &str,
    target: &Target,
) -> Result<(), Error> {
    let detail = format!("{} {}", target.address.kind(), target.name);
    let event = Event { actor, action, subject: &target.id, outcome: Outcome::Success, detail: &detail };
    Ok(audit::record(transaction, app.clock.now(), event).await?)
}
