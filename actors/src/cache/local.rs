//! The layer in the process.

use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::{Expiry, sync::Cache as Store};

/// Values kept in the process, each for its own time.
pub(super) struct Local {
    store: Store<String, Entry>,
    /// The longest that anything is kept: what bounds a lost hint when Redis is shared.
    longest: Duration,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    ttl: Duration,
}

struct OwnTtl;

impl Expiry<String, Entry> for OwnTtl {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &String, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl Local {
    pub fn new(entries: u64, longest: Duration) -> Self {
        Self { store: Store::builder().max_capacity(entries).expire_after(OwnTtl).build(), longest }
    }

    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.store.get(key).map(|entry| entry.value)
    }

    pub fn insert(&self, key: &str, value: Bytes, ttl: Duration) {
        self.store.insert(key.to_owned(), Entry { value, ttl: ttl.min(self.longest) });
    }

    /// Forgets `key`; `true` when it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.store.remove(key).is_some()
    }

    /// Forgets everything; returns how many values that were.
    pub fn clear(&self) -> u64 {
        let entries = self.entries();
        self.store.invalidate_all();
        entries
    }

    pub fn entries(&self) -> u64 {
        self.store.run_pending_tasks();
        self.store.entry_count()
    }
}
