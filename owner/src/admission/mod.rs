//! Who may be onboarded and who may enrol: rules in an order, the first that fits decides; then, where one is configured, a
//! webhook. It is asked only for devices that have proven to be it, and without an answer nobody is let in.

mod rule;
pub mod routes;
mod store;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::{Arc, PoisonError, RwLock};

use fdo_service::database::DbErr;
use fdo_service::secret_file::{self, SecretFileError};
use fdo_service::webhook::Webhook;
use tokio::sync::Semaphore;

pub use rule::{Criteria, Deed, Effect, Rule};
pub use store::{delete, delete_group, groups, insert, list, members, put_group};

use crate::app::App;
use crate::config::{AdmissionSettings, Otherwise};
use crate::inventory::{self, Device};
use crate::vouchers;

/// So many rules there may be; each is looked at for each device.
pub const MOST_RULES: u64 = 1_000;
/// So many serials a group may hold.
pub const MOST_MEMBERS: usize = 100_000;
/// So many questions are open at a time.
const AT_ONCE: usize = 64;

/// Why a device is not let in, or a rule is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// By a rule, by the default, or by the webhook.
    #[error("the device is not admitted: {0}")]
    Denied(String),
    #[error("nobody says whether the device is admitted: {0}")]
    Unanswered(String),
    #[error("{0}: {1}")]
    Field(&'static str, &'static str),
    #[error("there is no admission rule {0}")]
    NotFound(String),
    #[error("there is an admission rule {0} already; remove it first")]
    Exists(String),
    #[error("there is no group {0}")]
    NoGroup(String),
    #[error("rules name the group {0}; remove them first")]
    GroupInUse(String),
    #[error("there are {MOST_RULES} rules already")]
    TooMany,
    #[error("the inventory failed")]
    Inventory(#[from] inventory::Error),
    #[error("the vouchers failed")]
    Voucher(#[from] vouchers::Error),
    #[error("the admission rules' database failed")]
    Database(#[from] DbErr),
}

/// Rules as they were read last, and the webhook.
pub struct Admission {
    otherwise: Otherwise,
    webhook: Option<Webhook>,
    at_once: Semaphore,
    /// When they were read.
    rules: RwLock<Option<(u64, Arc<Vec<Rule>>)>>,
}

/// What was decided, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub admitted: bool,
    /// "rule NAME", "default", or what the webhook says.
    pub by: String,
}

impl Admission {
    /// Reads the webhook's secret.
    pub fn open(settings: &AdmissionSettings) -> Result<Self, SecretFileError> {
        let secret = settings.webhook_secret.as_deref().map(secret_file::load).transpose()?;
        let webhook = settings.webhook.clone().map(|url| Webhook {
            url,
            secret,
            patience: std::time::Duration::from_millis(settings.webhook_milliseconds),
        });
        Ok(Self {
            otherwise: settings.default,
            webhook,
            at_once: Semaphore::new(AT_ONCE),
            rules: RwLock::new(None),
        })
    }

    /// The rules changed here; other replicas notice within a second.
    pub fn forget(&self) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn rules(&self, app: &App) -> Result<Arc<Vec<Rule>>, Error> {
        let now = app.clock.now();
        let known = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, rules)) = known.filter(|(at, _)| *at == now) {
            return Ok(rules);
        }
        // Once a second at the most; on the ordinary connection, since a rule's position has 64 bits (`db::narrow`).
        let rules = Arc::new(list(&app.db).await?);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Some((now, rules.clone()));
        Ok(rules)
    }
}

/// Lets a device that has proven to be it do this, or says why not.
pub async fn admit(app: &App, deed: Deed, device: &Device) -> Result<(), Error> {
    let decision = decide(app, deed, device).await?;
    if decision.admitted { Ok(()) } else { Err(Error::Denied(decision.by)) }
}

/// The same by the inventory's id.
pub async fn admit_by_id(app: &App, deed: Deed, device_id: &str) -> Result<(), Error> {
    let device = inventory::find(&app.reader, device_id).await?;
    let unknown = || inventory::Error::NotFound(device_id.to_owned());
    admit(app, deed, &device.ok_or_else(unknown)?).await
}

/// What rules and webhook say.
pub async fn decide(app: &App, deed: Deed, device: &Device) -> Result<Decision, Error> {
    let admission = &app.admission;
    let rules = admission.rules(app).await?;
    let maker_key = match rules.iter().any(|rule| rule.criteria.maker_key.is_some()) || admission.webhook.is_some()
    {
        true => vouchers::find_by_guid(&app.reader, &device.guid).await?.map(|voucher| voucher.maker_key),
        false => None,
    };
    let groups = match (rules.iter().any(|rule| rule.criteria.group.is_some()), &device.serial) {
        (true, Some(serial)) => store::groups_of(&app.reader, serial).await?,
        _ => Vec::new(),
    };
    let facts = rule::Facts { deed, device, maker_key: maker_key.as_deref(), groups: &groups };
    let by_rules = match rules.iter().find(|rule| rule.fits(&facts)) {
        Some(rule) => Decision { admitted: rule.effect == Effect::Allow, by: format!("rule {}", rule.id) },
        None => Decision { admitted: admission.otherwise == Otherwise::Allow, by: "default".to_owned() },
    };
    match &admission.webhook {
        Some(webhook) if by_rules.admitted => webhook::ask(app, webhook, &admission.at_once, &facts).await,
        _ => Ok(by_rules),
    }
}
