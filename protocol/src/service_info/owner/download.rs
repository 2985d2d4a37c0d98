//! `fdo.download`, owner's side: name, length and hash, then the file in pieces, then the device says that it is done.

use super::{Module, ModuleFailure, ModuleOutcome, Need, Provision};
use crate::cbor::{ByteString, Decode, Encode, Reader, Writer};
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
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Download { file, sent, begun, outbox, outcome });

/// What is known of the file before it is read.
#[derive(Clone, PartialEq, Eq)]
struct File {
    name: String,
    length: u64,
    sha384: [u8; 48],
}

impl Download {
    /// For a file of this length and hash, to be written to `name` on the device.
    pub fn new(name: String, length: u64, sha384: [u8; 48]) -> Self {
        Self { file: File { name, length, sha384 }, sent: 0, begun: false, outbox: Outbox::new(0), outcome: None }
    }

    /// The longest piece that fits into a message and that every device takes.
    fn piece(&self) -> usize {
        let fitting = max_value_length("fdo.download:data", self.outbox.size());
        MAX_DATA.min(fitting.saturating_sub(ITEM_HEAD))
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
        self.queue(&ToDevice::Length(length));
        self.queue(&ToDevice::Sha384(sha384));
        if length == 0 {
            self.queue(&ToDevice::Data(Vec::new().into()));
        }
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        let outcome = match ToOwner::decode(message, item)? {
            Some(ToOwner::Active(false)) => ModuleOutcome::NotOffered,
            Some(ToOwner::Done(written)) => {
                let whole = written == Some(self.file.length) && self.sent == self.file.length;
                if whole { ModuleOutcome::Done } else { ModuleOutcome::Failed(ModuleFailure::Download) }
            }
            Some(ToOwner::Active(true)) | None => return Ok(()),
        };
        self.conclude(outcome);
        Ok(())
    }

    fn need(&self) -> Option<Need> {
        let left = self.file.length - self.sent;
        if !self.begun || left == 0 || !self.outbox.is_empty() {
            return None;
        }
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
            Provision::FilePart(part) if part.len() == length => {
                for piece in part.chunks(self.piece()) {
                    self.queue(&ToDevice::Data(piece.to_vec().into()));
                }
                self.sent += part.len() as u64;
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

impl Encode for File {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(3).text(&self.name).unsigned(self.length).bytes(&self.sha384);
    }
}

impl Decode for File {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        let (name, length) = (String::decode_from(reader)?, reader.unsigned()?);
        let ByteString(digest) = ByteString::decode_from(reader)?;
        let sha384 = digest.try_into();
        Ok(Self { name, length, sha384: sha384.map_err(|_| Error::Malformed("a SHA-384 digest has 48 bytes"))? })
    }
}
