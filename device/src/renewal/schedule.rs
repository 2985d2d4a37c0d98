//! When a certificate is renewed, and when again after an attempt that failed. Pure: life, time and randomness are given.

use fdo_pki::Certificate;
use fdo_protocol::{Hash, HashType};
use rand_core::CryptoRng;

/// The fleet's renewals are spread over so much of a life, in percent, each device at a place of its own.
const SPREAD_PERCENT: u64 = 4;
/// Between two attempts, in percent of the life.
const RETRY_PERCENT: u64 = 4;
/// Where there is no certificate yet: its life is taken to be a day.
const UNKNOWN_LIFE: u64 = 24 * 60 * 60;
/// The first pause after a service that cannot be reached, in seconds; it doubles up to the usual one.
const FIRST_PAUSE: u64 = 30;
/// The longest pause of a device whose certificate has expired, in seconds.
const URGENT_PAUSE: u64 = 60 * 60;
/// A service that says when to come again is believed up to so many seconds.
const LONGEST_TOLD: u64 = 24 * 60 * 60;

/// The time that a certificate is of use to this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    begins: u64,
    ends: u64,
}

impl Life {
    /// From when it was taken into use: the issuer may have dated it back.
    pub fn of(certificate: &Certificate, obtained_at: Option<u64>) -> Self {
        let (from, ends) = (certificate.not_before(), certificate.not_after());
        let begins = obtained_at.filter(|at| (from..ends).contains(at)).unwrap_or(from);
        Self { begins, ends }
    }

    /// Of a device that has no certificate.
    pub fn unknown(now: u64) -> Self {
        Self { begins: now.saturating_sub(UNKNOWN_LIFE), ends: now }
    }

    fn seconds(self) -> u64 {
        self.ends.saturating_sub(self.begins)
    }

    /// Whether it is over.
    pub fn is_over(self, now: u64) -> bool {
        now > self.ends
    }

    /// When it is to be renewed: after so many percent, and a little later by the device's serial number.
    pub fn due(self, percent: u64, serial: &str) -> u64 {
        let digest = Hash::of(HashType::Sha256, &[serial.as_bytes()]);
        let place = digest.digest().iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let spread = self.part(SPREAD_PERCENT).saturating_add(1);
        self.begins.saturating_add(self.part(percent)).saturating_add(place % spread)
    }

    /// So many percent of it, in seconds.
    fn part(self, percent: u64) -> u64 {
        u64::try_from(u128::from(self.seconds()) * u128::from(percent) / 100).unwrap_or(u64::MAX)
    }

    /// The pause between two attempts, in seconds.
    fn interval(self, now: u64) -> u64 {
        let usual = self.part(RETRY_PERCENT).max(1);
        if self.is_over(now) { usual.min(URGENT_PAUSE) } else { usual }
    }

    /// Seconds until the next attempt, after so many failures in a row of which the last was of this kind.
    pub fn pause(self, now: u64, failures: u32, kind: Kind, rng: &mut dyn CryptoRng) -> u64 {
        let interval = self.interval(now);
        match kind {
            Kind::Told(seconds) => seconds.clamp(1, LONGEST_TOLD),
            Kind::Unreachable => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20));
                jittered(doubled.min(interval), rng)
            }
            Kind::Refused => jittered(interval, rng),
        }
    }

    /// The longest that a device waits for anything, in seconds: what was written down as later is of another clock.
    pub fn longest_pause(self, now: u64) -> u64 {
        LONGEST_TOLD.max(self.interval(now).saturating_mul(2))
    }
}

/// What an attempt ended with, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The service says when to come again, in seconds.
    Told(u64),
    /// There was nobody to ask, or something is amiss that may pass.
    Unreachable,
    /// The answer was no.
    Refused,
}

/// Give or take a quarter, and at least a second.
fn jittered(seconds: u64, rng: &mut dyn CryptoRng) -> u64 {
    let span = seconds / 2;
    (seconds - seconds / 4 + rng.next_u64() % (span + 1)).max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    const DAY: u64 = 24 * 60 * 60;
    const BEGIN: u64 = 1_795_478_400;

    fn life(seconds: u64) -> Life {
        Life { begins: BEGIN, ends: BEGIN + seconds }
    }

    #[test]
    fn a_fleet_renews_after_two_thirds_spread_over_a_few_percent() {
        let all: Vec<u64> = (0..1000).map(|n| life(90 * DAY).due(66, &format!("FL-{n:04}")) - BEGIN).collect();
        let (first, last) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*first >= 90 * DAY * 66 / 100 && *last <= 90 * DAY * 70 / 100, "{first} {last}");
        let hours: BTreeSet<u64> = all.iter().map(|at| at / 3600).collect();
        assert!(hours.len() > 80, "{} hours", hours.len());
        assert_eq!(life(90 * DAY).due(66, "FL-0001"), life(90 * DAY).due(66, "FL-0001"));
        let short = life(6).due(66, "FL-0001") - BEGIN;
        assert!((3..=4).contains(&short), "{short}");
    }

    #[test]
    fn attempts_come_every_four_percent_and_sooner_where_nobody_was_there() {
        let mut rng = Random::seeded(1).rng();
        let four_percent = 90 * DAY * 4 / 100;
        let refused = life(90 * DAY).pause(BEGIN, 1, Kind::Refused, &mut rng);
        assert!(refused.abs_diff(four_percent) <= four_percent / 4, "{refused}");
        let mut pause = |failures| life(90 * DAY).pause(BEGIN, failures, Kind::Unreachable, &mut rng);
        for (failures, least, most) in [(1, 22, 38), (2, 45, 75), (5, 360, 600)] {
            let seconds = pause(failures);
            assert!((least..=most).contains(&seconds), "{failures}: {seconds}");
        }
        assert!(pause(1000) <= four_percent * 5 / 4 && pause(1000) >= four_percent * 3 / 4);
    }

    #[test]
    fn an_expired_certificate_is_urgent_and_a_short_life_does_not_spin() {
        let mut rng = Random::seeded(1).rng();
        for failures in [1, 10, 1000] {
            for kind in [Kind::Refused, Kind::Unreachable] {
                let late = life(90 * DAY).pause(BEGIN + 200 * DAY, failures, kind, &mut rng);
                assert!(late <= URGENT_PAUSE * 5 / 4, "{late}");
                for seconds in [0, 1, 6, 24] {
                    assert!(life(seconds).pause(BEGIN, failures, kind, &mut rng) >= 1);
                }
            }
        }
    }

    #[test]
    fn a_service_is_obeyed_within_reason() {
        let mut rng = Random::seeded(1).rng();
        for (told, obeyed) in [(0, 1), (120, 120), (u64::MAX, DAY)] {
            assert_eq!(life(90 * DAY).pause(BEGIN, 1, Kind::Told(told), &mut rng), obeyed);
        }
    }

    #[test]
    fn lives_without_an_end_are_no_trouble() {
        let endless = Life { begins: 0, ends: u64::MAX };
        assert!(endless.due(66, "x") > u64::MAX / 2);
        assert!(endless.pause(5, 1, Kind::Refused, &mut Random::seeded(1).rng()) > 0);
        assert!(endless.longest_pause(5) > 0);
    }
}
