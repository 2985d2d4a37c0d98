//! TO2, 60 to 71: the owner proves itself, the device proves itself, and then the modules speak. What the owner brought
//! is durable before 70 is sent, and takes effect once 71 was verified.

use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{CipherSuite, KexSuite};
use fdo_protocol::service_info::{Assembler, DeviceTurn, Floor, Outbox, ServiceInfo, TurnLimits, negotiated_size};
use fdo_protocol::to2::device::{self, AfterEntry, DeviceSettings, ServiceInfoLoop};
use fdo_protocol::{DeviceCredential, Error, Guid};

use crate::agent::{Agent, Run, RunError, Secrets};
use crate::devmod::Machine;
use crate::modules::{Modules, Outcome};
use crate::store::{Pending, Status, StoreError};
use crate::transport::Transport;

impl<T: Transport> Agent<T> {
    pub(super) async fn to2(
        &self,
        credential: &DeviceCredential,
        to1d: Option<Sign1>,
        base: &BaseUrl,
        trust: &ServerTrust,
    ) -> Result<Guid, RunError> {
        let mut run = self.open(base, trust)?;
        let limit = self.settings.time_limit;
        let whole = self.meet(&mut run, credential, to1d, base);
        let outcome = match tokio::time::timeout(limit, whole).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RunError::TooLong(limit.as_secs())),
        };
        self.conclude(&run, outcome).await
    }

    async fn meet(
        &self,
        run: &mut Run<T::Channel>,
        credential: &DeviceCredential,
        to1d: Option<Sign1>,
        base: &BaseUrl,
    ) -> Result<Guid, RunError> {
        let mut rng = self.random.rng();
        let secrets = Secrets::new(self.store.device_key()?.into(), credential.hmac_secret.clone());
        let key_type = secrets.key_type();
        // Not verified yet, but an owner whose key is another refuses the suite.
        let owners = to1d.as_ref().and_then(Sign1::unverified_algorithm).and_then(KexSuite::for_signature);
        let kex_suite = self.settings.kex_suite.or(owners).unwrap_or(KexSuite::for_key(key_type));
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
        // A fresh secret makes the old voucher worthless.
        let next = secrets.renewed(set_up.secret_length(), &mut rng);
        let (request, state) = set_up.ready(&next, next.hmac_secret(), &mut rng)?;
        let reply = run.exchange(&request).await?;
        let (mut service_info, size) = state.ready(&reply)?;

        let status = self.store.status();
        let size = negotiated_size(size);
        let modules = Modules::new(&self.settings.modules, key_type, &status.serial, size);
        let modules = self.talk(run, &mut service_info, size, modules, &status).await?;
        let outcome = self.outcome(modules, &status)?;

        let (request, next_credential, state) = service_info.done(&mut rng)?;
        let next_guid = next_credential.guid;
        let pending = self.pending((!reuse).then_some(next_credential), outcome, status, base)?;
        self.store.stage(credential, &pending)?;
        let reply = run.exchange(&request).await?;
        state.done2(&reply)?;
        self.store.confirm(pending)?;
        Ok(next_guid)
    }

    /// The loop of 68 and 69, until the owner is done.
    async fn talk(
        &self,
        run: &mut Run<T::Channel>,
        service_info: &mut ServiceInfoLoop,
        size: usize,
        mut modules: Modules,
        status: &Status,
    ) -> Result<Modules, RunError> {
        let mut rng = self.random.rng();
        let mut outbox = Outbox::new(size);
        Machine::here(&status.model, &status.serial).devmod(&modules.names()).send(&mut outbox)?;
        let mut turn = DeviceTurn::new(self.turn_limits());
        let mut assembler = Assembler::default();
        while !turn.is_done() {
            let (list, more) = if turn.may_speak() { outbox.fill() } else { (ServiceInfo::empty(), false) };
            let floor = if more { Floor::Keep } else { Floor::Yield };
            let message = turn.send(list, floor)?;
            let reply = run.exchange(&service_info.device_service_info(&message, &mut rng)?).await?;
            let message = service_info.owner_service_info(&reply)?;
            turn.receive(&message)?;
            let (is_more, list) = (message.is_more, message.service_info);
            for kv in list.0 {
                tracing::debug!(key = kv.key, bytes = kv.value.len(), "service info");
                if let Some(whole) = assembler.accept(kv)? {
                    self.tell_progress(&format!("the owner speaks to {}", whole.module().escape_debug()));
                    modules.receive(&whole, &mut rng).await?;
                }
            }
            if !is_more {
                modules.turn_ends();
                modules.take_outgoing().into_iter().for_each(|kv| outbox.push_split(kv));
            }
        }
        if !assembler.is_idle() {
            return Err(Error::Malformed("service info value cut short").into());
        }
        Ok(modules)
    }

    /// Files are bounded one by one; an owner may send several.
    fn turn_limits(&self) -> TurnLimits {
        let default = TurnLimits::default();
        let files = self.settings.modules.download.as_ref().map_or(0, |(_, limit)| limit.saturating_mul(4));
        TurnLimits { bytes: default.bytes.saturating_add(files), ..default }
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
