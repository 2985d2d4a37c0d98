//! The service-info modules of the device: a closed set, which the owner activates by name. What an owner asks for and
//! does not get is collected, logged, and kept in the status.

mod answers;
mod background;
mod command;
mod conformance;
mod conversation;
mod csr;
mod download;
mod est;
mod files;
mod payload;
mod program;
mod transfer;
mod upload;
mod wget;
mod wifi;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use fdo_pki::Certificate;
use fdo_protocol::Error;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::service_info::conformance::Token;
use fdo_protocol::service_info::est::RenewalSource;
use fdo_protocol::service_info::payload::OwnerSignature;
use fdo_protocol::service_info::{
    MAX_KEY_LENGTH, Outbox, ServiceInfoKv, TurnLimits, decode_active, max_value_length,
};
use rand_core::CryptoRng;

pub use answers::Answers;
pub use conversation::Conversation;
pub use csr::{CsrSettings, Ldevid};
pub use est::for_key as renewal_for_key;
pub use payload::PayloadSettings;
pub use program::Limits;
pub(crate) use program::run as run_program;
pub use wget::WgetSettings;
pub use wifi::{WifiContext, WifiFormat, WifiOutcome, WifiSettings};

use command::Command;
use conformance::Conformance;
use csr::Csr;
use download::Download;
use est::Est;
use payload::Payload;
use upload::Upload;
use wget::Wget;
use wifi::Wifi;

/// More unknown modules than this are not answered one by one.
const MAX_UNKNOWN: usize = 64;
/// More refusals than this are neither kept nor logged one by one.
const MAX_REFUSED: usize = 32;
/// A refusal repeats what the owner said: no more of it than this many characters is kept.
const MAX_NOTE: usize = 200;

/// Which modules this device offers, and how.
#[derive(Debug, Clone)]
pub struct ModuleSettings {
    /// `fdo.wifi`.
    pub wifi: WifiSettings,
    /// `fdo.csr`.
    pub enrolment: Option<CsrSettings>,
    /// `firstlight.est`.
    pub renewal: bool,
    /// `fdo.download`: the directory and the most bytes of one file.
    pub download: Option<(PathBuf, u64)>,
    /// `fdo.upload`: the directory.
    pub upload: Option<PathBuf>,
    /// `fdo.wget`.
    pub wget: Option<WgetSettings>,
    /// `fdo.payload`.
    pub payload: Option<PayloadSettings>,
    /// `fdo.command`.
    pub command: Option<Limits>,
    /// `fido_alliance`.
    pub conformance: bool,
}

impl ModuleSettings {
    /// What an owner may send. Files are bounded one by one; an owner may send several.
    pub fn turn_limits(&self) -> TurnLimits {
        let default = TurnLimits::default();
        let files = self.download.as_ref().map_or(0, |(_, limit)| limit.saturating_mul(4));
        let payloads = self.payload.as_ref().map_or(0, |settings| settings.limit.saturating_mul(4));
        TurnLimits { bytes: default.bytes.saturating_add(files).saturating_add(payloads), ..default }
    }
}

/// The device, as far as its modules must know it.
pub struct Situation<'a> {
    /// The type of its attestation key.
    pub key_type: KeyType,
    /// Its serial number.
    pub serial: &'a str,
    /// The LDevID of an earlier onboarding.
    pub ldevid: Option<Certificate>,
    /// How its owner signs.
    pub signature: OwnerSignature,
}

enum Module {
    Wifi(Wifi),
    Csr(Box<Csr>),
    Est(Box<Est>),
    // Hash states are large.
    Download(Box<Download>),
    Upload(Box<Upload>),
    Wget(Box<Wget>),
    Payload(Box<Payload>),
    Command(Box<Command>),
    Conformance(Conformance),
}

impl Module {
    fn name(&self) -> &'static str {
        match self {
            Self::Wifi(_) => Wifi::NAME,
            Self::Csr(_) => Csr::NAME,
            Self::Est(_) => Est::NAME,
            Self::Download(_) => Download::NAME,
            Self::Upload(_) => Upload::NAME,
            Self::Wget(_) => Wget::NAME,
            Self::Payload(_) => Payload::NAME,
            Self::Command(_) => Command::NAME,
            Self::Conformance(_) => Conformance::NAME,
        }
    }

    fn is_busy(&self) -> bool {
        match self {
            Self::Wget(wget) => wget.is_busy(),
            Self::Payload(payload) => payload.is_busy(),
            Self::Command(command) => command.is_busy(),
            _ => false,
        }
    }

    async fn settle(&mut self, patience: Duration, answers: &mut Answers) -> Result<(), Error> {
        match self {
            Self::Wget(wget) => wget.settle(patience, answers).await,
            Self::Payload(payload) => payload.settle(patience, answers).await,
            Self::Command(command) => return command.settle(patience, answers).await,
            _ => {}
        }
        Ok(())
    }
}

