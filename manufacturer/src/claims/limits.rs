//! How many serials a key may ask for, and how often an address may miss, in an hour: guessing serials must not pay.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

const WINDOW_SECONDS: u64 = 3600;
/// Counters kept; beyond it those of past hours are forgotten, then all.
const TABLE: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Key(String),
    Source(IpAddr),
}

/// Counters of the running hour.
pub(super) struct Windows {
    serials: u32,
    misses: u32,
    counters: Mutex<HashMap<Subject, (u64, u32)>>,
}

impl Windows {
    pub(super) fn new(serials: u32, misses: u32) -> Self {
        Self { serials, misses, counters: Mutex::default() }
    }

    /// Counts a serial that a key asks for; false when it has asked for too many, or its address has guessed.
    pub(super) fn allow(&self, fingerprint: &str, source: IpAddr, now: u64) -> bool {
        let guesses = self.count(Subject::Source(source), 0, now);
        guesses < self.misses && self.count(Subject::Key(fingerprint.to_owned()), 1, now) <= self.serials
    }

    /// Counts a serial, or a code, that was wrong.
    pub(super) fn missed(&self, source: IpAddr, now: u64) {
        self.count(Subject::Source(source), 1, now);
    }

    /// Whether an address has guessed too often.
    pub(super) fn guessed(&self, source: IpAddr, now: u64) -> bool {
        self.count(Subject::Source(source), 0, now) >= self.misses
    }

    fn count(&self, subject: Subject, more: u32, now: u64) -> u32 {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = now / WINDOW_SECONDS;
        if counters.len() >= TABLE && !counters.contains_key(&subject) {
            counters.retain(|_, (counted, _)| *counted == hour);
            if counters.len() >= TABLE {
                counters.clear();
            }
        }
        let counter = counters.entry(subject).or_insert((hour, 0));
        if counter.0 != hour {
            *counter = (hour, 0);
        }
        counter.1 = counter.1.saturating_add(more);
        counter.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_hour_has_so_many_serials_and_misses() {
        let windows = Windows::new(2, 1);
        let (here, there) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::BROADCAST));
        assert!(windows.allow("a", here, 0) && windows.allow("a", here, 0));
        assert!(!windows.allow("a", here, 0));
        assert!(windows.allow("b", here, 0));
        windows.missed(here, 0);
        assert!(windows.guessed(here, 0) && !windows.allow("c", here, 0));
        assert!(windows.allow("c", there, 0));
        assert!(windows.allow("a", here, WINDOW_SECONDS));
    }

    #[test]
    fn the_table_stays_small() {
        let windows = Windows::new(1, 1);
        for n in 0..25_000_u32 {
            windows.missed(IpAddr::V4(Ipv4Addr::from(n)), 0);
        }
        assert!(windows.counters.lock().unwrap_or_else(PoisonError::into_inner).len() <= TABLE);
    }
}
