//! TO2 as the owner leads it: the table of what follows what, and what each message looks up or changes around the core.
//!
//! 60 costs one SELECT, 62 nothing. Nothing durable changes before the device has proven itself in 64; what it becomes
//! is committed in one transaction at 70, before 71 is sent.

mod commit;
mod failure;
mod progress;
mod provide;
mod server_key;
pub mod routes;
mod stage;
mod store;

use std::sync::Arc;

use fdo_protocol::cbor::Encoded;
use fdo_protocol::messages::to2::HelloDevice;
use fdo_protocol::messages::{MessageType as M, Outbound};
use fdo_protocol::to2::owner::{self, AfterServiceInfo, OwnerSettings, Session as S};
use fdo_protocol::{Error, Guid};
use fdo_service::endpoint::{self, Fault, Incoming, Outgoing};
use fdo_service::sessions::{Loaded, Next, Protocol, Step};

pub use progress::Progress;
pub use store::{Outcome, Phase, Run, forget, latest, list};

use crate::admission::{self, Deed};
use crate::app::App;
use crate::registration::presentable;
use crate::{inventory, serviceinfo, vouchers};
use failure::Failure;
use serviceinfo::Provisioning;
use stage::{Facts, Stage};

/// Why the onboardings cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Onboardings {
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error("the onboardings' database failed")]
    Database(#[from] fdo_service::database::DbErr),
}

/// What devices talk to.
pub struct Conversation {
    app: Arc<App>,
}

/// What a message led to: the reply, and what is awaited next if anything.
type Stepped = (Outbound, Option<S>);

impl Conversation {
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// 60: one SELECT, the owner's proof, and a session that is the first to go when room is needed.
    async fn hello(&self, incoming: &Incoming) -> Result<Outgoing, Fault> {
        let (app, now) = (&self.app, self.app.clock.now());
        let hello = owner::hello_device(&incoming.body)?;
        tracing::Span::current().record("guid", tracing::field::display(&hello.guid));
        app.limits.check_guid(hello.guid.as_bytes(), now)?;
        let found = vouchers::find_for_onboarding(&app.reader, &hello.guid).await;
        let voucher = found.map_err(|error| Fault::internal(&error))?;
        // A blocked device is told what an unknown one is told: whoever asks has not proven to be it.
        let voucher = voucher.ok_or(Error::NotFound("no voucher for this GUID"))?;
        let is_successor = voucher.entries().is_empty();
        let voucher = presentable(voucher, &app.keys)?;
        let (reply, state) = self.prove(&hello, &voucher)?;
        let facts = Facts::new(&voucher, is_successor, now, &mut app.random.rng());
        let stage = Stage { facts, session: S::ExpectEntryOrProof(state), provisioning: None };
        let step = Step {
            protocol: Protocol::To2,
            next: Next::State(stage.to_bytes()),
            request_type: incoming.message_type,
            request: &incoming.body,
            reply_type: reply.message_type.number(),
            reply: &reply.body,
            proven: false,
        };
        let token = app.records.begin(step, now, &mut app.random.rng()).await?;
        Ok(Outgoing::new(reply.message_type.number(), reply.body, Some(token)))
    }

    fn prove(
        &self,
        hello: &Encoded<HelloDevice>,
        voucher: &fdo_protocol::voucher::VerifiedVoucher,
    ) -> Result<(Outbound, owner::ExpectEntryOrProof), Fault> {
        let key = self.app.keys.owning(voucher.owner_key());
        let key = key.ok_or(Error::Internal("the voucher ends in a key that is not here any more"))?;
        let settings = &self.app.settings;
        let settings = OwnerSettings {
            reuse: settings.onboarding.credential_reuse,
            max_service_info_size: Some(settings.onboarding.max_service_info_size),
            encrypt_then_mac: settings.encrypt_then_mac.form_for(&voucher.header().device_info),
            ..OwnerSettings::default()
        };
        Ok(owner::begin(hello, voucher, key, &settings, &mut self.app.random.rng())?)
    }

