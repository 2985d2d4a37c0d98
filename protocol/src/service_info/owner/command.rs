//! `fdo.command`, owner's side: one program, in the flavour that the device reads, until its exit code comes.

use super::{Module, ModuleFailure, ModuleOutcome};
use crate::cbor::ByteString;
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::command::{Flavour, ToDevice, ToOwner};
use crate::service_info::devmod::Devmod;
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// How much of a program's output is kept, in bytes; the rest is dropped.
pub const KEPT_OUTPUT: usize = 64 * 1024;

/// Seconds between being told to end and being ended, and between that and going on without it.
const GRACE: u64 = 10;
const SIGTERM: i64 = 15;
const SIGKILL: i64 = 9;

/// Devices that list this module read the bare flavour only.
const BARE_ARRAY_SIGN: &str = "fdo_sys";

/// Runs a program on the device.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
    may_fail: bool,
    keep_output: bool,
    stdout: ByteString,
    stderr: ByteString,
    outbox: Outbox,
    outcome: Option<ModuleOutcome>,
    /// How many seconds it may run.
    limit: Option<u64>,
    /// When its next signal is due, once it runs.
    due: Option<u64>,
    /// How many signals it got.
    signals: u64,
}
cbor_array!(Command {
    program,
    arguments,
    may_fail,
    keep_output,
    stdout,
    stderr,
    outbox,
    outcome,
    limit,
    due,
    signals
});

impl Command {
    /// Runs `program`. Unless it may fail, a non-zero exit code ends the device's onboarding.
    pub fn new(program: String, arguments: Vec<String>, may_fail: bool, keep_output: bool) -> Self {
        Self {
            program,
            arguments,
            may_fail,
            keep_output,
            stdout: ByteString::default(),
            stderr: ByteString::default(),
            outbox: Outbox::new(0),
            outcome: None,
            limit: None,
            due: None,
            signals: 0,
        }
    }

    /// After so many seconds it is told to end (signal 15), then ended (signal 9), and at last given up. The time is
    /// the owner's, from the device's first message after `execute`.
    #[must_use]
    pub fn with_limit(mut self, seconds: Option<u64>) -> Self {
        self.limit = seconds;
        self
    }

    /// The program's output so far, at most [`KEPT_OUTPUT`] bytes. It is the device's word: escape it.
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// Its error output, likewise.
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }
}

fn keep(kept: &mut ByteString, output: &[u8]) {
    let room = KEPT_OUTPUT.saturating_sub(kept.0.len());
    kept.0.extend_from_slice(&output[..output.len().min(room)]);
}

impl Module for Command {
    fn start(&mut self, devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        let bare = devmod.supports(BARE_ARRAY_SIGN);
        let flavour = if bare { Flavour::BareArray } else { Flavour::Standard };
        let arguments = || self.arguments.clone();
        let messages = [
            ToDevice::Active(true),
            ToDevice::Command(self.program.clone()),
            ToDevice::Args(flavour, arguments()),
            ToDevice::MayFail(self.may_fail),
            ToDevice::ReturnStdout(self.keep_output),
            ToDevice::ReturnStderr(self.keep_output),
            ToDevice::Execute(bare.then(arguments)),
        ];
        for message in messages {
            if self.outbox.push(message.to_kv()).is_err() {
                // Half a command must not be run.
                self.outbox = Outbox::new(size);
                self.conclude(ModuleOutcome::Failed(ModuleFailure::TooLarge));
                return;
            }
        }
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        match ToOwner::decode(message, item)? {
            Some(ToOwner::Active(false)) => self.conclude(ModuleOutcome::NotOffered),
            Some(ToOwner::Stdout(output)) => keep(&mut self.stdout, &output),
            Some(ToOwner::Stderr(output)) => keep(&mut self.stderr, &output),
            Some(ToOwner::ExitCode(code)) if code == 0 || self.may_fail => self.conclude(ModuleOutcome::Done),
            Some(ToOwner::ExitCode(code)) => {
                self.conclude(ModuleOutcome::Failed(ModuleFailure::ExitCode(code)));
            }
            Some(ToOwner::Active(true)) | None => {}
        }
        Ok(())
    }

    fn tick(&mut self, now: u64) {
        let Some(limit) = self.limit.filter(|_| self.outbox.is_empty()) else { return };
        let due = *self.due.get_or_insert(now.saturating_add(limit));
        if now < due {
            return;
        }
        self.due = Some(now.saturating_add(GRACE));
        let signal = [SIGTERM, SIGKILL].get(usize::try_from(self.signals).unwrap_or(usize::MAX));
        self.signals = self.signals.saturating_add(1);
        let pushed = signal.is_some_and(|signal| self.outbox.push(ToDevice::Signal(*signal).to_kv()).is_ok());
        if !pushed {
            self.conclude(ModuleOutcome::Failed(ModuleFailure::CommandOverdue));
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
