//! The only reader of the wall clock: everything else takes `now` as a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the time comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `seconds` since the epoch until it is moved; clones move together.
    pub fn fixed(seconds: u64) -> Self {
        Self(Source::Fixed(Arc::new(AtomicU64::new(seconds))))
    }

    /// Seconds since the epoch.
    pub fn now(&self) -> u64 {
        match &self.0 {
            Source::System => system_seconds(),
            Source::Fixed(at) => at.load(Ordering::Relaxed),
        }
    }

    /// Moves a fixed clock forward; a system clock is not moved.
    pub fn advance(&self, seconds: u64) {
        if let Source::Fixed(at) = &self.0 {
            at.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    /// Puts a fixed clock to `seconds` since the epoch; a system clock is not moved.
    pub fn set(&self, seconds: u64) {
        if let Source::Fixed(at) = &self.0 {
            at.store(seconds, Ordering::Relaxed);
        }
    }
}

#[allow(clippy::disallowed_methods)] // the one place
fn system_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed(100);
        let other = clock.clone();
        other.advance(5);
        assert_eq!(clock.now(), 105);
        clock.set(7);
        assert_eq!(other.now(), 7);
        assert!(Clock::system().now() > 1_700_000_000);
    }
}
