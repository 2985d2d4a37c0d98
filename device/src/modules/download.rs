//! `fdo.download` on the device: files that the owner sends, confined to one directory and streamed to disk.

use std::path::Path;

use fdo_protocol::Error;
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::download::{MODULE, ToDevice, ToOwner};
use sha2::{Digest as _, Sha384};

use super::Answers;
use super::files::{FilesDirectory, PartFile};
use super::transfer::Transfer;

/// The module's state.
pub struct Download {
    directory: FilesDirectory,
    limit: u64,
    announced: Announced,
    receiving: Option<(PartFile, Sha384)>,
    /// The current file is done or refused: further data is dropped until the next name.
    closed: bool,
    written: Vec<String>,
}

/// What the owner said of the file to come.
#[derive(Default)]
struct Announced {
    name: Option<String>,
    length: Option<u64>,
    sha384: Option<[u8; 48]>,
}

impl Download {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// Files go below `directory`, each of at most `limit` bytes.
    pub fn new(directory: &Path, limit: u64) -> Self {
        Self {
            directory: FilesDirectory::new(directory),
            limit,
            announced: Announced::default(),
            receiving: None,
            closed: true,
            written: Vec::new(),
        }
    }

    /// The files that were written, by the name that the owner gave them.
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// How far the current file has come.
    pub fn transfer(&self) -> Option<Transfer<'_>> {
        let (file, _) = self.receiving.as_ref()?;
        let name = self.announced.name.as_deref()?;
        Some(Transfer { module: MODULE, name, done: file.length(), total: self.announced.length })
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type. What goes wrong with a file is told by `done`.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) => answers.tell(&ToOwner::Active(true)),
            ToDevice::Active(false) => {}
            ToDevice::Name(name) => {
                self.receiving = None;
                self.announced = Announced { name: Some(name), ..Announced::default() };
                self.closed = false;
            }
            ToDevice::Length(length) => self.announced.length = Some(length),
            ToDevice::Sha384(digest) => self.announced.sha384 = Some(digest),
            ToDevice::Data(_) if self.closed => {}
            ToDevice::Data(data) => match self.take(&data) {
                Ok(Some(length)) => {
                    self.closed = true;
                    answers.tell(&ToOwner::Done(Some(length)));
                    self.written.extend(self.announced.name.take());
                }
                Ok(None) => {}
                Err(reason) => {
                    self.closed = true;
                    self.receiving = None;
                    let name = self.announced.name.as_deref().unwrap_or_default();
                    answers.refuse(format!("download of {name:?}: {reason}"));
                    answers.tell(&ToOwner::Done(None));
                }
            },
        }
        Ok(())
    }

    /// The length once the file is complete and in its place.
    fn take(&mut self, data: &[u8]) -> Result<Option<u64>, String> {
        let (mut file, mut hash) = match self.receiving.take() {
            Some(receiving) => receiving,
            None => (self.open()?, Sha384::new()),
        };
        let length = file.length().saturating_add(data.len() as u64);
        let most = self.announced.length.unwrap_or(self.limit);
        if length > most || length > self.limit {
            return Err(format!("more than {} bytes", most.min(self.limit)));
        }
        hash.update(data);
        file.write(data)?;
        let complete = self.announced.length == Some(length);
        // Without a length, an empty piece ends the file.
        let ended = data.is_empty();
        if !complete && !ended {
            self.receiving = Some((file, hash));
            return Ok(None);
        }
        if !complete && self.announced.length.is_some() {
            return Err("it ended before its length was reached".to_owned());
        }
        if self.announced.sha384.is_some_and(|expected| expected != hash.finalize().as_slice()) {
            return Err("its SHA-384 is not the announced one".to_owned());
        }
        file.publish().map(Some)
    }

    fn open(&self) -> Result<PartFile, String> {
        let name = self.announced.name.as_deref().ok_or("data without a name")?;
        if self.announced.length.is_some_and(|length| length > self.limit) {
            return Err(format!("it is larger than {} bytes", self.limit));
        }
        self.directory.create(name, "download")
    }
}

#[cfg(test)]
mod tests;
