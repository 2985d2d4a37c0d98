//! `fdo.wget`, owner's side: name, hash and URL, then the device says that it is done.

use super::{Module, ModuleFailure, ModuleOutcome};
use crate::cbor::ByteString;
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::devmod::Devmod;
use crate::service_info::wget::{ToDevice, ToOwner};
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// Lets the device fetch a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Wget {
    url: String,
    name: Option<String>,
    sha384: Option<ByteString>,
    /// The file's length, where it is known.
    length: Option<u64>,
    /// Why the device has no file, in its own words.
    complaint: Option<String>,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Wget { url, name, sha384, length, complaint, outbox, outcome });

impl Wget {
    /// For a file at `url`, to be written to `name` on the device, or to the URL's last part. Where its hash is not
    /// given the device has only TLS to go by; where its length is given the device must have written as much.
    pub fn new(url: String, name: Option<String>, sha384: Option<[u8; 48]>, length: Option<u64>) -> Self {
        Self {
            url,
            name,
            sha384: sha384.map(|digest| ByteString(digest.to_vec())),
            length,
            complaint: None,
            outbox: Outbox::new(0),
            outcome: None,
        }
    }

    pub(super) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

impl Module for Wget {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        let digest = self.sha384.as_ref().and_then(|digest| digest.0.as_slice().try_into().ok());
        let messages = [
            Some(ToDevice::Active(true)),
            digest.map(ToDevice::Sha384),
            self.name.clone().map(ToDevice::Name),
            Some(ToDevice::Url(self.url.clone())),
        ];
        for message in messages.into_iter().flatten() {
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
        match message {
            Some(ToOwner::Active(false)) => self.conclude(ModuleOutcome::NotOffered),
            Some(ToOwner::Done(Some(length))) if self.length.is_none_or(|expected| expected == length) => {
                self.conclude(ModuleOutcome::Done);
            }
            Some(ToOwner::Done(_)) => self.conclude(ModuleOutcome::Failed(ModuleFailure::Wget)),
            Some(ToOwner::Error(complaint)) => {
                self.complaint = Some(complaint);
                self.conclude(ModuleOutcome::Failed(ModuleFailure::Wget));
            }
            Some(ToOwner::Active(true)) | None => {}
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
