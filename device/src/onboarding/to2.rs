//! TO2, 60 to 71: the owner proves itself, the device proves itself, and then the modules speak. What the owner brought
//! is durable before 70 is sent, and takes effect once 71 was verified.

use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyType};
use fdo_protocol::messages::MessageType;
use fdo_protocol::service_info::negotiated_size;
use fdo_protocol::service_info::payload::OwnerSignature;
use fdo_protocol::to2::device::{self, AfterEntry, DeviceSettings, ServiceInfoLoop};
use fdo_protocol::{DeviceCredential, ErrorCode, Guid};

use crate::agent::{Agent, Run, RunError, Secrets};
use crate::devmod::Machine;
use crate::event_logger::{self, Event};
use crate::modules::{Conversation, Modules, Outcome, Situation, renewal_for_key};
use crate::store::{Pending, Status, StoreError};
use crate::transport::{Transport, TransportError};

impl<T: Transport> Agent<T> {
    /// With the key exchange that goes with the owner's key. Without a redirect nothing tells which that is: then those of
    /// the other key types follow, as long as the owner refuses the hello as invalid.
    pub(super) async fn to2(
        &self,
        credential: &DeviceCredential,
        to1d: Option<Sign1>,
        base: &BaseUrl,
        trust: &ServerTrust,
    ) -> Result<Guid, RunError> {
        let mut suites = self.key_exchanges(to1d.as_ref())?.into_iter();
        let mut suite = suites.next().ok_or(fdo_protocol::Error::Internal("no key exchange"))?;
        loop {
            let outcome = self.to2_by(suite, credential, to1d.clone(), base, trust).await;
            match (&outcome, suites.next()) {
                (Err(error), Some(next)) if is_refused_hello(error) => {
                    tracing::info!(
                        refused = suite.name(),
                        next = next.name(),
                        "the owner wants another key exchange"
                    );
                    suite = next;
                }
                _ => return outcome,
            }
        }
    }

    fn key_exchanges(&self, to1d: Option<&Sign1>) -> Result<Vec<KexSuite>, StoreError> {
        if let Some(told) = self.settings.kex_suite {
            return Ok(vec![told]);
        }
        // Not verified yet, but an owner whose key is another refuses the suite.
        if let Some(owners) = to1d.and_then(Sign1::unverified_algorithm).and_then(KexSuite::for_signature) {
            return Ok(vec![owners]);
        }
        let own = KexSuite::for_key(self.store.device_key()?.key_type());
        let others = KeyType::ISSUED.into_iter().map(KexSuite::for_key).filter(|suite| *suite != own);
        Ok(std::iter::once(own).chain(others).collect())
    }

