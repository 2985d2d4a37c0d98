//! The agent's only source of randomness: ChaCha20 seeded by the operating system, or by a fixed seed in tests.

use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

/// Hands out generators whose streams nobody else has. Clones share one stream of seeds.
#[derive(Clone)]
pub struct Random(Arc<Mutex<ChaCha20Rng>>);

/// The operating system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("this machine has no working source of randomness: {0}")]
pub struct NoRandomness(getrandom::Error);

impl Random {
    /// Seeded by the operating system.
    ///
    /// # Errors
    /// [`NoRandomness`] where the operating system cannot give any.
    #[allow(clippy::disallowed_methods)]
    pub fn system() -> Result<Self, NoRandomness> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *seed).map_err(NoRandomness)?;
        Ok(Self(Arc::new(Mutex::new(ChaCha20Rng::from_seed(*seed)))))
    }

    /// The same streams in every run; for tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed))))
    }

    /// A generator of its own.
    pub fn rng(&self) -> ChaCha20Rng {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }
}
