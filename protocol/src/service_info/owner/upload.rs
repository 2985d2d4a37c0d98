//! `fdo.upload`, owner's side: asks for a file, has each part stored as it comes, and has the whole checked at the end.
//!
//! The hash is taken over what was stored, by whoever stored it: there is no state of a hash to keep between two
//! messages, and what is checked is what will be read.

use super::{Module, ModuleFailure, ModuleOutcome, Need, Progress, Provision};
use crate::cbor::ByteString;
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::devmod::Devmod;
use crate::service_info::upload::{ToDevice, ToOwner};
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// How many rounds on end a device may take without a word of the file.
const MAX_SILENT_ROUNDS: u32 = 1000;
/// The head of a message's pairs is no part of the file, and pieces may be small.
const OVERHEAD: u64 = 64 * 1024;

/// Receives a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    name: String,
    limit: u64,
    need_sha: bool,
    length: Option<u64>,
    sha384: Option<ByteString>,
    /// Bytes that are stored.
    stored: u64,
    /// Bytes that wait to be stored: no more than one message brings.
    waiting: ByteString,
    /// Nothing more comes: what is stored is to be checked.
    complete: bool,
    heard: bool,
    silent_rounds: u32,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Upload {
    name,
    limit,
    need_sha,
    length,
    sha384,
    stored,
    waiting,
    complete,
    heard,
    silent_rounds,
    outbox,
    outcome
});

impl Upload {
    /// Asks for the file `name` of at most `limit` bytes. With `need_sha` one that comes without its hash is not taken.
    pub fn new(name: String, limit: u64, need_sha: bool) -> Self {
        Self {
            name,
            limit,
            need_sha,
            length: None,
            sha384: None,
            stored: 0,
            waiting: ByteString::default(),
            complete: false,
            heard: false,
            silent_rounds: 0,
            outbox: Outbox::new(0),
            outcome: None,
        }
    }

    /// The name that was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { done: self.stored, total: self.length }
    }

    /// What the device may send for this, in bytes.
    pub(super) fn allowance(&self) -> u64 {
        self.limit.saturating_add(self.limit / 4).saturating_add(OVERHEAD)
    }

    fn received(&self) -> u64 {
        self.stored.saturating_add(self.waiting.len() as u64)
    }

    /// Ends it, and tells a device that goes on sending.
    fn fail(&mut self, failure: ModuleFailure) {
        self.waiting = ByteString::default();
        self.outbox = Outbox::new(self.outbox.size());
        // It fits, since what began the module did.
        let _ = self.outbox.push(ToDevice::Active(false).to_kv());
        self.conclude(ModuleOutcome::Failed(failure));
    }

    fn announced(&mut self, length: u64) {
        if length > self.limit {
            self.fail(ModuleFailure::UploadTooLarge);
        } else if self.length.is_some_and(|earlier| earlier != length) || self.received() > length {
            self.fail(ModuleFailure::UploadMismatch);
        } else {
            self.length = Some(length);
        }
    }

    fn piece(&mut self, data: &[u8]) {
        // An empty piece behind the last one is a habit of some.
        if self.complete && data.is_empty() {
            return;
        }
        if self.complete {
            return self.fail(ModuleFailure::UploadMismatch);
        }
        let after = self.received().saturating_add(data.len() as u64);
        if after > self.length.unwrap_or(self.limit) {
            let beyond =
                if self.length.is_some() { ModuleFailure::UploadMismatch } else { ModuleFailure::UploadTooLarge };
            return self.fail(beyond);
        }
        self.waiting.0.extend_from_slice(data);
        let whole = match self.length {
            Some(length) => after == length,
            // Without a length an empty piece ends it.
            None => data.is_empty(),
        };
        if whole && (!self.need_sha || self.sha384.is_some()) {
            self.complete = true;
        }
    }

    fn hash(&mut self, digest: [u8; 48]) {
        if self.sha384.as_ref().is_some_and(|earlier| earlier.0 != digest) {
            return self.fail(ModuleFailure::UploadMismatch);
        }
        if self.length.is_some_and(|length| length != self.received()) {
            return self.fail(ModuleFailure::UploadMismatch);
        }
        self.sha384 = Some(ByteString(digest.to_vec()));
        self.complete = true;
    }
}

impl Module for Upload {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        for message in
            [ToDevice::Active(true), ToDevice::NeedSha(self.need_sha), ToDevice::Name(self.name.clone())]
        {
            if self.outbox.push(message.to_kv()).is_err() {
                self.outbox = Outbox::new(size);
                return self.conclude(ModuleOutcome::Failed(ModuleFailure::TooLarge));
            }
        }
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        let message = ToOwner::decode(message, item)?;
        if self.outcome.is_some() {
            return Ok(());
        }
        self.heard |= message.is_some();
        match message {
            Some(ToOwner::Active(false)) => self.fail(ModuleFailure::UploadDeclined),
            Some(ToOwner::Length(length)) => self.announced(length),
            Some(ToOwner::Data(data)) => self.piece(&data),
            Some(ToOwner::Sha384(digest)) => self.hash(digest),
            Some(ToOwner::Active(true)) | None => {}
        }
        Ok(())
    }

    fn end_of_turn(&mut self) {
        if std::mem::take(&mut self.heard) || !self.outbox.is_empty() || self.complete {
            self.silent_rounds = 0;
            return;
        }
        if self.length == Some(0) && !self.need_sha {
            // Some say nothing at all of an empty file but its length.
            self.complete = true;
            return;
        }
        self.silent_rounds += 1;
        if self.silent_rounds > MAX_SILENT_ROUNDS {
            self.fail(ModuleFailure::UploadIncomplete);
        }
    }

    fn need(&self) -> Option<Need> {
        let name = || self.name.clone();
        if !self.waiting.is_empty() {
            return Some(Need::StoreUpload { name: name(), offset: self.stored, data: self.waiting.0.clone() });
        }
        let sha384 = self.sha384.as_ref().and_then(|digest| digest.0.as_slice().try_into().ok());
        self.complete.then(|| Need::FinishUpload { name: name(), length: self.stored, sha384 })
    }

    fn answer(&mut self, provision: Provision) -> Result<(), Error> {
        match (self.need(), provision) {
            (Some(Need::StoreUpload { .. }), Provision::Stored) => {
                self.stored = self.received();
                self.waiting = ByteString::default();
            }
            (Some(Need::FinishUpload { .. }), Provision::Stored) => self.conclude(ModuleOutcome::Done),
            (Some(Need::FinishUpload { .. }), Provision::Mismatch) => self.fail(ModuleFailure::UploadMismatch),
            (Some(_), Provision::Refused(_)) => self.fail(ModuleFailure::UploadNotStored),
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
        self.has_more()
    }

    fn outcome(&self) -> Option<&ModuleOutcome> {
        self.outcome.as_ref()
    }

    fn conclude(&mut self, outcome: ModuleOutcome) {
        self.outcome.get_or_insert(outcome);
    }
}
