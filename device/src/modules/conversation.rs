//! The device's whole part in the loop of 68 and 69: what it is, whose turn it is, and its modules.

use std::time::Duration;

use fdo_protocol::Error;
use fdo_protocol::service_info::devmod::Devmod;
use fdo_protocol::service_info::{
    Assembler, DeviceServiceInfo, DeviceTurn, Floor, Outbox, OwnerServiceInfo, ServiceInfo, TurnLimits,
};
use rand_core::CryptoRng;

use super::Modules;

/// How long an owner hears nothing while the device works: less than what any owner waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the device says to one owner: [`Self::speak`] and [`Self::hear`] in turn until [`Self::is_done`].
pub struct Conversation {
    outbox: Outbox,
    turn: DeviceTurn,
    assembler: Assembler,
    modules: Modules,
    pub(super) patience: Duration,
}

impl Conversation {
    /// Before the first 68, with an owner that takes messages of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when what the device is does not fit into a message.
    pub fn new(devmod: &Devmod, modules: Modules, size: usize, limits: TurnLimits) -> Result<Self, Error> {
        let mut outbox = Outbox::new(size);
        devmod.send(&mut outbox)?;
        Ok(Self {
            outbox,
            turn: DeviceTurn::new(limits),
            assembler: Assembler::default(),
            modules,
            patience: PATIENCE,
        })
    }

    /// Whether the owner is done.
    pub fn is_done(&self) -> bool {
        self.turn.is_done()
    }

    /// The next 68. It may take a while, when a module is at work.
    ///
    /// # Errors
    /// What must end the conversation.
    pub async fn speak(&mut self) -> Result<DeviceServiceInfo, Error> {
        if !self.turn.may_speak() {
            return self.turn.send(ServiceInfo::empty(), Floor::Yield);
        }
        if self.outbox.is_empty() {
            self.modules.supply(&mut self.outbox, self.patience).await?;
        }
        let (list, more) = self.outbox.fill();
        let floor = if more || self.modules.has_more() { Floor::Keep } else { Floor::Yield };
        self.turn.send(list, floor)
    }

    /// Takes the 69 that answers it, and tells `progress` of each thing that the owner said.
    ///
    /// # Errors
    /// What must end the conversation.
    pub fn hear(
        &mut self,
        message: OwnerServiceInfo,
        rng: &mut dyn CryptoRng,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        self.turn.receive(&message)?;
        for kv in message.service_info.0 {
            tracing::debug!(key = kv.key, bytes = kv.value.len(), "service info");
            if let Some(whole) = self.assembler.accept(kv)? {
                self.modules.receive(&whole, rng)?;
                let spoken = || format!("the owner speaks to {}", whole.module().escape_debug());
                progress(&self.modules.progress().unwrap_or_else(spoken));
            }
        }
        if !message.is_more {
            self.modules.turn_ends();
        }
        if self.is_done() && !self.assembler.is_idle() {
            return Err(Error::Malformed("service info value cut short"));
        }
        Ok(())
    }

    /// The modules, once the owner is done.
    pub fn into_modules(self) -> Modules {
        self.modules
    }
}
