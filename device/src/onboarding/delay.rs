//! How long a device waits after a directive failed (FDO 1.1, RVDelaysec): as told, give or take a quarter, so that a
//! warehouse that gets its power back does not ask all at once.

use std::time::Duration;

use fdo_protocol::rendezvous_info::Hop;
use rand_core::CryptoRng;

/// After the last directive, where it does not say.
const DEFAULT_SECONDS: u32 = 120;
/// The least pause before all directives begin again: an owner's directive must not make its devices ask without rest.
const LEAST_SECONDS: u32 = 5;
/// The longest pause: a device that sleeps for years cannot be called back.
const MOST_SECONDS: u32 = 24 * 60 * 60;

/// The pause after this directive; `is_last` when all directives begin again after it.
pub fn after(hop: &Hop, is_last: bool, rng: &mut dyn CryptoRng) -> Duration {
    match hop.delay_seconds {
        Some(seconds) if is_last => jittered(seconds.clamp(LEAST_SECONDS, MOST_SECONDS), rng),
        Some(seconds) => jittered(seconds.min(MOST_SECONDS), rng),
        None if is_last => jittered(DEFAULT_SECONDS, rng),
        None => Duration::ZERO,
    }
}

/// The pause where no directive says anything.
pub fn at_the_end(rng: &mut dyn CryptoRng) -> Duration {
    jittered(DEFAULT_SECONDS, rng)
}

fn jittered(seconds: u32, rng: &mut dyn CryptoRng) -> Duration {
    let middle = u64::from(seconds) * 1000;
    let span = middle / 2 + 1;
    Duration::from_millis(middle - middle / 4 + rng.next_u64() % span)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::random::Random;
    use fdo_protocol::RendezvousInfo;
    use fdo_protocol::rendezvous_info::{Directive, RvProtocol};

    #[test]
    fn delays_are_told_or_two_minutes_at_the_end_and_always_spread() {
        let hop = |delay_seconds| {
            let directive = Directive { delay_seconds, ..Directive::at(RvProtocol::Http, "h", 1) };
            RendezvousInfo::new(vec![directive]).device_hops().remove(0)
        };
        let mut rng = Random::seeded(1).rng();
        assert!(after(&hop(None), false, &mut rng).is_zero());
        assert!(after(&hop(Some(0)), false, &mut rng).is_zero());
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let told = after(&hop(Some(40)), false, &mut rng);
            assert!((30_000..=50_000).contains(&told.as_millis()), "{told:?}");
            let default = after(&hop(None), true, &mut rng);
            assert!((90_000..=150_000).contains(&default.as_millis()), "{default:?}");
            seen.insert(told);
        }
        assert!(seen.len() > 100);
    }

    #[test]
    fn no_directive_makes_a_device_spin_or_sleep_for_years() {
        let hop = |seconds| {
            let directive = Directive { delay_seconds: Some(seconds), ..Directive::at(RvProtocol::Http, "h", 1) };
            RendezvousInfo::new(vec![directive]).device_hops().remove(0)
        };
        let mut rng = Random::seeded(1).rng();
        for _ in 0..200 {
            for seconds in [0, 1] {
                let shortest = after(&hop(seconds), true, &mut rng);
                assert!((3_750..=6_250).contains(&shortest.as_millis()), "{shortest:?}");
            }
            for is_last in [false, true] {
                let longest = after(&hop(u32::MAX), is_last, &mut rng);
                assert!(longest.as_secs() <= 30 * 60 * 60, "{longest:?}");
            }
        }
    }
}
