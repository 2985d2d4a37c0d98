//! `fido_alliance`, owner's side: the token, and no answer is needed.

use super::{Module, ModuleFailure, ModuleOutcome};
use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;
use crate::service_info::conformance::{ToDevice, ToOwner, Token};
use crate::service_info::devmod::Devmod;
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// Gives a device the token of an interoperability event.
#[derive(Clone, PartialEq, Eq)]
pub struct Conformance {
    token: Token,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}

impl Conformance {
    /// With this token.
    pub fn new(token: Token) -> Self {
        Self { token, outbox: Outbox::new(0), outcome: None }
    }
}

impl Module for Conformance {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        for message in [ToDevice::Active(true), ToDevice::DevConformance(self.token.clone())] {
            if self.outbox.push(message.to_kv()).is_err() {
                self.outbox = Outbox::new(size);
                return self.conclude(ModuleOutcome::Failed(ModuleFailure::TooLarge));
            }
        }
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        if ToOwner::decode(message, item)? == Some(ToOwner::Active(false)) {
            self.conclude(ModuleOutcome::NotOffered);
        }
        Ok(())
    }

    fn end_of_turn(&mut self) {
        if self.outbox.is_empty() {
            self.conclude(ModuleOutcome::Done);
        }
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

impl Encode for Conformance {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(3).text(self.token.expose()).value(&self.outbox).value(&self.outcome);
    }
}

impl Decode for Conformance {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        let token = Token::new(reader.text()?.to_owned())?;
        Ok(Self { token, outbox: Outbox::decode_from(reader)?, outcome: Option::decode_from(reader)? })
    }
}
