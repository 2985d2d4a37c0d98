//! `fdo.payload`, owner's side: what it is, the device's consent, the content in pieces, and what the device made of it.

use super::{Module, ModuleFailure, ModuleOutcome, Need, Progress, Provision};
use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::chunking::{Ack, Begin, ContentHash, End, Outcome, Receiver, Sender};
use crate::service_info::devmod::Devmod;
use crate::service_info::payload::{self, Announcement, Beginning, PayloadError, ToDevice, ToOwner};
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// How much of a device's log is kept, in bytes.
pub const KEPT_LOG: usize = 64 * 1024;
/// How many rounds a device may take to accept or refuse.
const MAX_SILENT_ROUNDS: u32 = 1000;
/// Reason of an ack: the device has it already.
const ALREADY_THERE: u64 = 5;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadOptions {
    /// By which name the plan knows the content; [`Need::ReadFile`] asks for it by that.
    pub source: String,
    /// Its MIME type.
    pub mime_type: String,
    /// Its name, as the device is told.
    pub name: Option<String>,
    /// Its version, as the device is told.
    pub version: Option<String>,
    /// Its length in bytes.
    pub length: u64,
    /// Its hash.
    pub hash: ContentHash,
    /// How long the device may need to apply it, in seconds; a guess.
    pub estimated_duration: Option<u64>,
    /// Whether the device is asked before the content is sent. Go devices of the first drafts know no consent: they
    /// want false.
    pub require_ack: bool,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    NotBegun,
    AwaitsAck,
    Sending,
    AwaitsResult,
}

/// Sends a payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    source: String,
    announcement: Announcement,
    length: u64,
    hash: ContentHash,
    stage: Stage,
    sender: Sender,
    sent: u64,
    silent_rounds: u32,
    log: Log,
    /// What the device said at the end, in its own words.
    remark: Option<String>,
    wants_restart: bool,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Payload {
    source,
    announcement,
    length,
    hash,
    stage,
    sender,
    sent,
    silent_rounds,
    log,
    remark,
    wants_restart,
    outbox,
    outcome
});

/// What the device tells of how it applied the payload.
#[derive(Clone, PartialEq, Eq, Default)]
struct Log {
    receiving: Option<Receiver>,
    kept: crate::cbor::ByteString,
}
cbor_array!(Log { receiving, kept });

impl Payload {
    /// For this content, sent inline.
    pub fn new(options: PayloadOptions) -> Self {
        let PayloadOptions { source, mime_type, name, version, length, hash, estimated_duration, require_ack } =
            options;
        let begin = Begin {
            total_size: Some(length),
            hash_algorithm: Some(hash.algorithm().name().to_owned()),
            require_ack,
            estimated_duration,
            ..Begin::default()
        };
        Self {
            source,
            announcement: Announcement { mime_type, name, version, begin },
            length,
            hash,
            stage: Stage::NotBegun,
            sender: Sender::new(payload::MODULE, payload::PREFIX),
            sent: 0,
            silent_rounds: 0,
            log: Log::default(),
            remark: None,
            wants_restart: false,
            outbox: Outbox::new(0),
            outcome: None,
        }
    }

    /// What the device logged while it applied the payload, at most [`KEPT_LOG`] bytes. Its word: escape it.
    pub fn log(&self) -> &[u8] {
        &self.log.kept
    }

    /// Whether the device applied it and asks for the session to be begun again.
    pub fn wants_restart(&self) -> bool {
        self.wants_restart
    }

    pub(super) fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { done: self.sent, total: Some(self.length) }
    }

    fn queue(&mut self, kv: ServiceInfoKv) {
        if self.outbox.push(kv).is_err() {
            self.outbox = Outbox::new(self.outbox.size());
            self.conclude(ModuleOutcome::Failed(ModuleFailure::TooLarge));
        }
    }

    fn accepted(&mut self) {
        self.stage = Stage::Sending;
        if self.length == 0 {
            self.end();
        }
    }

    fn end(&mut self) {
        let end = End { hash: Some(self.hash.digest().to_vec()), ..End::default() };
        let kv = self.sender.end(&end);
        self.queue(kv);
        self.stage = Stage::AwaitsResult;
    }

    fn on_ack(&mut self, ack: Ack) {
        if self.stage != Stage::AwaitsAck {
            return;
        }
        if ack.accepted {
            return self.accepted();
        }
        self.remark = ack.message;
        let reason = ack.reason.unwrap_or_default();
        let there = reason == ALREADY_THERE;
        self.conclude(if there {
            ModuleOutcome::Done
        } else {
            ModuleOutcome::Failed(ModuleFailure::PayloadRefused(reason))
        });
    }

    fn on_result(&mut self, outcome: Outcome) {
        self.remark = outcome.message;
        self.wants_restart = outcome.status == 3;
        let well = matches!(outcome.status, 0 | 1 | 3) && self.stage == Stage::AwaitsResult;
        self.conclude(if well {
            ModuleOutcome::Done
        } else {
            ModuleOutcome::Failed(ModuleFailure::Payload(PayloadError::UnableToApply))
        });
    }

    /// A log that is longer than what is kept goes on without being kept.
    fn on_log(&mut self, index: u64, piece: &[u8]) -> Result<(), Error> {
        let Some(receiving) = &mut self.log.receiving else { return Ok(()) };
        if receiving.data(index, piece)? {
            let room = KEPT_LOG.saturating_sub(self.log.kept.len());
            self.log.kept.0.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        Ok(())
    }

    fn log_begins(&mut self, begin: &Begin) {
        let receiver = Receiver::begin(&Begin { total_size: None, ..begin.clone() }, u64::MAX);
        let wanted = receiver.is_ok() && self.log.kept.is_empty();
        self.log.receiving = receiver.ok().filter(|_| wanted);
        if begin.require_ack {
            let ack = if wanted { Ack::ACCEPTED } else { Ack::refused(ALREADY_THERE, "no more logs") };
            self.queue(ToDevice::LogAck(ack).to_kv());
        }
    }
}

