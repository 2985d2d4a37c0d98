//! 68 to 69: the modules run, and what they ask for is answered from the CA and from files.

use fdo_protocol::service_info::csr::CsrError;
use fdo_protocol::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use fdo_service::operators::audit::{self, Event, Outcome as Audited};

use super::failure::Failure;
use super::stage::Facts;
use super::store::Phase;
use super::{Conversation, in_use, server_key, store};
use crate::app::App;
use crate::ca::{self, Requester};
use crate::serviceinfo::{Need, Provision, Provisioning, Verdict};

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
        while let Some(need) = plan.conversation.need() {
            let provision = answer(app, facts, plan, need).await?;
            plan.conversation.answer(provision)?;
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
        Need::CaCertificates { single: false } => Provision::CaCertificates(app.ca.chain_pkcs7()?),
        Need::CaCertificates { single: true } => Provision::CaCertificates(app.ca.root().der().to_vec()),
        Need::CsrAttributes => Provision::CsrAttributes(NO_ATTRIBUTES.to_vec()),
        Need::ReadFile { offset, length, .. } => {
            let part = plan.read(app, offset, length).await;
            app.progress.transferred(&facts.run(Phase::Provisioning), plan.transfers(), app.clock.now());
            part
        }
        // No plan asks for files of a device yet.
        Need::StoreUpload { .. } | Need::FinishUpload { .. } => Provision::Refused(CsrError::NotSupported),
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
        session: &facts.id,
        pending_until: open_until(app, now),
    };
    match app.ca.issue_ldevid(&app.db, csr, &requester, now, &mut app.random.rng()).await {
        Ok(issued) => {
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