    async fn to2_by(
        &self,
        kex_suite: KexSuite,
        credential: &DeviceCredential,
        to1d: Option<Sign1>,
        base: &BaseUrl,
        trust: &ServerTrust,
    ) -> Result<Guid, RunError> {
        let mut run = self.open(base, trust)?;
        let limit = self.settings.time_limit;
        let whole = self.meet(&mut run, kex_suite, credential, to1d, base);
        let outcome = match tokio::time::timeout(limit, whole).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RunError::TooLong(limit.as_secs())),
        };
        let (next_guid, event) = self.conclude(&run, outcome).await?;
        if let (Some(event), Some(logger)) = (event, &self.settings.conformance_logger)
            && let Err(error) = event_logger::report(logger, &event).await
        {
            tracing::warn!(error, "the event logger was not told");
        }
        Ok(next_guid)
    }

    async fn meet(
        &self,
        run: &mut Run<T::Channel>,
        kex_suite: KexSuite,
        credential: &DeviceCredential,
        to1d: Option<Sign1>,
        base: &BaseUrl,
    ) -> Result<(Guid, Option<Event>), RunError> {
        let mut rng = self.random.rng();
        let secrets = Secrets::new(self.store.device_key()?.into(), credential.hmac_secret.clone());
        let key_type = secrets.key_type();
        let settings = DeviceSettings {
            kex_suite,
            cipher_suite: self.settings.cipher_suite.unwrap_or(CipherSuite::for_kex(kex_suite)),
            max_message_size: self.settings.max_message_size,
            max_service_info_size: Some(self.settings.service_info_size),
            allow_reuse: self.settings.allow_reuse,
        };
        let (request, state) = device::begin(credential.clone(), to1d, &secrets, settings, &mut rng);
        let reply = run.exchange(&request).await?;
        let (mut request, mut state) = state.prove_ov_hdr(&reply, &secrets)?;
        let state = loop {
            let reply = run.exchange(&request).await?;
            match state.ov_next_entry(&reply, &secrets, &mut rng)? {
                AfterEntry::Next(next_request, next_state) => (request, state) = (next_request, next_state),
                AfterEntry::Prove(next_request, next_state) => {
                    request = next_request;
                    break next_state;
                }
            }
        };
        let reply = run.exchange(&request).await?;
        let set_up = state.setup_device(&reply)?;
        let reuse = set_up.is_reuse();
        let signature = OwnerSignature::of(set_up.owner_key()?, credential.guid);
        // A fresh secret makes the old voucher worthless.
        let next = secrets.renewed(set_up.secret_length(), &mut rng);
        let (request, state) = set_up.ready(&next, next.hmac_secret(), &mut rng)?;
        let reply = run.exchange(&request).await?;
        let (mut service_info, size) = state.ready(&reply)?;

        let status = self.store.status();
        let size = negotiated_size(size);
        let situation = Situation { key_type, serial: &status.serial, ldevid: self.store.ldevid(), signature };
        let modules = Modules::new(&self.settings.modules, situation, size);
        let modules = self.talk(run, &mut service_info, size, modules, &status).await?;
        let mut outcome = self.outcome(modules, &status)?;
        let token = outcome.conformance.take();

        let (request, next_credential, state) = service_info.done(&mut rng)?;
        let next_guid = next_credential.guid;
        let pending = self.pending((!reuse).then_some(next_credential), outcome, status, base)?;
        self.store.stage(credential, &pending)?;
        let reply = run.exchange(&request).await?;
        let nonce = state.done2(&reply)?;
        self.store.confirm(pending)?;
        Ok((next_guid, token.map(|token| Event { token, guid: credential.guid, nonce })))
    }

    /// The loop of 68 and 69, until the owner is done.
    async fn talk(
        &self,
        run: &mut Run<T::Channel>,
        service_info: &mut ServiceInfoLoop,
        size: usize,
        modules: Modules,
        status: &Status,
    ) -> Result<Modules, RunError> {
        let mut rng = self.random.rng();
        let machine = Machine::here(&status.model, &status.serial, &self.settings);
        let devmod = machine.devmod(&modules.names());
        let mut conversation = Conversation::new(&devmod, modules, size, self.settings.modules.turn_limits())?;
        while !conversation.is_done() {
            let message = conversation.speak().await?;
            let reply = run.exchange(&service_info.device_service_info(&message, &mut rng)?).await?;
            let message = service_info.owner_service_info(&reply)?;
            conversation.hear(message, &mut rng, &mut |step| self.tell_progress(step))?;
        }
        Ok(conversation.into_modules())
    }

    fn outcome(&self, modules: Modules, status: &Status) -> Result<Outcome, RunError> {
        let state = self.store.directory().path().map(|path| path.display().to_string()).unwrap_or_default();
        Ok(modules.finish(self.clock.now(), &status.serial, &state, self.store.has_ldevid())?)
    }

    fn pending(
        &self,
        credential: Option<DeviceCredential>,
        outcome: Outcome,
        mut status: Status,
        base: &BaseUrl,
    ) -> Result<Pending, RunError> {
        let mut pending = Pending { credential, ..Pending::default() };
        status.onboarded_at = Some(self.clock.now());
        status.owner = Some(base.to_string());
        (status.failed_at, status.failure, status.no_ldevid) = (None, None, None);
        match outcome.ldevid {
            Some(Ok(ldevid)) => {
                pending.ldevid = ldevid.files;
                status.ldevid = Some(ldevid.status);
            }
            Some(Err(why)) => status.no_ldevid = Some(why),
            None => {}
        }
        if let Some(source) = outcome.renewal {
            pending.renewal = Some(renewal_for_key(source, self.store.device_key()?.verifying_key()));
        }
        if outcome.wifi.files.is_some() {
            status.networks = outcome.wifi.kept;
        }
        pending.wifi = outcome.wifi.files;
        pending.wifi_ca = outcome.wifi.authorities;
        status.files = outcome.files;
        status.refused = outcome.refused;
        pending.status = serde_json::to_string_pretty(&status)
            .map_err(|error| StoreError::Damaged { file: "status.json", reason: error.to_string() })?;
        Ok(pending)
    }
}

/// Whether the owner answered 60 with "invalid message", as it does where a key exchange does not fit its key.
fn is_refused_hello(error: &RunError) -> bool {
    let peer = match error {
        RunError::Protocol(fdo_protocol::Error::Peer(message))
        | RunError::Transport(TransportError::Protocol(fdo_protocol::Error::Peer(message))) => message,
        _ => return false,
    };
    peer.previous == MessageType::HelloDevice.number()
        && [ErrorCode::InvalidMessage, ErrorCode::MessageBody].map(ErrorCode::number).contains(&peer.code)
}