    /// The table of TO2. A message that is not in it is out of sequence, and ends the session.
    async fn step(
        &self,
        session: S,
        facts: &mut Facts,
        provisioning: &mut Option<Provisioning>,
        incoming: &Incoming,
    ) -> Result<Stepped, Failure> {
        let (app, body) = (&self.app, &incoming.body);
        let rng = &mut app.random.rng();
        Ok(match (session, M::from_number(incoming.message_type)) {
            (S::ExpectEntryOrProof(state), Some(M::GetOvNextEntry)) => {
                let (reply, state) = state.get_ov_next_entry(body)?;
                (reply, Some(S::ExpectEntryOrProof(state)))
            }
            (S::ExpectEntryOrProof(state), Some(M::ProveDevice)) => {
                let (key, rv_info) = facts.take_setup(&app.keys)?;
                let (reply, state) = state.prove_device(body, key, &rv_info, Guid::random(rng), rng)?;
                let next = S::ExpectReady(state);
                self.proven(facts, next.next_guid()).await?;
                (reply, Some(next))
            }
            (S::ExpectReady(state), Some(M::DeviceServiceInfoReady)) => {
                let (reply, state, announced) = state.ready(body, rng)?;
                *provisioning = Some(self.plan(facts, announced).await?);
                (reply, Some(S::ExpectServiceInfo(state)))
            }
            (S::ExpectServiceInfo(mut state), Some(M::DeviceServiceInfo)) => {
                let plan = provisioning.as_mut().ok_or(Error::Internal("a session without its plan"))?;
                still_in_use(app, facts).await?;
                let message = state.device_service_info(body)?;
                let reply = self.provide(facts, plan, message).await?;
                match state.owner_service_info(&reply, rng)? {
                    (reply, AfterServiceInfo::Continue(state)) => (reply, Some(S::ExpectServiceInfo(state))),
                    (reply, AfterServiceInfo::Finish(state)) => (reply, Some(S::ExpectDone(state))),
                }
            }
            (S::ExpectDone(mut state), Some(M::DeviceServiceInfo)) => {
                let plan = provisioning.as_mut().ok_or(Error::Internal("a session without its plan"))?;
                still_in_use(app, facts).await?;
                let message = state.device_service_info(body)?;
                let reply = self.provide(facts, plan, message).await?;
                let (reply, state) = state.still_done(&reply, rng)?;
                (reply, Some(S::ExpectDone(state)))
            }
            (S::ExpectDone(state), Some(M::Done)) => {
                let plan = provisioning.as_ref().ok_or(Error::Internal("a session without its plan"))?;
                let (completed, reply) = state.done(body, rng)?;
                commit::commit(app, facts, plan, completed).await?;
                (reply, None)
            }
            _ => return Err(Error::OutOfSequence { received: incoming.message_type }.into()),
        })
    }

    /// 64 held: this is the device.
    async fn proven(&self, facts: &mut Facts, next_guid: Option<Guid>) -> Result<(), Failure> {
        facts.next_guid = next_guid;
        if facts.is_successor {
            vouchers::confirm_seen(&self.app.db, self.app.clock.now(), &facts.guid).await?;
        }
        self.app.progress.begin(facts.run(Phase::Attested));
        admission::admit_by_id(&self.app, Deed::Onboard, &facts.device_id).await?;
        Ok(())
    }

    async fn plan(&self, facts: &mut Facts, announced: Option<u16>) -> Result<Provisioning, Failure> {
        let app = &self.app;
        let device = in_use(app, facts).await?;
        let subject = serviceinfo::subject(app, &device).await?;
        facts.serial = device.serial;
        facts.checked = app.clock.now();
        app.progress.advance(&facts.id, Phase::Provisioning);
        let mut plan = serviceinfo::plan(app, &subject, announced).await?;
        plan.pending_until = provide::open_until(app, app.clock.now());
        Ok(plan)
    }
}

