//! What this replica knows of each shard: the number of its newest CRL, and whether something changed since. Read from
//! the database each second, and at once after a change that was made here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A list: of one of a CA's shards, or of everything that it revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Shard(u8),
    Full,
}

impl Scope {
    /// As it stands in the database.
    pub(super) fn column(self) -> i32 {
        match self {
            Self::Shard(shard) => shard.into(),
            Self::Full => -1,
        }
    }

    pub(super) fn from_column(column: i32) -> Option<Self> {
        match column {
            -1 => Some(Self::Full),
            shard => u8::try_from(shard).ok().map(Self::Shard),
        }
    }
}

/// The newest list of a scope, without its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub number: u64,
    pub this_update: u64,
    pub next_update: u64,
    /// Whether a change is marked that the list does not show.
    pub is_behind: bool,
}

/// By CA and scope. A scope that is not in it has never had a list nor a change.
pub(super) type Shards = HashMap<String, HashMap<Scope, Known>>;

#[derive(Default)]
pub(super) struct View {
    shards: RwLock<Shards>,
    generation: AtomicU64,
}

impl View {
    /// What is known of a scope.
    pub fn of(&self, authority: &str, scope: Scope) -> Known {
        self.read().get(authority).and_then(|scopes| scopes.get(&scope)).copied().unwrap_or_default()
    }

    /// Another number whenever something was learned.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// When the newest list of any shard of a CA was made, and whether one is behind.
    pub fn newest_shard(&self, authority: &str) -> (u64, bool) {
        let shards = self.read();
        let shards = shards.get(authority).into_iter().flatten().filter(|(scope, _)| **scope != Scope::Full);
        shards.fold((0, false), |(newest, behind), (_, known)| {
            (newest.max(known.this_update), behind || known.is_behind)
        })
    }

    /// Takes what the database says.
    pub fn replace(&self, shards: Shards) {
        *self.write() = shards;
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes a list that was signed here.
    pub fn signed(&self, authority: &str, scope: Scope, known: Known) {
        self.write().entry(authority.to_owned()).or_default().insert(scope, known);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Every scope for which a list is due: something changed, or half of its time is over.
    pub fn due(&self, now: u64) -> Vec<(String, Scope)> {
        let mut due: Vec<(String, Scope)> = Vec::new();
        for (authority, scopes) in self.read().iter() {
            let is_due = |known: &Known| known.is_behind || now >= known.half();
            let of_authority = scopes.iter().filter(|(_, known)| is_due(known));
            due.extend(of_authority.map(|(scope, _)| (authority.clone(), *scope)));
        }
        due.sort();
        due
    }

    fn read(&self) -> RwLockReadGuard<'_, Shards> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shards> {
        self.shards.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// When the next list is signed even if nothing changes.
    pub fn half(&self) -> u64 {
        self.this_update + self.next_update.saturating_sub(self.this_update) / 2
    }
}
