//! Whether this device's clock can be right: a device that wakes up in 1970 must say so, not ask without end.

use fdo_pki::Certificate;

use crate::est::received::CLOCK_TOLERANCE;

/// This program was not there before (2026-01-01).
const EARLIEST: u64 = 1_767_225_600;

/// What is wrong with `now`, for people; `seen` is the latest time at which an owner's service was talked to.
pub fn wrong(now: u64, seen: u64, ldevid: Option<&Certificate>) -> Option<String> {
    let later = now.saturating_add(CLOCK_TOLERANCE);
    let before = if later < EARLIEST {
        "before this program was made"
    } else if ldevid.is_some_and(|ldevid| later < ldevid.not_before()) {
        "before its own certificate was issued"
    } else if later < seen {
        "before it last talked to its owner"
    } else {
        return None;
    };
    Some(format!("this device's clock is wrong: {} is {before}; set it, for instance by NTP", date(now)))
}

/// How far the clock is from the server's, for people, where that matters.
pub fn skew(now: u64, server: u64) -> Option<String> {
    let apart = now.abs_diff(server);
    let direction = if now < server { "behind" } else { "ahead of" };
    (apart > CLOCK_TOLERANCE).then(|| {
        format!("this device's clock is {apart} seconds {direction} its owner's; set it, for instance by NTP")
    })
}

fn date(seconds: u64) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_else(|| format!("{seconds} s"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right_is_told_in_words() {
        const NOW: u64 = 1_795_478_400;
        assert_eq!(wrong(NOW, 0, None), None);
        assert_eq!(wrong(NOW, NOW + CLOCK_TOLERANCE, None), None, "a little is no matter");
        assert!(wrong(0, 0, None).unwrap().contains("1970-01-01 00:00 UTC is before this program was made"));
        assert!(wrong(NOW, NOW + 86_400, None).unwrap().contains("before it last talked to its owner"));
        assert_eq!(skew(NOW, NOW + 10), None);
        assert!(skew(NOW, NOW + 7200).unwrap().contains("7200 seconds behind"));
        assert!(skew(NOW + 7200, NOW).unwrap().contains("7200 seconds ahead"));
    }
}
