//! `fdo.payload` on the device: what is of an allowed type is received whole, checked, and then handed to a program of
//! the configuration or put into the directory for files. Off unless types are allowed.

mod log;

use std::time::Duration;

use fdo_protocol::Error;
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::chunking::{Ack, ChunkError, End, Outcome, Receiver};
use fdo_protocol::service_info::payload::{Announcement, MODULE, OwnerSignature, PayloadError, ToDevice, ToOwner};
use sha2::{Digest as _, Sha256, Sha384};
use tokio::sync::mpsc;

use super::Answers;
use super::background::Background;
use super::files::{FilesDirectory, PartFile};
use super::program::{self, Ended, Limits};
use super::transfer::Transfer;

/// What a program has for applying a payload where the owner does not say how long it takes.
const DEFAULT_TIME: Duration = Duration::from_secs(300);
/// How much of a text the owner is told, in characters.
const MAX_REMARK: usize = 120;

/// What the configuration allows.
#[derive(Debug, Clone)]
pub struct PayloadSettings {
    /// The MIME types that are taken, in lower case.
    pub types: Vec<String>,
    /// The most bytes of one payload.
    pub limit: u64,
    /// The program that applies payloads, with its first arguments; type, name and file follow. Without it they are
    /// files.
    pub program: Vec<String>,
    /// What that program may use.
    pub limits: Limits,
    /// Whether its output is sent to the owner. Some owners end the conversation over it.
    pub log: bool,
}

/// The module's state.
pub struct Payload {
    settings: PayloadSettings,
    directory: FilesDirectory,
    size: usize,
    signature: OwnerSignature,
    receiving: Option<Box<Receiving>>,
    work: Background<Result<Ended, String>>,
    applying: Option<(String, PartFile)>,
    written: Vec<String>,
}

struct Receiving {
    announcement: Announcement,
    name: String,
    receiver: Receiver,
    file: PartFile,
    // Which of them counts is known at the end.
    sha256: Sha256,
    sha384: Sha384,
}

impl Payload {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// The module with these limits, for an owner that takes messages of `size` bytes and signs like this.
    pub fn new(settings: PayloadSettings, size: usize, signature: OwnerSignature) -> Self {
        Self {
            directory: FilesDirectory::new(&settings.limits.directory),
            settings,
            size,
            signature,
            receiving: None,
            work: Background::idle(),
            applying: None,
            written: Vec::new(),
        }
    }

    /// The payloads that became files, or that were applied.
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// Whether a payload is being applied.
    pub fn is_busy(&self) -> bool {
        self.work.is_busy()
    }