/// What the modules leave behind when the owner is done.
#[derive(Default)]
pub struct Outcome {
    /// The LDevID, or why there is none; nothing where the owner did not ask.
    pub ldevid: Option<Result<Ldevid, String>>,
    /// Where the LDevID is renewed, if the owner said so.
    pub renewal: Option<RenewalSource>,
    /// The Wi-Fi networks.
    pub wifi: WifiOutcome,
    /// Files that the owner sent or had fetched, and payloads.
    pub files: Vec<String>,
    /// For the event logger.
    pub conformance: Option<Token>,
    /// What was refused.
    pub refused: Vec<String>,
}

/// The modules during one TO2.
pub struct Modules {
    list: Vec<Module>,
    /// The size of the messages that the owner takes.
    size: usize,
    unknown: BTreeSet<String>,
    outgoing: Vec<ServiceInfoKv>,
    refused: Vec<String>,
}

impl Modules {
    /// The modules of a device in this situation, for an owner that takes messages of `size` bytes.
    pub fn new(settings: &ModuleSettings, situation: Situation<'_>, size: usize) -> Self {
        let Situation { key_type, serial, ldevid, signature } = situation;
        let list = [
            Wifi::new(&settings.wifi).map(Module::Wifi),
            settings.enrolment.map(|csr| Module::Csr(Box::new(Csr::new(csr, key_type, serial, ldevid)))),
            settings.renewal.then(|| Module::Est(Box::default())),
            settings
                .download
                .as_ref()
                .map(|(path, limit)| Module::Download(Box::new(Download::new(path, *limit)))),
            settings.upload.as_ref().map(|path| Module::Upload(Box::new(Upload::new(path, size)))),
            settings.wget.clone().map(|settings| Module::Wget(Box::new(Wget::new(settings)))),
            settings
                .payload
                .clone()
                .map(|settings| Module::Payload(Box::new(Payload::new(settings, size, signature)))),
            settings.command.clone().map(|limits| Module::Command(Box::new(Command::for_owner(limits, size)))),
            settings.conformance.then(|| Module::Conformance(Conformance::default())),
        ];
        Self {
            list: list.into_iter().flatten().collect(),
            size,
            unknown: BTreeSet::new(),
            outgoing: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Their names, for devmod.
    pub fn names(&self) -> Vec<&'static str> {
        self.list.iter().map(Module::name).collect()
    }

    /// Takes one complete pair of the owner.
    ///
    /// # Errors
    /// What must end the conversation: [`Error::Malformed`], [`Error::Rejected`].
    pub fn receive(&mut self, kv: &ServiceInfoKv, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        let Some(module) = self.list.iter_mut().find(|module| module.name() == kv.module()) else {
            self.refuse_module(kv);
            return Ok(());
        };
        let mut answers = Answers::new(module.name());
        let (message, item) = (kv.message(), kv.value.as_slice());
        let outcome = match module {
            Module::Wifi(wifi) => wifi.receive(message, item, &mut answers),
            Module::Csr(csr) => csr.receive(message, item, &mut answers, rng),
            Module::Est(est) => est.receive(message, item, &mut answers),
            Module::Download(download) => download.receive(message, item, &mut answers),
            Module::Upload(upload) => upload.receive(message, item, &mut answers),
            Module::Wget(wget) => wget.receive(message, item, &mut answers),
            Module::Payload(payload) => payload.receive(message, item, &mut answers),
            Module::Command(command) => command.receive(message, item, &mut answers),
            Module::Conformance(conformance) => conformance.receive(message, item, &mut answers),
        };
        self.keep(answers);
        outcome
    }

    /// An owner hears once that a module is not here; what else it sends there is dropped.
    fn refuse_module(&mut self, kv: &ServiceInfoKv) {
        let name = kv.module();
        if self.unknown.len() >= MAX_UNKNOWN || !self.unknown.insert(name.to_owned()) {
            return;
        }
        let shown: String = name.escape_debug().take(64).collect();
        self.note(format!("module {shown} is not offered by this device"));
        // Answering a deactivation would only repeat it.
        if kv.message() == "active" && decode_active(&kv.value) == Ok(false) {
            return;
        }
        let answer = ServiceInfoKv::new(name, "active", &false);
        // A name may be so long that nothing fits beside it.
        if answer.key.len() <= MAX_KEY_LENGTH && max_value_length(&answer.key, self.size) >= answer.value.len() {
            self.outgoing.push(answer);
        }
    }

    /// The owner has yielded the floor.
    pub fn turn_ends(&mut self) {
        for index in 0..self.list.len() {
            if let Module::Wifi(wifi) = &mut self.list[index] {
                let mut answers = Answers::new(Wifi::NAME);
                wifi.turn_ends(&mut answers);
                self.keep(answers);
            }
        }
    }

    /// Puts what they have to say into `outbox`, in order. Where that is nothing, work that goes on is waited for, so
    /// long that owners see that the device lives; and files go out as fast as the owner takes them, a message's worth
    /// at a time.
    ///
    /// # Errors
    /// What must end the conversation: [`Error::Rejected`], [`Error::Internal`].
    pub async fn supply(&mut self, outbox: &mut Outbox, patience: Duration) -> Result<(), Error> {
        self.say(outbox);
        for index in 0..self.list.len() {
            if !outbox.is_empty() {
                return Ok(());
            }
            let module = &mut self.list[index];
            let mut answers = Answers::new(module.name());
            let outcome = match module {
                Module::Upload(upload) => upload.supply(&mut answers),
                busy if busy.is_busy() => busy.settle(patience, &mut answers).await,
                _ => Ok(()),
            };
            self.keep(answers);
            outcome?;
            self.say(outbox);
        }
        Ok(())
    }

    /// Whether a file waits that is to be sent without a word of the owner in between.
    pub fn has_more(&self) -> bool {
        self.list.iter().any(|module| matches!(module, Module::Upload(upload) if upload.has_more()))
    }

    /// What moves, in words.
    pub fn progress(&self) -> Option<String> {
        self.list.iter().find_map(|module| match module {
            Module::Download(download) => download.transfer().map(|transfer| transfer.to_string()),
            Module::Upload(upload) => upload.transfer().map(|transfer| transfer.to_string()),
            Module::Payload(payload) => payload.transfer().map(|transfer| transfer.to_string()),
            busy => busy.is_busy().then(|| format!("{} is at work", busy.name())),
        })
    }

    fn say(&mut self, outbox: &mut Outbox) {
        std::mem::take(&mut self.outgoing).into_iter().for_each(|kv| outbox.push_split(kv));
    }

    /// What they leave behind; `state` is the state directory as a path, `has_ldevid` tells of an earlier one.
    ///
    /// # Errors
    /// [`Error::Internal`] when a file cannot be encoded.
    pub fn finish(mut self, now: u64, serial: &str, state: &str, has_ldevid: bool) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        for module in &self.list {
            match module {
                Module::Csr(csr) => outcome.ldevid = csr.finish(now)?,
                Module::Est(est) => outcome.renewal = est.finish(),
                Module::Download(download) => outcome.files.extend_from_slice(download.written()),
                Module::Wget(wget) => outcome.files.extend_from_slice(wget.written()),
                Module::Payload(payload) => outcome.files.extend_from_slice(payload.written()),
                Module::Conformance(conformance) => outcome.conformance = conformance.token().cloned(),
                Module::Wifi(_) | Module::Upload(_) | Module::Command(_) => {}
            }
        }
        let has_ldevid = has_ldevid || matches!(outcome.ldevid, Some(Ok(_)));
        for module in &self.list {
            if let Module::Wifi(wifi) = module {
                outcome.wifi = wifi.finish(&WifiContext { serial, state, has_ldevid });
            }
        }
        std::mem::take(&mut outcome.wifi.refused).into_iter().for_each(|what| self.note(what));
        outcome.refused = self.refused;
        Ok(outcome)
    }

    fn keep(&mut self, answers: Answers) {
        self.outgoing.extend(answers.pairs);
        answers.refused.into_iter().for_each(|what| self.note(what));
    }

    fn note(&mut self, what: String) {
        if self.refused.len() >= MAX_REFUSED {
            tracing::debug!("one more refusal");
            return;
        }
        let mut what = what;
        if let Some((end, _)) = what.char_indices().nth(MAX_NOTE) {
            what.truncate(end);
            what.push('…');
        }
        tracing::warn!(what, "the owner asked for something that this device does not do");
        self.refused.push(what);
    }
}

#[cfg(test)]
mod tests;
