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
}
cbor_array!(Command { program, arguments, may_fail, keep_output, stdout, stderr, outbox, outcome });

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
        }
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