    /// How far the current payload has come.
    pub fn transfer(&self) -> Option<Transfer<'_>> {
        let receiving = self.receiving.as_ref()?;
        let total = receiving.announcement.begin.total_size;
        Some(Transfer { module: MODULE, name: &receiving.name, done: receiving.receiver.received(), total })
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type, [`Error::Rejected`] for a payload before the last was applied.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) => answers.tell(&ToOwner::Active(true)),
            ToDevice::Active(false) => self.receiving = None,
            ToDevice::Begin(_) if self.is_busy() => {
                return Err(Error::Rejected("a second payload before the first was applied"));
            }
            ToDevice::Begin(beginning) => {
                self.receiving = None;
                match self.signature.announcement(beginning) {
                    Ok(announcement) => self.begin(announcement, answers),
                    Err(error) => fail(answers, "?", error, &error.to_string()),
                }
            }
            ToDevice::Data(index, piece) => self.piece(index, &piece, answers),
            ToDevice::End(end) => self.end(&end, answers),
            // A log is short: it is on its way before anybody can refuse it.
            ToDevice::LogAck(_) => {}
        }
        Ok(())
    }

    fn begin(&mut self, announcement: Announcement, answers: &mut Answers) {
        let shown = announcement.name.clone().unwrap_or_else(|| announcement.mime_type.clone());
        let begin = &announcement.begin;
        if begin.delivery_mode != 0 {
            return fail(answers, &shown, PayloadError::DeliveryMode, "payloads are taken inline only");
        }
        let mut refuse = |reason: u64, error: PayloadError, why: &str| {
            answers.refuse(format!("payload {shown:?}: {why}"));
            answers.tell(&match begin.require_ack {
                true => ToOwner::Ack(Ack::refused(reason, why)),
                false => ToOwner::Error(error, Some(why.to_owned())),
            });
        };
        let mime_type = announcement.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !self.settings.types.contains(&mime_type) {
            return refuse(1, PayloadError::UnknownMimeType, "this type is not allowed on this device");
        }
        let receiver = match Receiver::begin(begin, self.settings.limit) {
            Ok(receiver) => receiver,
            Err(ChunkError::TooLarge) => return refuse(2, PayloadError::Resource, "it is too large"),
            Err(error) => return refuse(4, PayloadError::UnsupportedFeature, &error.to_string()),
        };
        let name = announcement.name.clone().unwrap_or_else(|| format!("payload-{}", self.written.len()));
        // The program would take it for an option.
        if name.starts_with('-') {
            return refuse(4, PayloadError::Resource, "its name begins with a hyphen");
        }
        match self.directory.create(&name, "payload") {
            Err(why) => refuse(4, PayloadError::Resource, &why),
            Ok(file) => {
                if begin.require_ack {
                    answers.tell(&ToOwner::Ack(Ack::ACCEPTED));
                }
                let (sha256, sha384) = (Sha256::new(), Sha384::new());
                self.receiving = Some(Box::new(Receiving { announcement, name, receiver, file, sha256, sha384 }));
            }
        }
    }

    fn piece(&mut self, index: u64, piece: &[u8], answers: &mut Answers) {
        // What follows a refusal is dropped.
        let Some(receiving) = &mut self.receiving else { return };
        let taken = match receiving.receiver.data(index, piece) {
            Ok(false) => return,
            Ok(true) => {
                receiving.sha256.update(piece);
                receiving.sha384.update(piece);
                receiving.file.write(piece).map_err(|why| (PayloadError::Resource, why))
            }
            Err(error) => Err((PayloadError::Transfer, error.to_string())),
        };
        if let Err((error, why)) = taken {
            let name = std::mem::take(&mut receiving.name);
            self.receiving = None;
            fail(answers, &name, error, &why);
        }
    }

    fn end(&mut self, end: &End, answers: &mut Answers) {
        let Some(receiving) = self.receiving.take() else { return };
        let Receiving { announcement, name, receiver, file, sha256, sha384 } = *receiving;
        let holds = match receiver.end(end) {
            Ok(None) => Ok(()),
            Ok(Some(hash)) => {
                let digest = if hash.digest().len() == 32 {
                    sha256.finalize().to_vec()
                } else {
                    sha384.finalize().to_vec()
                };
                if hash.digest() == digest {
                    Ok(())
                } else {
                    Err((PayloadError::Hash, "its hash differs".to_owned()))
                }
            }
            Err(error @ ChunkError::Hash) => Err((PayloadError::Hash, error.to_string())),
            Err(error) => Err((PayloadError::Transfer, error.to_string())),
        };
        if let Err((error, why)) = holds {
            return fail(answers, &name, error, &why);
        }
        let Some((program, first)) = self.settings.program.split_first() else {
            return match file.publish() {
                Ok(_) => {
                    self.written.push(name);
                    answers.tell(&ToOwner::Result(Outcome { status: 0, message: None }));
                }
                Err(why) => fail(answers, &name, PayloadError::Resource, &why),
            };
        };
        let mut arguments = first.to_vec();
        arguments.extend([announcement.mime_type, name.clone(), file.path().display().to_string()]);
        // An owner's guess is doubled, and never more than what the configuration allows.
        let guess = announcement.begin.estimated_duration.filter(|seconds| *seconds > 0);
        let guess = guess.map(|seconds| Duration::from_secs(seconds.saturating_mul(2)));
        let time_limit = guess.unwrap_or(DEFAULT_TIME).min(self.settings.limits.time_limit);
        let limits = Limits { time_limit, ..self.settings.limits.clone() };
        tracing::info!(name, program, "applying a payload of the owner");
        // Nobody signals it.
        let (_, signals) = mpsc::channel(1);
        self.work.start(program::run(limits, program.clone(), arguments, signals));
        self.applying = Some((name, file));
    }

    /// Waits for the program for so long, and tells the owner what came of it.
    pub async fn settle(&mut self, patience: Duration, answers: &mut Answers) {
        let Some(ended) = self.work.wait(patience).await else { return };
        // The file goes with the end of this function.
        let Some((name, _file)) = self.applying.take() else { return };
        let ended = match ended.flatten() {
            Ok(ended) => ended,
            Err(why) => return fail(answers, &name, PayloadError::UnableToApply, &why),
        };
        if self.settings.log {
            log::tell(&ended, self.size, answers);
        }
        let outcome = if ended.code == 0 {
            self.written.push(name);
            Outcome { status: 0, message: None }
        } else {
            let why = format!("its program ended with code {}", ended.code);
            answers.refuse(format!("payload {name:?}: {why}"));
            Outcome { status: 2, message: Some(why) }
        };
        answers.tell(&ToOwner::Result(outcome));
    }
}

fn fail(answers: &mut Answers, name: &str, error: PayloadError, why: &str) {
    answers.refuse(format!("payload {name:?}: {why}"));
    answers.tell(&ToOwner::Error(error, Some(why.chars().take(MAX_REMARK).collect())));
}

#[cfg(test)]
mod tests;
