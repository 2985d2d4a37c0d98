//! `fdo.download`, owner's side: name, length and hash, then the file in pieces, then the device says that it is done.
//! A file whose length nobody knows beforehand ends with an empty piece; few devices take one.

use super::{Module, ModuleFailure, ModuleOutcome, Need, Progress, Provision};
use crate::cbor::ByteString;
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::devmod::Devmod;
use crate::service_info::download::{MAX_DATA, ToDevice, ToOwner};
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv, max_value_length};

/// The head of a byte string of up to [`MAX_DATA`] bytes.
const ITEM_HEAD: usize = 3;

/// Sends a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Download {
    file: File,
    /// Bytes handed to the outbox so far.
    sent: u64,
    begun: bool,
    /// All of it was handed to the outbox.
    ended: bool,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Download { file, sent, begun, ended, outbox, outcome });

/// What is known of the file before it is read.
#[derive(Clone, PartialEq, Eq)]
struct File {
    name: String,
    length: Option<u64>,
    sha384: Option<ByteString>,
}
cbor_array!(File { name, length, sha384 });

impl Download {
    /// For a file of this length and hash, to be written to `name` on the device.
    pub fn new(name: String, length: u64, sha384: [u8; 48]) -> Self {
        Self::of(File { name, length: Some(length), sha384: Some(ByteString(sha384.to_vec())) })
    }

    /// For a file that ends where a part of it comes short.
    pub fn stream(name: String, sha384: Option<[u8; 48]>) -> Self {
        Self::of(File { name, length: None, sha384: sha384.map(|digest| ByteString(digest.to_vec())) })
    }

    fn of(file: File) -> Self {
        Self { file, sent: 0, begun: false, ended: false, outbox: Outbox::new(0), outcome: None }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { done: self.sent, total: self.file.length }
    }

    /// The longest piece that fits into a message and that every device takes.
    fn piece(&self) -> usize {
        let fitting = max_value_length("fdo.download:data", self.outbox.size());
        MAX_DATA.min(fitting.saturating_sub(ITEM_HEAD))
    }

    /// An empty piece: of an empty file, or behind one whose length was not given.
    fn end(&mut self) {
        self.ended = true;
        self.queue(&ToDevice::Data(Vec::new().into()));
    }

    fn queue(&mut self, message: &ToDevice) {
        if self.outbox.push(message.to_kv()).is_err() {
            self.conclude(ModuleOutcome::Failed(ModuleFailure::TooLarge));
        }
    }
}

impl Module for Download {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        self.begun = true;
        let File { name, length, sha384 } = self.file.clone();
        self.queue(&ToDevice::Active(true));
        self.queue(&ToDevice::Name(name));
        length.into_iter().for_each(|length| self.queue(&ToDevice::Length(length)));
        let digest = sha384.and_then(|digest| digest.0.try_into().ok());
        digest.into_iter().for_each(|digest| self.queue(&ToDevice::Sha384(digest)));
        if length == Some(0) {
            self.end();
        }
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        let outcome = match ToOwner::decode(message, item)? {
            Some(ToOwner::Active(false)) => ModuleOutcome::NotOffered,
            Some(ToOwner::Done(written)) => {
                let whole = written == Some(self.sent) && self.ended;
                if whole { ModuleOutcome::Done } else { ModuleOutcome::Failed(ModuleFailure::Download) }
            }
            Some(ToOwner::Active(true)) | None => return Ok(()),
        };
        self.conclude(outcome);
        Ok(())
    }

    fn need(&self) -> Option<Need> {
        if !self.begun || self.ended || !self.outbox.is_empty() {
            return None;
        }
        let left = self.file.length.map_or(u64::MAX, |length| length - self.sent);
        // As many pieces as one message takes, each with its key.
        let piece = self.piece();
        let whole = ServiceInfoKv::from_item("fdo.download:data".into(), vec![0; piece + ITEM_HEAD]);
        let pieces = (Outbox::room(self.outbox.size()) / whole.encoded_length()).max(1);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(pieces * piece);
        Some(Need::ReadFile { name: self.file.name.clone(), offset: self.sent, length })
    }

    fn answer(&mut self, provision: Provision) -> Result<(), Error> {
        let Some(Need::ReadFile { length, .. }) = self.need() else {
            return Err(Error::Internal("a part of a file that nobody asked for"));
        };
        match provision {
            Provision::FilePart(part)
                if part.len() == length || self.file.length.is_none() && part.len() < length =>
            {
                for piece in part.chunks(self.piece()) {
                    self.queue(&ToDevice::Data(piece.to_vec().into()));
                }
                self.sent += part.len() as u64;
                match self.file.length {
                    Some(length) => self.ended = self.sent == length,
                    None if part.len() < length => self.end(),
                    None => {}
                }
            }
            // A file that became shorter would not have the hash that was announced.
            Provision::FilePart(_) | Provision::Refused(_) => {
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

    fn outcome(&self) -> Option<&ModuleOutcome> {
        self.outcome.as_ref()
    }

    fn conclude(&mut self, outcome: ModuleOutcome) {
        self.outcome.get_or_insert(outcome);
    }
}