/// A device that was stopped meanwhile gets nothing more. Looked up once a second: files come in many messages.
async fn still_in_use(app: &App, facts: &mut Facts) -> Result<(), Failure> {
    let now = app.clock.now();
    if facts.checked != now {
        in_use(app, facts).await?;
        facts.checked = now;
    }
    Ok(())
}

/// The device's record, unless an operator has stopped or sold it since 60.
async fn in_use(app: &App, facts: &Facts) -> Result<inventory::Device, Failure> {
    let device = inventory::find(&app.reader, &facts.device_id).await?;
    let device = device.ok_or(Error::Internal("a device without its record"))?;
    match device.state {
        inventory::DeviceState::Blocked => {
            Err(vouchers::Error::NotInUse(facts.guid, vouchers::State::Blocked).into())
        }
        inventory::DeviceState::Sold => Err(vouchers::Error::NotInUse(facts.guid, vouchers::State::Sold).into()),
        inventory::DeviceState::Decommissioned => {
            Err(vouchers::Error::NotInUse(facts.guid, vouchers::State::Decommissioned).into())
        }
        _ => Ok(device),
    }
}

impl endpoint::Conversation for Conversation {
    async fn answer(&self, incoming: Incoming) -> Result<Outgoing, Fault> {
        if incoming.message_type == M::HelloDevice.number() {
            return self.hello(&incoming).await;
        }
        let (records, now) = (&self.app.records, self.app.clock.now());
        let token = incoming.token.as_deref();
        let session = match records.load(Protocol::To2, token, incoming.message_type, &incoming.body, now).await? {
            Loaded::Replay { reply_type, reply } => return Ok(Outgoing::new(reply_type, reply, incoming.token)),
            Loaded::Live(session) => session,
        };
        let Stage { mut facts, session: state, mut provisioning } = Stage::from_bytes(session.state())?;
        tracing::Span::current().record("guid", tracing::field::display(&facts.guid));
        match self.step(state, &mut facts, &mut provisioning, &incoming).await {
            Ok((reply, next)) => {
                let is_over = next.is_none();
                let next = match next {
                    Some(state) => Next::State(Stage { session: state, provisioning, facts }.to_bytes()),
                    None => Next::Finished,
                };
                let (kind, token) = (reply.message_type.number(), session.token());
                let proven = kind > M::OvNextEntry.number();
                let kept = session.advance(next, kind, &reply.body, proven, now).await;
                // What 70 has committed holds, whoever sent it first.
                if !is_over {
                    kept?;
                }
                Ok(Outgoing::new(kind, reply.body, Some(token)))
            }
            Err(failure) => {
                failure.record(&self.app, &facts, provisioning.as_ref()).await;
                Err(session.fail(failure.fault, incoming.correlation, now).await)
            }
        }
    }

    async fn peer_error(&self, incoming: Incoming) {
        let (app, now) = (&self.app, self.app.clock.now());
        let Some(token) = incoming.token.as_deref() else { return };
        let loaded =
            app.records.load(Protocol::To2, Some(token), incoming.message_type, &incoming.body, now).await;
        let Ok(Loaded::Live(session)) = loaded else { return };
        if let Ok(stage) = Stage::from_bytes(session.state()) {
            let failure = Failure::of_peer(&incoming.body);
            failure.record(app, &stage.facts, stage.provisioning.as_ref()).await;
        }
        if let Err(error) = app.records.remove(Protocol::To2, token).await {
            tracing::warn!(%error, "a session that its device ended cannot be removed");
        }
    }
}

/// Ends what its device has left: revokes its certificates and closes its record.
pub async fn sweep(app: &App) -> Result<(), Onboardings> {
    let now = app.clock.now();
    let revoked = crate::ca::revoke_abandoned(&app.db, now).await?;
    if revoked > 0 {
        tracing::info!(revoked, "certificates of onboardings that never ended are revoked");
    }
    failure::expire(app, now).await
}

/// Writes down how far the onboardings of the last seconds have come.
pub async fn flush_progress(app: &App) -> Result<(), Onboardings> {
    progress::flush(app).await
}
