//! The owner's whole part in the loop of 68 and 69: whose turn it is, what the device is, and one module after the
//! other. One stored value between two requests.

use super::{ModuleOutcome, Need, OwnerModule, Provision};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::devmod::{self, Devmod};
use crate::service_info::{
    Assembler, DEFAULT_VALUE_LIMIT, DeviceServiceInfo, Floor, Outbox, OwnerServiceInfo, OwnerTurn, ServiceInfo,
    ServiceInfoKv, TurnLimits, negotiated_size,
};

/// What the owner says to one device. For each 68: [`Self::receive`],
/// [`Self::tick`], answer every [`Self::need`], [`Self::reply`].
pub struct Conversation {
    size: u32,
    turn: OwnerTurn,
    assembler: Assembler,
    devmod: Devmod,
    introduced: bool,
    modules: Vec<Step>,
}
cbor_array!(Conversation { size, turn, assembler, devmod, introduced, modules });

/// A module and whether it has begun.
struct Step {
    module: OwnerModule,
    started: bool,
}
cbor_array!(Step { module, started });

impl Step {
    fn is_active(&self) -> bool {
        self.started && self.module.outcome().is_none()
    }
}

impl Conversation {
    /// Before the first 68: the size that the device announced in 66, and the modules in the order to run them.
    pub fn new(announced: Option<u16>, modules: Vec<OwnerModule>, limits: TurnLimits) -> Self {
        let mut conversation = Self {
            size: u32::try_from(negotiated_size(announced)).unwrap_or(u32::MAX),
            turn: OwnerTurn::new(limits),
            assembler: Assembler::new(DEFAULT_VALUE_LIMIT),
            devmod: Devmod::default(),
            introduced: false,
            modules: Vec::new(),
        };
        for module in modules {
            conversation.push(module);
        }
        conversation
    }

    /// Adds a module behind the others, for instance once [`Self::devmod`] tells what kind of device this is.
    pub fn push(&mut self, module: OwnerModule) {
        self.turn.allow(module.allowance());
        self.modules.push(Step { module, started: false });
    }

    /// What the device says of itself; complete once [`Self::is_introduced`].
    pub fn devmod(&self) -> &Devmod {
        &self.devmod
    }

    /// Whether the device has finished its introduction.
    pub fn is_introduced(&self) -> bool {
        self.introduced
    }

    /// The modules, with how they ended.
    pub fn modules(&self) -> impl Iterator<Item = &OwnerModule> {
        self.modules.iter().map(|step| &step.module)
    }

    /// Whether `IsDone` was sent, so that 70 may come.
    pub fn is_done(&self) -> bool {
        self.turn.is_done()
    }

    /// Takes a 68.
    ///
    /// # Errors
    /// [`Error::Malformed`] for values of the wrong type, [`Error::Rejected`] for a device that speaks out of turn,
    /// goes beyond a limit, or introduces itself without modules.
    pub fn receive(&mut self, message: DeviceServiceInfo) -> Result<(), Error> {
        self.turn.receive(&message)?;
        for kv in message.service_info.0 {
            if let Some(kv) = self.assembler.accept(kv)? {
                self.dispatch(&kv)?;
            }
        }
        if message.is_more {
            return Ok(());
        }
        if !self.introduced {
            if self.devmod.modules.is_empty() {
                return Err(Error::Rejected("a device that lists no modules"));
            }
            self.introduced = true;
        }
        for step in self.modules.iter_mut().filter(|step| step.is_active()) {
            step.module.end_of_turn();
        }
        Ok(())
    }

    /// A message is for the running module of that name, else for one that ran: a complaint may come late. Modules
    /// that did not begin, or that nobody knows, have nothing to say.
    fn dispatch(&mut self, kv: &ServiceInfoKv) -> Result<(), Error> {
        if kv.module() == devmod::MODULE {
            return self.devmod.receive(kv.message(), &kv.value);
        }
        let started = |step: &&mut Step| step.started && step.module.name() == kv.module();
        let addressee = self.modules.iter_mut().filter(started).max_by_key(|step| step.is_active());
        match addressee {
            Some(step) => step.module.receive(kv.message(), &kv.value),
            None => Ok(()),
        }
    }

    /// It is `now`, in seconds: what has a limit of time is held to it. Between [`Self::receive`] and [`Self::reply`].
    pub fn tick(&mut self, now: u64) {
        for step in self.modules.iter_mut().filter(|step| step.is_active()) {
            step.module.tick(now);
        }
    }

    /// What a module asks, if anything. Ask again after each answer.
    pub fn need(&self) -> Option<Need> {
        self.modules.iter().filter(|step| step.is_active()).find_map(|step| step.module.need())
    }

    /// Which module asks, counted as in [`Self::modules`]: two may ask for files of one name.
    pub fn asking(&self) -> Option<usize> {
        self.modules.iter().position(|step| step.is_active() && step.module.need().is_some())
    }

    /// The answer to [`Self::need`].
    ///
    /// # Errors
    /// [`Error::Internal`] when nothing was asked, or something else.
    pub fn answer(&mut self, provision: Provision) -> Result<(), Error> {
        let mut asking = self.modules.iter_mut().filter(|step| step.is_active());
        asking
            .find(|step| step.module.need().is_some())
            .ok_or(Error::Internal("an answer that no module asked for"))?
            .module
            .answer(provision)
    }

    /// The 69 that answers the latest 68.
    ///
    /// # Errors
    /// [`Error::Internal`] when called without a 68 before it.
    pub fn reply(&mut self) -> Result<OwnerServiceInfo, Error> {
        if !self.turn.may_speak() {
            return self.turn.reply(ServiceInfo::empty(), Floor::Yield);
        }
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut room = Outbox::room(size);
        let mut list = ServiceInfo::empty();
        let mut floor = Floor::Yield;
        for step in &mut self.modules {
            if !step.started {
                step.started = true;
                step.module.start(&self.devmod, size);
            }
            if step.module.outcome().is_some() && !step.module.module().has_last_word() {
                continue;
            }
            while let Some(kv) = step.module.next(room) {
                room = room.saturating_sub(kv.encoded_length());
                list.0.push(kv);
            }
            let module = step.module.module();
            if module.has_more() {
                floor = Floor::Keep;
            }
            if module.has_more() || step.module.outcome().is_none() && module.blocks() {
                break;
            }
        }
        let over = self.modules().all(|module| module.outcome().is_some());
        if over && list.is_empty() { self.turn.finish() } else { self.turn.reply(list, floor) }
    }

    /// Whether a module ended other than done: the name and how.
    pub fn shortfalls(&self) -> impl Iterator<Item = (&'static str, ModuleOutcome)> {
        self.modules().filter_map(|module| match module.outcome() {
            None | Some(ModuleOutcome::Done) => None,
            Some(outcome) => Some((module.name(), *outcome)),
        })
    }
}
