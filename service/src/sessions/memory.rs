//! Sessions in memory: bounded by number and by bytes. States are wiped when they are replaced or dropped.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::record::{Change, Found, RecordSettings, TOKEN_BYTES};
use super::{Protocol, SessionError};

/// What a session costs besides its state and reply.
const OVERHEAD: usize = 320;

type Token = [u8; TOKEN_BYTES];

pub(super) struct Memory {
    settings: RecordSettings,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<Token, Entry>,
    /// Sessions that may be dropped when there is no room, the longest silent first.
    droppable: BTreeMap<u64, Token>,
    turn: u64,
    bytes: usize,
}

struct Entry {
    protocol: Protocol,
    version: i64,
    state: Option<Arc<Zeroizing<Vec<u8>>>>,
    request: [u8; 32],
    reply_type: u8,
    reply: Vec<u8>,
    proven: bool,
    created: u64,
    active: u64,
    turn: u64,
}

impl Entry {
    fn bytes(&self) -> usize {
        OVERHEAD + self.reply.len() + self.state.as_ref().map_or(0, |state| state.len())
    }

    /// A session that is over only waits for a repetition of its last request.
    fn droppable(&self) -> bool {
        !self.proven || self.state.is_none()
    }
}

impl Memory {
    pub(super) fn new(settings: RecordSettings) -> Self {
        Self { settings, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, token: Token, protocol: Protocol, change: Change<'_>) -> Result<(), SessionError> {
        let entry = Entry {
            protocol,
            version: 0,
            state: change.state.map(Arc::new),
            request: change.request,
            reply_type: change.reply_type,
            reply: change.reply.to_vec(),
            proven: change.proven,
            created: change.now,
            active: change.now,
            turn: 0,
        };
        let mut inner = self.lock();
        inner.make_room(&self.settings, 1, entry.bytes(), change.now)?;
        inner.put(token, entry);
        Ok(())
    }

    pub(super) fn find(&self, token: &Token, protocol: Protocol, now: u64) -> Option<Found> {
        let mut inner = self.lock();
        let entry = inner.sessions.get(token)?;
        if entry.protocol != protocol {
            return None;
        }
        if self.settings.expired(entry.created, entry.active, now) {
            inner.take(token);
            return None;
        }
        Some(Found {
            version: entry.version,
            state: entry.state.clone(),
            request: entry.request,
            reply_type: entry.reply_type,
            reply: entry.reply.clone(),
            proven: entry.proven,
        })
    }

    pub(super) fn update(&self, token: &Token, version: i64, change: Change<'_>) -> Result<(), SessionError> {
        let reply = change.reply.to_vec();
        let mut inner = self.lock();
        let mut entry = inner.take(token).ok_or(SessionError::InvalidToken)?;
        if entry.version != version {
            inner.put(*token, entry);
            return Err(SessionError::Lost);
        }
        let before = std::mem::replace(&mut entry.reply, reply);
        let state = std::mem::replace(&mut entry.state, change.state.map(Arc::new));
        if let Err(full) = inner.make_room(&self.settings, 1, entry.bytes(), change.now) {
            entry.reply = before;
            entry.state = state;
            inner.put(*token, entry);
            return Err(full);
        }
        entry.version += 1;
        entry.request = change.request;
        entry.reply_type = change.reply_type;
        entry.proven = change.proven;
        entry.active = change.now;
        inner.put(*token, entry);
        Ok(())
    }

    pub(super) fn remove(&self, token: &Token, protocol: Protocol) {
        let mut inner = self.lock();
        if inner.sessions.get(token).is_some_and(|entry| entry.protocol == protocol) {
            inner.take(token);
        }
    }

    pub(super) fn sweep(&self, now: u64) -> u64 {
        self.lock().sweep(&self.settings, now)
    }

    pub(super) fn count(&self) -> u64 {
        self.lock().sessions.len() as u64
    }
}

impl Inner {
    fn put(&mut self, token: Token, mut entry: Entry) {
        self.turn += 1;
        entry.turn = self.turn;
        self.bytes += entry.bytes();
        if entry.droppable() {
            self.droppable.insert(entry.turn, token);
        }
        self.sessions.insert(token, entry);
    }

    fn take(&mut self, token: &Token) -> Option<Entry> {
        let entry = self.sessions.remove(token)?;
        self.bytes -= entry.bytes();
        self.droppable.remove(&entry.turn);
        Some(entry)
    }

    fn fits(&self, settings: &RecordSettings, sessions: usize, bytes: usize) -> bool {
        self.sessions.len() + sessions <= settings.capacity && self.bytes + bytes <= settings.bytes
    }

    fn make_room(
        &mut self,
        settings: &RecordSettings,
        sessions: usize,
        bytes: usize,
        now: u64,
    ) -> Result<(), SessionError> {
        while !self.fits(settings, sessions, bytes) {
            match self.droppable.pop_first() {
                Some((_, token)) => {
                    self.take(&token);
                }
                // Only proven sessions are left; those that have expired may go, the others stay.
                None if self.sweep(settings, now) > 0 => {}
                None => return Err(SessionError::Full),
            }
        }
        Ok(())
    }

    fn sweep(&mut self, settings: &RecordSettings, now: u64) -> u64 {
        let gone: Vec<Token> = self
            .sessions
            .iter()
            .filter(|(_, entry)| settings.expired(entry.created, entry.active, now))
            .map(|(token, _)| *token)
            .collect();
        for token in &gone {
            self.take(token);
        }
        gone.len() as u64
    }
}
