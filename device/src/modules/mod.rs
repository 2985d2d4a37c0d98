//! The service-info modules of the device: a closed set, which the owner activates by name. What an owner asks for and
//! does not get is collected, logged, and kept in the status.

mod command;
mod csr;
mod download;
mod wifi;

use std::collections::BTreeSet;
use std::path::PathBuf;

use fdo_protocol::Error;
use fdo_protocol::cbor::Encode;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::service_info::{MAX_KEY_LENGTH, ModuleMessage, ServiceInfoKv, decode_active, max_value_length};
use rand_core::CryptoRng;

pub use command::CommandSettings;
pub use csr::Ldevid;
pub use wifi::{WifiContext, WifiFormat, WifiOutcome, WifiSettings};

use command::Command;
use csr::Csr;
use download::Download;
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
    pub enrolment: bool,
    /// `fdo.download`: the directory and the most bytes of one file.
    pub download: Option<(PathBuf, u64)>,
    /// `fdo.command`.
    pub command: Option<CommandSettings>,
}

enum Module {
    Wifi(Wifi),
    Csr(Csr),
    // Its hash state is large.
    Download(Box<Download>),
    Command(Command),
}

impl Module {
    fn name(&self) -> &'static str {
        match self {
            Self::Wifi(_) => Wifi::NAME,
            Self::Csr(_) => Csr::NAME,
            Self::Download(_) => Download::NAME,
            Self::Command(_) => Command::NAME,
        }
    }
}

/// What a module says back, and what it refused.
pub struct Answers {
    module: &'static str,
    pairs: Vec<ServiceInfoKv>,
    refused: Vec<String>,
}

impl Answers {
    fn new(module: &'static str) -> Self {
        Self { module, pairs: Vec::new(), refused: Vec::new() }
    }

    fn say<T: Encode + ?Sized>(&mut self, message: &str, value: &T) {
        self.pairs.push(ServiceInfoKv::new(self.module, message, value));
    }

    fn tell<T: ModuleMessage>(&mut self, message: &T) {
        self.pairs.push(message.to_kv());
    }

    fn say_item(&mut self, message: &str, item: Vec<u8>) {
        self.pairs.push(ServiceInfoKv::from_item(format!("{}:{message}", self.module), item));
    }

    fn refuse(&mut self, what: String) {
        self.refused.push(what);
    }

    fn ignored(&self, message: &str) {
        tracing::debug!(module = self.module, message = message.escape_debug().to_string(), "unknown message");
    }

    #[cfg(test)]
    fn pairs(&self) -> &[ServiceInfoKv] {
        &self.pairs
    }

    #[cfg(test)]
    fn refused(&self) -> &[String] {
        &self.refused
    }
}

/// What the modules leave behind when the owner is done.
#[derive(Default)]
pub struct Outcome {
    /// The LDevID, or why there is none; nothing where the owner did not ask.
    pub ldevid: Option<Result<Ldevid, String>>,
    /// The Wi-Fi networks.
    pub wifi: WifiOutcome,
    /// Downloaded files.
    pub files: Vec<String>,
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
    /// The modules of a device with this serial number, whose attestation key is of this type, for an owner that takes
    /// messages of `size` bytes.
    pub fn new(settings: &ModuleSettings, key_type: KeyType, serial: &str, size: usize) -> Self {
        let list = [
            Wifi::new(&settings.wifi).map(Module::Wifi),
            settings.enrolment.then(|| Module::Csr(Csr::new(key_type, serial))),
            settings
                .download
                .as_ref()
                .map(|(path, limit)| Module::Download(Box::new(Download::new(path, *limit)))),
            settings.command.clone().map(|settings| Module::Command(Command::for_owner(settings, size))),
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
    pub async fn receive(&mut self, kv: &ServiceInfoKv, rng: &mut (dyn CryptoRng + Send)) -> Result<(), Error> {
        let Some(module) = self.list.iter_mut().find(|module| module.name() == kv.module()) else {
            self.refuse_module(kv);
            return Ok(());
        };
        let mut answers = Answers::new(module.name());
        let (message, item) = (kv.message(), kv.value.as_slice());
        let outcome = match module {
            Module::Wifi(wifi) => wifi.receive(message, item, &mut answers),
            Module::Csr(csr) => csr.receive(message, item, &mut answers, rng),
            Module::Download(download) => download.receive(message, item, &mut answers),
            Module::Command(command) => command.receive(message, item, &mut answers).await,
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

    /// What they have to say, in order.
    pub fn take_outgoing(&mut self) -> Vec<ServiceInfoKv> {
        std::mem::take(&mut self.outgoing)
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
                Module::Download(download) => outcome.files = download.written().to_vec(),
                Module::Wifi(_) | Module::Command(_) => {}
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
