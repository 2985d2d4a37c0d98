//! Live registrations by GUID in memory, so that a device's two requests cost one query at most, and mostly none.
//!
//! What this process writes is forgotten here at once. What other replicas write is seen when an entry's time is up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fdo_protocol::Guid;

use super::Live;

const SHARDS: usize = 16;
/// Memory for each GUID on average: strangers' redirects are kept too, so counting GUIDs alone bounds too little.
const BYTES_PER_GUID: usize = 4096;
/// About what a decoded key holds outside of its own size.
const KEY_BYTES: usize = 512;

/// A bounded map; when a part of it is full, something in that part makes room.
pub(super) struct Cache {
    shards: Vec<Mutex<Shard>>,
    per_shard: usize,
    bytes_per_shard: usize,
    /// For how many seconds an entry is good, where others write to the same database.
    lifetime: Option<u64>,
}

#[derive(Default)]
struct Shard {
    /// Counts invalidations: what was read before one must not be kept after it.
    generation: u64,
    entries: HashMap<Guid, Entry>,
    /// What the entries weigh together.
    bytes: usize,
}

impl Shard {
    fn remove(&mut self, guid: &Guid) {
        if let Some(entry) = self.entries.remove(guid) {
            self.bytes -= entry.bytes;
        }
    }
}

struct Entry {
    loaded: u64,
    live: Arc<[Live]>,
    bytes: usize,
}

/// When a read began, as the cache counts time.
#[derive(Clone, Copy)]
pub(super) struct Generation(u64);

impl Cache {
    pub(super) fn new(capacity: usize, lifetime: Option<u64>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let per_shard = capacity.div_ceil(SHARDS);
        Self { shards, per_shard, bytes_per_shard: per_shard.saturating_mul(BYTES_PER_GUID), lifetime }
    }

    fn shard(&self, guid: &Guid) -> MutexGuard<'_, Shard> {
        let index = usize::from(guid.as_bytes()[15]) % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of a GUID, or what a read that begins now needs for [`Cache::insert`].
    pub(super) fn find(&self, guid: &Guid, now: u64) -> Result<Arc<[Live]>, Generation> {
        let shard = self.shard(guid);
        let fresh = |entry: &&Entry| self.lifetime.is_none_or(|seconds| now < entry.loaded + seconds);
        match shard.entries.get(guid).filter(fresh) {
            Some(entry) => Ok(entry.live.clone()),
            None => Err(Generation(shard.generation)),
        }
    }

    /// Keeps what a read found, unless something was written since it began.
    pub(super) fn insert(&self, guid: &Guid, live: Arc<[Live]>, read: Generation, now: u64) {
        let bytes = weight(&live);
        let mut shard = self.shard(guid);
        if shard.generation != read.0 || bytes > self.bytes_per_shard {
            return;
        }
        shard.remove(guid);
        while (shard.entries.len() >= self.per_shard || shard.bytes + bytes > self.bytes_per_shard)
            && let Some(other) = shard.entries.keys().next().copied()
        {
            shard.remove(&other);
        }
        shard.bytes += bytes;
        shard.entries.insert(*guid, Entry { loaded: now, live, bytes });
    }

    /// Forgets a GUID; call it after the commit.
    pub(super) fn forget(&self, guid: &Guid) {
        let mut shard = self.shard(guid);
        shard.generation += 1;
        shard.remove(guid);
    }

    /// Forgets everything; call it after the commit.
    pub(super) fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.generation += 1;
            shard.entries.clear();
            shard.bytes = 0;
        }
    }
}

fn weight(live: &[Live]) -> usize {
    let rows: usize = live.iter().map(|live| size_of::<Live>() + KEY_BYTES + live.to1d.len()).sum();
    size_of::<(Guid, Entry)>() + rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_protocol::crypto::{KeyType, SigningKey};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn guid(number: u8) -> Guid {
        Guid::from_bytes([number; 16])
    }

    fn keep(cache: &Cache, guid: &Guid, now: u64) {
        let Err(read) = cache.find(guid, now) else { return };
        cache.insert(guid, Arc::from([]), read, now);
    }

    #[test]
    fn a_read_that_was_overtaken_by_a_write_is_not_kept() {
        let cache = Cache::new(64, None);
        let read = cache.find(&guid(1), 10).err().unwrap();
        cache.forget(&guid(1));
        cache.insert(&guid(1), Arc::from([]), read, 10);
        assert!(cache.find(&guid(1), 10).is_err());
        keep(&cache, &guid(1), 10);
        assert!(cache.find(&guid(1), 1_000_000).is_ok());
        cache.forget(&guid(1));
        assert!(cache.find(&guid(1), 10).is_err());
    }

    #[test]
    fn everything_is_forgotten_at_once_and_what_was_being_read_too() {
        let cache = Cache::new(64, None);
        (0..8).for_each(|number| keep(&cache, &guid(number), 1));
        let read = cache.find(&guid(9), 1).err().unwrap();
        cache.forget_all();
        cache.insert(&guid(9), Arc::from([]), read, 1);
        assert!((0..10).all(|number| cache.find(&guid(number), 1).is_err()));
    }

    #[test]
    fn entries_of_a_shared_database_age() {
        let cache = Cache::new(64, Some(5));
        keep(&cache, &guid(1), 10);
        assert!(cache.find(&guid(1), 14).is_ok());
        assert!(cache.find(&guid(1), 15).is_err());
    }

    #[test]
    fn it_is_bounded() {
        let cache = Cache::new(16, None);
        for number in 0..=255 {
            keep(&cache, &guid(number), 1);
            assert!(cache.find(&guid(number), 1).is_ok());
        }
        let kept: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum();
        assert_eq!(kept, 16);
    }

    #[test]
    fn long_redirects_take_the_room_of_many() {
        let key = SigningKey::generate(KeyType::P256, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let row = |size| Live {
            device: [0; 32],
            key: key.verifying_key().clone(),
            to1d: vec![0; size],
            expires: u64::MAX,
        };
        let cache = Cache::new(16 * SHARDS, None);
        let keep = |number: u8, rows: usize, size: usize| {
            // All in one shard.
            let guid = Guid::from_bytes([number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            let read = cache.find(&guid, 1).err().unwrap();
            cache.insert(&guid, (0..rows).map(|_| row(size)).collect(), read, 1);
            cache.find(&guid, 1).is_ok()
        };
        for number in 0..100 {
            assert!(keep(number, 4, 4096));
            let shard = cache.shards[0].lock().unwrap();
            let held: usize =
                shard.entries.values().flat_map(|entry| entry.live.iter()).map(|live| live.to1d.len()).sum();
            assert!(held < 16 * BYTES_PER_GUID, "{held}");
            assert_eq!(shard.bytes, shard.entries.values().map(|entry| entry.bytes).sum::<usize>());
        }
        assert!(!keep(200, 16, 4096), "what does not fit is not kept");
    }
}