impl Module for Payload {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        self.stage = Stage::AwaitsAck;
        self.queue(ToDevice::Active(true).to_kv());
        let beginning = Beginning::Bare(Box::new(self.announcement.clone()));
        self.queue(ToDevice::Begin(beginning).to_kv());
        if self.outcome.is_none() && !self.announcement.begin.require_ack {
            self.accepted();
        }
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        let message = ToOwner::decode(message, item)?;
        if self.outcome.is_some() {
            return Ok(());
        }
        self.silent_rounds = 0;
        match message {
            Some(ToOwner::Active(false)) => self.conclude(ModuleOutcome::NotOffered),
            Some(ToOwner::Ack(ack)) => self.on_ack(ack),
            Some(ToOwner::Result(outcome)) => self.on_result(outcome),
            Some(ToOwner::Error(error, text)) => {
                self.remark = text;
                self.conclude(ModuleOutcome::Failed(ModuleFailure::Payload(error)));
            }
            Some(ToOwner::LogBegin(begin)) => self.log_begins(&begin),
            Some(ToOwner::LogData(index, piece)) => self.on_log(index, &piece)?,
            Some(ToOwner::LogEnd(_)) => self.log.receiving = None,
            Some(ToOwner::Active(true)) | None => {}
        }
        Ok(())
    }

    fn end_of_turn(&mut self) {
        if self.stage == Stage::AwaitsAck && self.outbox.is_empty() {
            self.silent_rounds += 1;
            if self.silent_rounds > MAX_SILENT_ROUNDS {
                self.conclude(ModuleOutcome::Failed(ModuleFailure::PayloadUnanswered));
            }
        }
    }

    fn need(&self) -> Option<Need> {
        let left = self.length - self.sent;
        if self.stage != Stage::Sending || left == 0 || !self.outbox.is_empty() {
            return None;
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.sender.filling(self.outbox.size()));
        Some(Need::ReadFile { name: self.source.clone(), offset: self.sent, length })
    }

    fn answer(&mut self, provision: Provision) -> Result<(), Error> {
        let Some(Need::ReadFile { length, .. }) = self.need() else {
            return Err(Error::Internal("a part of a file that nobody asked for"));
        };
        match provision {
            Provision::FilePart(part) if part.len() == length => {
                let piece = self.sender.piece(self.outbox.size());
                for piece in part.chunks(piece) {
                    let kv = self.sender.data(piece);
                    self.queue(kv);
                }
                self.sent += part.len() as u64;
                if self.sent == self.length {
                    self.end();
                }
            }
            Provision::FilePart(_) | Provision::Refused(_) => {
                let end = End { status: 1, message: Some("the owner cannot read it".to_owned()), hash: None };
                let kv = self.sender.end(&end);
                self.queue(kv);
                self.conclude(ModuleOutcome::Failed(ModuleFailure::FileUnreadable));
            }
            _ => return Err(Error::Internal("an answer to another question")),
        }
        Ok(())
    }

    fn next(&mut self, room: usize) -> Option<ServiceInfoKv> {
        self.outbox.next(room)
    }

    fn has_more(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn has_last_word(&self) -> bool {
        self.has_more() && self.outcome == Some(ModuleOutcome::Failed(ModuleFailure::FileUnreadable))
    }

    fn outcome(&self) -> Option<&ModuleOutcome> {
        self.outcome.as_ref()
    }

    fn conclude(&mut self, outcome: ModuleOutcome) {
        self.outcome.get_or_insert(outcome);
    }
}

impl Encode for Stage {
    fn encode_into(&self, writer: &mut Writer) {
        writer.unsigned(match self {
            Self::NotBegun => 0,
            Self::AwaitsAck => 1,
            Self::Sending => 2,
            Self::AwaitsResult => 3,
        });
    }
}

impl Decode for Stage {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        [Self::NotBegun, Self::AwaitsAck, Self::Sending, Self::AwaitsResult]
            .get(usize::from(u8::decode_from(reader)?))
            .copied()
            .ok_or(Error::Malformed("a stored payload of an unknown kind"))
    }
}
