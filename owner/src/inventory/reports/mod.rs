//! What devices say of renewals that failed: the latest word of each, told when the device could be heard again.

mod store;

use serde::{Deserialize, Serialize};

pub use store::{find, forget, list, record, settle};

/// No more of a device's words than this many characters is kept.
const MAX_ERROR: usize = 500;

/// A device's word, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalReport {
    /// The inventory's id of the device.
    pub device_id: String,
    /// When it said so, unix seconds.
    pub at: u64,
    /// Why, in its own words, made fit to be shown.
    pub error: String,
    /// How many in a row had failed; 0 once it has renewed since.
    pub consecutive: u32,
}

impl RenewalReport {
    /// What a device said at this time: bounded, and without what a terminal could take for more than text.
    pub fn new(device_id: &str, at: u64, error: &str, consecutive: u32) -> Self {
        let mut shown = String::new();
        for character in error.chars().take(MAX_ERROR) {
            match character {
                plain if plain == ' ' || plain.is_alphanumeric() || plain.is_ascii_graphic() => shown.push(plain),
                other => shown.extend(other.escape_unicode()),
            }
        }
        Self { device_id: device_id.to_owned(), at, error: shown, consecutive }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fdo_service::db::testing::TestDatabase;

    use super::*;
    use crate::db::Migrator;

    #[test]
    fn words_of_a_device_are_bounded_and_escaped() {
        let report = RenewalReport::new("d", 1, "no\u{1b}[31m answer\n\u{202e}", 3);
        assert_eq!(report.error, "no\\u{1b}[31m answer\\u{a}\\u{202e}");
        assert_eq!(RenewalReport::new("d", 1, &"x".repeat(10_000), 3).error.len(), MAX_ERROR);
    }

    #[tokio::test]
    async fn the_latest_word_counts_and_a_renewal_settles_it() {
        for database in TestDatabase::all::<Migrator>().await {
            let db = database.connection();
            assert_eq!(find(db, "a").await.unwrap(), None);
            for (device, at, consecutive) in [("a", 10, 1), ("a", 20, 2), ("b", 15, 7)] {
                record(db, &RenewalReport::new(device, at, "nobody there", consecutive)).await.unwrap();
            }
            assert_eq!(find(db, "a").await.unwrap(), Some(RenewalReport::new("a", 20, "nobody there", 2)));
            let ids = |reports: Vec<RenewalReport>| {
                reports.into_iter().map(|report| report.device_id).collect::<Vec<_>>()
            };
            assert_eq!(ids(list(db, 0, 10).await.unwrap()), ["a", "b"]);
            assert_eq!(ids(list(db, 16, 10).await.unwrap()), ["a"]);
            settle(db, "a").await.unwrap();
            settle(db, "nobody").await.unwrap();
            assert_eq!(find(db, "a").await.unwrap().unwrap().consecutive, 0);
            assert_eq!(ids(list(db, 0, 10).await.unwrap()), ["b"], "what still fails");
            forget(db, "b").await.unwrap();
            assert!(list(db, 0, 10).await.unwrap().is_empty());
        }
    }
}
