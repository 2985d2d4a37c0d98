//! What durable queues have in common: due rows are taken by one process at a time, and what fails waits longer each time.

mod store;

use rand_core::Rng;

pub use store::take_due;

/// A quarter more or less, so that what failed together is not tried together.
pub fn jittered(pause: u64, rng: &mut impl Rng) -> u64 {
    let spread = pause / 2;
    let offset = if spread == 0 { 0 } else { rng.next_u64() % (spread + 1) };
    pause - pause / 4 + offset
}

/// `first` seconds, doubled with each attempt before, at most `most`.
pub fn doubled(first: u64, attempts: u32, most: u64) -> u64 {
    first.saturating_mul(1_u64.checked_shl(attempts).unwrap_or(u64::MAX)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u64> = [0, 1, 2, 3, 63, 64, 200].map(|attempts| doubled(5, attempts, 30)).to_vec();
        assert_eq!(pauses, [5, 10, 20, 30, 30, 30, 30]);
    }
}
