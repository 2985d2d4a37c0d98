//! The audit trail: append-only, each entry bound to the one before it by its hash.

mod store;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use store::{list, record, refusals, verify};

/// How a deed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success,
    Refused,
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What somebody did. Never put a secret in it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The operator's id, or the name of the part of the service that acted.
    pub actor: &'a str,
    /// Noun and verb, like `voucher.import`.
    pub action: &'a str,
    /// What it was done to: a GUID, a serial, an id.
    pub subject: &'a str,
    pub outcome: Outcome,
    pub detail: &'a str,
}

/// One entry of the trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub sequence: u64,
    pub at: u64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    pub detail: String,
    /// SHA-256 over the hash before it and this entry, in hex.
    pub hash: String,
}

/// The hash of an entry: each part with its length before it, so that no two entries hash alike.
fn chain(previous: &[u8], sequence: u64, at: u64, parts: [&str; 5]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(sequence.to_be_bytes());
    hash.update(at.to_be_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
