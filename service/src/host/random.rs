//! The only source of randomness: ChaCha20 seeded by the operating system, or by a fixed seed in tests.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Hands out independent random number generators.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<ChaCha20Rng>>),
}

thread_local! {
    static PARENT: RefCell<Option<ChaCha20Rng>> = const { RefCell::new(None) };
}

impl Random {
    /// Seeded by the operating system, once a thread.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The same streams in every run; for tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))))
    }

    /// A generator whose stream nobody else has.
    pub fn rng(&self) -> ChaCha20Rng {
        match &self.0 {
            Source::System => PARENT.with(|parent| parent.borrow_mut().get_or_insert_with(from_system).fork()),
            Source::Seeded(parent) => parent.lock().unwrap_or_else(PoisonError::into_inner).fork(),
        }
    }
}

#[allow(clippy::disallowed_methods)] // the one place
fn from_system() -> ChaCha20Rng {
    let mut seed = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *seed).expect("a machine without a working random source cannot run this service");
    ChaCha20Rng::from_seed(*seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn streams_differ_and_a_seed_repeats_them() {
        let (a, b) = (Random::seeded(1), Random::seeded(1));
        let first = a.rng().next_u64();
        assert_eq!(first, b.rng().next_u64());
        assert_ne!(first, a.rng().next_u64());
        let system = Random::system();
        assert_ne!(system.rng().next_u64(), system.rng().next_u64());
    }
}
