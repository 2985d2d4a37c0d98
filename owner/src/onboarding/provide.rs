//! 68 to 69: the modules run, and what they ask for is answered from the CA and from files.

use fdo_protocol::service_info::csr::CsrError;
use fdo_protocol::service_info::est::RenewalSource;
use fdo_protocol::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use fdo_service::operators::audit::{self, Event, Outcome as Audited};

use super::failure::Failure;
use super::stage::Facts;
use super::store::Phase;
use super::{Conversation, in_use, server_key, store};
use crate::app::App;
use crate::ca::{self, Granted, Origin, Requester};
use crate::serviceinfo::{self, Need, Provision, Provisioning, Verdict};
use crate::uploads::{self, Incoming};
use crate::vouchers;

/// CSR attributes (RFC 7030, 4.5.2) that ask for nothing: an empty SEQUENCE.
const NO_ATTRIBUTES: [u8; 2] = [0x30, 0x00];

impl Conversation {
    /// What the owner says to a 68.
    pub(super) async fn provide(
        &self,
        facts: &Facts,
        plan: &mut Provisioning,
        message: DeviceServiceInfo,
    ) -> Result<OwnerServiceInfo, Failure> {
        let app = &self.app;
        plan.conversation.receive(message)?;
        plan.conversation.tick(app.clock.now());
        while let Some(need) = plan.conversation.need() {
            let provision = answer(app, facts, plan, need).await?;
            plan.conversation.answer(provision)?;
        }
        let transfers = plan.transfers();
        if !transfers.is_empty() {
            app.progress.transferred(&facts.run(Phase::Provisioning), transfers, app.clock.now());
        }
        keep_open(app, facts, plan).await?;
        let reply = plan.conversation.reply()?;
        if reply.is_done
            && let Verdict::Failed(reason) = plan.verdict()
        {
            return Err(Failure::required(reason));
        }
        Ok(reply)
    }
}

async fn answer(app: &App, facts: &Facts, plan: &mut Provisioning, need: Need) -> Result<Provision, Failure> {
    Ok(match need {
        Need::Issue { csr, .. } => issue(app, facts, plan, &csr).await?,
        Need::GenerateKey { csr } => server_key::generate(app, facts, plan, &csr).await?,
        Need::CaCertificates { single: false } => Provision::CaCertificates(app.ca.trusted_pkcs7()?),
        Need::CaCertificates { single: true } => Provision::CaCertificates(app.ca.anchor().der().to_vec()),
        Need::CsrAttributes => Provision::CsrAttributes(NO_ATTRIBUTES.to_vec()),
        Need::Renewal => renewal(app, facts).await?,
        Need::ReadFile { offset, length, .. } => plan.read(app, offset, length).await,
        Need::StoreUpload { name, offset, data } => {
            let stored = async |incoming: Incoming<'_>| {
                uploads::store(app, &incoming, offset, &data).await.map(|()| Provision::Stored)
            };
            arriving(facts, plan, &name, stored).await
        }
        Need::FinishUpload { name, length, sha384 } => {
            let finished = async |incoming: Incoming<'_>| {
                let finished = uploads::finish(app, &incoming, length, sha384).await?;
                Ok(finished.map_or(Provision::Mismatch, |_| Provision::Stored))
            };
            arriving(facts, plan, &name, finished).await
        }
    })
}

/// Where the device renews its certificate, and the certificate of its birth, which only its voucher has.
async fn renewal(app: &App, facts: &Facts) -> Result<Provision, Failure> {
    let Some(place) = serviceinfo::renewal(app) else { return Ok(Provision::Refused(CsrError::NotSupported)) };
    let voucher = vouchers::find_for_onboarding(&app.db, &facts.guid).await?;
    let idevid = voucher.as_ref().and_then(|voucher| voucher.certificates()).unwrap_or_default().to_vec();
    let profile = app.ca.profile(&app.ca.profile_of(&app.db, &facts.device_id).await?);
    let renew_percent = profile.map_or(place.renew_percent, |profile| profile.renew_percent.into());
    Ok(Provision::Renewal(Box::new(RenewalSource { idevid, renew_percent, ..place })))
}

/// A file that the device sends; what goes wrong with it is for the operator to read and for the plan to judge.
async fn arriving<'a>(
    facts: &'a Facts,
    plan: &Provisioning,
    name: &'a str,
    keep: impl AsyncFnOnce(Incoming<'_>) -> Result<Provision, uploads::Error>,
) -> Provision {
    let Some((step, expected)) = plan.arriving() else { return Provision::Refused(CsrError::BadRequest) };
    let id = format!("{}-{step}", facts.id);
    let (device_id, guid, onboarding) = (&facts.device_id, &facts.guid, &facts.id);
    let kept = keep(Incoming { id: &id, device_id, guid, onboarding, name, expected }).await;
    kept.unwrap_or_else(|error| {
        tracing::error!(guid = %facts.guid, %error, "a file of a device cannot be stored");
        Provision::Refused(CsrError::BadRequest)
    })
}

pub(super) async fn issue(
    app: &App,
    facts: &Facts,
    plan: &mut Provisioning,
    csr: &[u8],
) -> Result<Provision, Failure> {
    let now = app.clock.now();
    in_use(app, facts).await?;
    let requester = Requester {
        device_id: &facts.device_id,
        serial: facts.serial.as_deref(),
        guid: facts.next_guid.unwrap_or(facts.guid),
        origin: Origin::To2 { session: &facts.id, pending_until: open_until(app, now) },
    };
    let profile = app.ca.profile_of(&app.db, &facts.device_id).await?;
    match app.ca.issue(&app.db, &profile, csr, &requester, now, &mut app.random.rng()).await {
        // `fdo.csr` cannot say "later": TO2 goes on, and the device asks by EST.
        Ok(Granted::Pending { .. }) => Ok(Provision::Refused(CsrError::RateExceeded)),
        Ok(Granted::Issued(issued)) => {
            let serial = issued.serial().to_string();
            if !plan.certificates.contains(&serial) {
                plan.certificates.push(serial);
            }
            Ok(Provision::Certificate(issued.der().to_vec()))
        }
        Err(error) => {
            let Some(told) = error.device_error() else { return Err(error.into()) };
            refused(app, facts, &error, now).await?;
            Ok(Provision::Refused(told))
        }
    }
}

async fn refused(app: &App, facts: &Facts, error: &ca::Error, now: u64) -> Result<(), Failure> {
    let event = Event {
        actor: "onboarding",
        action: "certificate.issue",
        subject: &facts.guid.to_string(),
        outcome: Audited::Refused,
        detail: &error.to_string(),
    };
    Ok(audit::record(&app.db, now, event).await?)
}

/// When a session that is not heard of again has certainly ended. Since messages within half of the idle time are not
/// noted, that is half of it more.
pub(super) fn open_until(app: &App, now: u64) -> u64 {
    let idle = app.settings.sessions.idle_seconds;
    now + idle + idle / 2
}

/// A long TO2 stays open and keeps its certificates; it says so seldom, since each time is a commit.
async fn keep_open(app: &App, facts: &Facts, plan: &mut Provisioning) -> Result<(), Failure> {
    let now = app.clock.now();
    if now + app.settings.sessions.idle_seconds <= plan.pending_until {
        return Ok(());
    }
    plan.pending_until = open_until(app, now);
    store::keep_open(&app.db, &facts.id, plan.pending_until).await?;
    if !plan.certificates.is_empty() {
        ca::keep_pending(&app.db, &facts.id, plan.pending_until).await?;
    }
    Ok(())
}
