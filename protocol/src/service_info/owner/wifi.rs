//! `fdo.wifi`, owner's side: all networks at once; the device answers only when it can use none.

use super::{Module, ModuleFailure, ModuleOutcome};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::devmod::Devmod;
use crate::service_info::wifi::{Layout, NetworkAdd, ToDevice, ToOwner};
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// Gives a device its networks.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    waiting: Vec<ServiceInfoKv>,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Wifi { waiting, outbox, outcome });

impl Wifi {
    /// For these networks, which must have passed [`crate::service_info::wifi::Network::check`], best first.
    pub fn new(networks: &[crate::service_info::wifi::Network], layout: Layout) -> Self {
        let add = |network| ToDevice::NetworkAdd(NetworkAdd::new(network, layout)).to_kv();
        Self { waiting: networks.iter().map(add).collect(), outbox: Outbox::new(0), outcome: None }
    }
}

impl Module for Wifi {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        self.outbox.push_split(ToDevice::Active(true).to_kv());
        for kv in self.waiting.drain(..) {
            self.outbox.push_split(kv);
        }
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        match ToOwner::decode(message, item)? {
            Some(ToOwner::Active(false)) => self.conclude(ModuleOutcome::NotOffered),
            Some(ToOwner::Error(error)) => self.conclude(ModuleOutcome::Failed(ModuleFailure::Wifi(error))),
            Some(ToOwner::Active(true)) | None => {}
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

    fn blocks(&self) -> bool {
        self.has_more()
    }

    fn outcome(&self) -> Option<&ModuleOutcome> {
        self.outcome.as_ref()
    }

    fn conclude(&mut self, outcome: ModuleOutcome) {
        // The first word counts, save that nothing was heard when this was taken as done.
        if matches!(self.outcome, None | Some(ModuleOutcome::Done)) {
            self.outcome = Some(outcome);
        }
    }
}
