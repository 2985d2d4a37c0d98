//! How often one address or one GUID may begin a conversation: token buckets in a table of fixed size.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Fault;

const SHARDS: usize = 16;
/// Buckets that share a place in the table; the fullest one makes room.
const WAYS: usize = 4;

/// Limits; the defaults let a whole factory behind one address work. A rate of 0 switches a limit off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    pub source_per_second: u32,
    pub source_burst: u32,
    pub guid_per_second: u32,
    pub guid_burst: u32,
    /// Buckets kept of each kind.
    pub table: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { source_per_second: 200, source_burst: 2000, guid_per_second: 1, guid_burst: 60, table: 65_536 }
    }
}

/// The buckets of both kinds.
pub struct Limits {
    source: Table,
    guid: Table,
}

impl Limits {
    pub fn new(settings: &LimitSettings) -> Arc<Self> {
        Arc::new(Self {
            source: Table::new(settings.source_per_second, settings.source_burst, settings.table),
            guid: Table::new(settings.guid_per_second, settings.guid_burst, settings.table),
        })
    }

    /// Called by the endpoint on the first message of a protocol and on 22 and 32, and by other routes that are open to all.
    pub fn check_source(&self, source: IpAddr, now: u64) -> Result<(), Fault> {
        let taken = match source {
            IpAddr::V4(address) => self.source.take(&address.octets(), now),
            // One subscriber holds a whole /64.
            IpAddr::V6(address) => self.source.take(&address.octets()[..8], now),
        };
        if taken { Ok(()) } else { Err(Fault::limited("too many conversations from this address")) }
    }

    /// Called by a service once it knows whom the conversation is about (messages 30 and 60).
    pub fn check_guid(&self, guid: &[u8; 16], now: u64) -> Result<(), Fault> {
        if self.guid.take(guid, now) { Ok(()) } else { Err(Fault::limited("too many conversations of this GUID")) }
    }
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    key: u64,
    tokens: u32,
    at: u64,
}

struct Table {
    per_second: u32,
    burst: u32,
    hasher: RandomState,
    shards: Vec<Mutex<Vec<[Bucket; WAYS]>>>,
}

impl Table {
    fn new(per_second: u32, burst: u32, size: usize) -> Self {
        let sets = if per_second == 0 { 1 } else { (size / SHARDS / WAYS).max(1) };
        let shards = (0..SHARDS).map(|_| Mutex::new(vec![[Bucket::default(); WAYS]; sets])).collect();
        Self { per_second, burst: burst.max(1), hasher: RandomState::new(), shards }
    }

    fn take(&self, key: &[u8], now: u64) -> bool {
        if self.per_second == 0 {
            return true;
        }
        // Keyed by a random hash, so that nobody can aim at another's bucket; 0 marks an empty one.
        let hash = self.hasher.hash_one(key).max(1);
        let spread = usize::try_from(hash & 0xffff_ffff).unwrap_or_default();
        let mut sets = self.shards[spread % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        let index = spread / SHARDS % sets.len();
        let set = &mut sets[index];
        let way = set.iter().position(|bucket| bucket.key == hash).unwrap_or_else(|| {
            let filled = |bucket: &Bucket| {
                if bucket.key == 0 { u32::MAX } else { self.filled(bucket, now) }
            };
            let fullest = (0..WAYS).max_by_key(|way| filled(&set[*way])).unwrap_or(0);
            set[fullest] = Bucket { key: hash, tokens: self.burst, at: now };
            fullest
        });
        let bucket = &mut set[way];
        bucket.tokens = self.filled(bucket, now);
        bucket.at = bucket.at.max(now);
        let Some(left) = bucket.tokens.checked_sub(1) else {
            return false;
        };
        bucket.tokens = left;
        true
    }

    fn filled(&self, bucket: &Bucket, now: u64) -> u32 {
        let gained = now.saturating_sub(bucket.at).saturating_mul(u64::from(self.per_second));
        u32::try_from(gained).unwrap_or(u32::MAX).saturating_add(bucket.tokens).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn source(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limits =
            Limits::new(&LimitSettings { source_per_second: 1, source_burst: 2, ..LimitSettings::default() });
        assert!(limits.check_source(source(1), 10).is_ok());
        assert!(limits.check_source(source(1), 10).is_ok());
        assert!(limits.check_source(source(1), 10).is_err());
        assert!(limits.check_source(source(2), 10).is_ok());
        assert!(limits.check_source(source(1), 11).is_ok());
        assert!(limits.check_source(source(1), 11).is_err());
    }

    #[test]
    fn a_tiny_table_forgets_the_fullest_bucket_first() {
        let settings = LimitSettings { guid_per_second: 1, guid_burst: 1, table: 64, ..LimitSettings::default() };
        let limits = Limits::new(&settings);
        for round in 0..=255_u8 {
            assert!(limits.check_guid(&[round; 16], 5).is_ok());
        }
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let limits = Limits::new(&LimitSettings { guid_per_second: 0, guid_burst: 0, ..LimitSettings::default() });
        assert!((0..1000).all(|_| limits.check_guid(&[1; 16], 5).is_ok()));
    }
}
