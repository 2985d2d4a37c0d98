//! `firstlight.est`, owner's side: it asks the service around it once the device lists the module, tells the device, and
//! holds nobody up meanwhile.

use super::{Module, ModuleFailure, ModuleOutcome, Need, Provision};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::devmod::Devmod;
use crate::service_info::est::{RenewalSource, ToDevice, ToOwner};
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// Tells a device where it renews its certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Est {
    asks: bool,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Est { asks, outbox, outcome });

impl Est {
    /// For one device.
    pub fn new() -> Self {
        Self { asks: false, outbox: Outbox::new(0), outcome: None }
    }

    fn tell(&mut self, source: RenewalSource) {
        let RenewalSource { url, renew_percent, trust, idevid } = source;
        let messages = [
            ToDevice::Active(true),
            ToDevice::Url(url),
            ToDevice::RenewPercent(renew_percent),
            ToDevice::Trust(trust),
            ToDevice::Idevid(idevid),
        ];
        // Certificates seldom fit whole into the messages of a small device.
        messages.iter().for_each(|message| self.outbox.push_split(message.to_kv()));
    }
}

impl Default for Est {
    fn default() -> Self {
        Self::new()
    }
}

impl Module for Est {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        self.asks = true;
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        if ToOwner::decode(message, item)? == Some(ToOwner::Active(false)) {
            self.conclude(ModuleOutcome::NotOffered);
        }
        Ok(())
    }

    fn end_of_turn(&mut self) {
        if !self.asks && self.outbox.is_empty() {
            self.conclude(ModuleOutcome::Done);
        }
    }

    fn need(&self) -> Option<Need> {
        self.asks.then_some(Need::Renewal)
    }

    fn answer(&mut self, provision: Provision) -> Result<(), Error> {
        if !std::mem::take(&mut self.asks) {
            return Err(Error::Internal("an answer that no module asked for"));
        }
        match provision {
            Provision::Renewal(source) => self.tell(*source),
            Provision::Refused(error) => {
                self.conclude(ModuleOutcome::Failed(ModuleFailure::Enrolment(error)));
            }
            _ => return Err(Error::Internal("no answer to a question for the place of renewal")),
        }
        Ok(())
    }

    fn next(&mut self, room: usize) -> Option<ServiceInfoKv> {
        self.outbox.next(room)
    }

    fn has_more(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn blocks(&self) -> bool {
        false
    }

    fn outcome(&self) -> Option<&ModuleOutcome> {
        self.outcome.as_ref()
    }

    fn conclude(&mut self, outcome: ModuleOutcome) {
        self.outcome.get_or_insert(outcome);
    }
}
