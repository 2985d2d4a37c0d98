//! `fdo.upload` on the device: files below one directory, read piece by piece while the owner listens.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use fdo_protocol::Error;
use fdo_protocol::service_info::upload::{MAX_DATA, MODULE, ToDevice, ToOwner};
use fdo_protocol::service_info::{ModuleMessage as _, Outbox, max_value_length};
use sha2::{Digest as _, Sha384};
use zeroize::Zeroizing;

use super::Answers;
use super::files::FilesDirectory;
use super::transfer::Transfer;

/// What a byte string of a piece takes beyond it.
const PIECE_HEAD: usize = 3;

/// The module's state.
pub struct Upload {
    directory: FilesDirectory,
    /// The most bytes of a piece.
    piece: usize,
    /// How many pieces fill a message.
    pieces: usize,
    need_sha: bool,
    sending: Option<Sending>,
}

struct Sending {
    name: String,
    file: File,
    length: u64,
    sent: u64,
    hash: Sha384,
    /// The length was said and the owner had its turn: it may not want so much.
    agreed: bool,
}

impl Upload {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// Files below `directory`, for an owner that takes messages of `size` bytes.
    pub fn new(directory: &Path, size: usize) -> Self {
        let empty = ToOwner::Data(Zeroizing::default()).to_kv();
        let piece = MAX_DATA.min(max_value_length(&empty.key, size).saturating_sub(PIECE_HEAD)).max(1);
        let whole = ToOwner::Data(Zeroizing::new(vec![0; piece])).to_kv();
        Self {
            directory: FilesDirectory::new(directory),
            piece,
            pieces: (Outbox::room(size) / whole.encoded_length()).max(1),
            need_sha: false,
            sending: None,
        }
    }

    /// How far the current file has come.
    pub fn transfer(&self) -> Option<Transfer<'_>> {
        let sending = self.sending.as_ref()?;
        Some(Transfer { module: MODULE, name: &sending.name, done: sending.sent, total: Some(sending.length) })
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type. A file that is not given is told by `active`, false.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) => answers.tell(&ToOwner::Active(true)),
            ToDevice::Active(false) => {
                if let Some(sending) = self.sending.take() {
                    answers.refuse(format!("upload of {:?}: the owner does not take it", sending.name));
                }
            }
            ToDevice::NeedSha(needed) => self.need_sha = needed,
            ToDevice::Name(name) => match self.directory.open(&name) {
                Ok((file, length)) => {
                    tracing::info!(name, length, "sending a file to the owner");
                    answers.tell(&ToOwner::Length(length));
                    let hash = Sha384::new();
                    self.sending = Some(Sending { name, file, length, sent: 0, hash, agreed: false });
                }
                Err(reason) => {
                    self.sending = None;
                    answers.refuse(format!("upload of {name:?}: {reason}"));
                    answers.tell(&ToOwner::Active(false));
                }
            },
        }
        Ok(())
    }

    /// Whether pieces wait that may be sent at once.
    pub fn has_more(&self) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.agreed)
    }

    /// The pieces of one message; nothing where the owner is to have its turn first.
    ///
    /// # Errors
    /// [`Error::Internal`] when the file cannot be read as it was announced: the owner must not wait for the rest.
    pub fn supply(&mut self, answers: &mut Answers) -> Result<(), Error> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        if !sending.agreed {
            sending.agreed = true;
            return Ok(());
        }
        for _ in 0..self.pieces {
            let left = usize::try_from(sending.length - sending.sent).unwrap_or(usize::MAX);
            let mut piece = Zeroizing::new(vec![0; left.min(self.piece)]);
            sending.file.read_exact(&mut piece).map_err(|error| {
                tracing::error!(%error, name = sending.name, "a file changed while it was sent");
                Error::Internal("a file changed while it was sent")
            })?;
            sending.hash.update(&*piece);
            sending.sent += piece.len() as u64;
            answers.tell(&ToOwner::Data(piece));
            if sending.sent == sending.length {
                if self.need_sha {
                    let digest = std::mem::take(&mut sending.hash).finalize();
                    answers.tell(&ToOwner::Sha384(digest.into()));
                }
                self.sending = None;
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
