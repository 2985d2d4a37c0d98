//! What a list of serials came to: all of it is applied, or nothing is and each refusal has its reason.

use serde::{Deserialize, Serialize};

/// The answer to a list, applied or tried.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub dry_run: bool,
    /// Whether anything was changed.
    pub applied: bool,
    /// Rows that are new.
    pub accepted: usize,
    /// Rows that change nothing.
    pub known: usize,
    /// Rows that keep the whole list from being applied.
    pub refused: usize,
    /// The rows that are not simply accepted.
    pub notes: Vec<Note>,
}

/// Why a row is not simply accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Its line in a file, its place in a list otherwise.
    pub line: usize,
    pub serial: String,
    /// A short stable word such as `unknown`.
    pub code: String,
    pub reason: String,
}

impl Report {
    pub fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    pub fn accept(&mut self) {
        self.accepted += 1;
    }

    pub fn known(&mut self, line: usize, serial: &str, reason: &str) {
        self.known += 1;
        self.note(line, serial, "known", reason);
    }

    pub fn refuse(&mut self, line: usize, serial: &str, code: &str, reason: &str) {
        self.refused += 1;
        self.note(line, serial, code, reason);
    }

    fn note(&mut self, line: usize, serial: &str, code: &str, reason: &str) {
        let (serial, code, reason) = (serial.to_owned(), code.to_owned(), reason.to_owned());
        self.notes.push(Note { line, serial, code, reason });
    }

    /// Whether the list is to be written now.
    pub fn applies(&self) -> bool {
        !self.dry_run && self.refused == 0 && self.accepted > 0
    }
}
