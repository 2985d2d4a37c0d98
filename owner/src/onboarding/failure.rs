//! A TO2 that ends badly: what the device is told, and, once it has proven itself, what the owner keeps of it.

use fdo_protocol::messages::ErrorMessage;
use fdo_protocol::{Error, cbor};
use fdo_service::database::{DbErr, TransactionTrait};
use fdo_service::endpoint::Fault;
use fdo_service::operators::audit::{self, Event, Outcome as Audited};

use super::Onboardings;
use super::stage::Facts;
use super::store::{self, Outcome, Phase, Run};
use crate::app::App;
use crate::inventory::{self, DeviceState};
use crate::serviceinfo::{Provisioning, shown};
use crate::{admission, ca, serviceinfo, uploads, vouchers};

/// How many forgotten onboardings are closed in one go.
const BATCH: u64 = 1_000;

/// Why a TO2 ends, for the device and for people.
pub(super) struct Failure {
    pub fault: Fault,
    reason: String,
}

impl Failure {
    /// Something that the owner's plan requires did not work.
    pub fn required(reason: String) -> Self {
        let fault = Fault::new(Error::Rejected("something that is required did not work")).because(reason.clone());
        Self { fault, reason }
    }

    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { fault: Fault::internal(error), reason: "the owner service failed; see its log".to_owned() }
    }

    /// The device ended it with message 255.
    pub fn of_peer(body: &[u8]) -> Self {
        let reason = match cbor::decode::<ErrorMessage>(body) {
            Ok(message) => format!("the device reports error {}: {}", message.code, shown(&message.text)),
            Err(_) => "the device reports an error".to_owned(),
        };
        Self { fault: Fault::new(Error::Rejected("the device ended the session")), reason }
    }

    /// Keeps what happened, and revokes what was issued on the way. Nothing is written for a device that has not
    /// proven itself.
    pub async fn record(&self, app: &App, facts: &Facts, provisioning: Option<&Provisioning>) {
        if !facts.is_proven() {
            return;
        }
        app.progress.forget(&facts.id);
        uploads::abandon(app, &facts.id).await;
        let mut run = facts.run(Phase::Ended);
        run.facts = provisioning.map(Provisioning::facts).unwrap_or_default();
        run.transfers = provisioning.map(Provisioning::transfers).unwrap_or_default();
        tracing::warn!(guid = %facts.guid, reason = %self.reason, "onboarding failed");
        if let Err(error) = write(app, run, &self.reason).await {
            tracing::error!(guid = %facts.guid, %error, "a failed onboarding cannot be written down");
        }
    }
}

async fn write(app: &App, mut run: Run, reason: &str) -> Result<(), Onboardings> {
    let now = app.clock.now();
    run.finished = Some(now);
    run.outcome = Some(Outcome::Failed);
    run.reason = Some(reason.to_owned());
    let transaction = app.db.begin().await?;
    if !store::finish(&transaction, &run).await? {
        return Ok(());
    }
    ca::abandon(&transaction, &run.id, now).await?;
    inventory::record_state(&transaction, now, &run.guid, DeviceState::Failed, None, Some(reason)).await?;
    let event = Event {
        actor: "onboarding",
        action: "device.onboard",
        subject: &run.guid.to_string(),
        outcome: Audited::Failed,
        detail: reason,
    };
    audit::record(&transaction, now, event).await?;
    Ok(transaction.commit().await?)
}

/// Closes the records of devices that were not heard of again.
pub(super) async fn expire(app: &App, now: u64) -> Result<(), Onboardings> {
    app.progress.expire(now, app.settings.sessions.total_seconds);
    for run in store::unfinished(&app.db, now, BATCH).await? {
        uploads::abandon(app, &run.id).await;
        write(app, run, "the device did not come back").await?;
    }
    Ok(())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let reason = error.to_string();
        Self { fault: error.into(), reason }
    }
}

impl From<vouchers::Error> for Failure {
    fn from(error: vouchers::Error) -> Self {
        match error {
            vouchers::Error::NotInUse(..) | vouchers::Error::NotFound(_) => Self {
                reason: error.to_string(),
                fault: Fault::new(Error::NotFound("the voucher is no longer in use")).because(error.to_string()),
            },
            vouchers::Error::Invalid(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<admission::Error> for Failure {
    fn from(error: admission::Error) -> Self {
        match error {
            admission::Error::Denied(_) => {
                let fault = Fault::new(Error::Rejected("the owner does not admit this device"));
                Self { fault: fault.because(error.to_string()), reason: error.to_string() }
            }
            // The device comes again, and somebody may answer then.
            admission::Error::Unanswered(_) => Self { reason: error.to_string(), ..Self::internal(&error) },
            other => Self::internal(&other),
        }
    }
}

impl From<inventory::Error> for Failure {
    fn from(error: inventory::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<serviceinfo::Error> for Failure {
    fn from(error: serviceinfo::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<ca::Error> for Failure {
    fn from(error: ca::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<fdo_pki::Error> for Failure {
    fn from(error: fdo_pki::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self::internal(&error)
    }
}
