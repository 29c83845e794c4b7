//! What the handle and every life of the actor share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use safire_metrics::{Metrics, cache_of};

use super::{
    Settings, Stats,
    local::Local,
    redis::{Answer, Redis},
    undelivered::{Target, Undelivered},
};

pub(super) struct Shared {
    pub local: Local,
    pub redis: Option<Arc<Redis>>,
    pub undelivered: Undelivered,
    pub counters: Counters,
}

pub(super) struct Counters {
    metrics: Arc<Metrics>,
    hits: AtomicU64,
    shared_hits: AtomicU64,
    misses: AtomicU64,
    loads: AtomicU64,
}

impl Counters {
    fn new(metrics: Arc<Metrics>) -> Self {
        let [hits, shared_hits, misses, loads] = Default::default();
        Self { metrics, hits, shared_hits, misses, loads }
    }

    pub fn hit(&self, key: &str) {
        self.metrics.cache_hits.of(cache_of(key)).increment(1);
        self.hits.fetch_add(1, Relaxed);
    }

    pub fn shared_hit(&self, key: &str) {
        self.metrics.cache_shared_hits.of(cache_of(key)).increment(1);
        self.shared_hits.fetch_add(1, Relaxed);
    }

    pub fn miss(&self, key: &str) {
        self.metrics.cache_misses.of(cache_of(key)).increment(1);
        self.misses.fetch_add(1, Relaxed);
    }

    pub fn load(&self) {
        self.loads.fetch_add(1, Relaxed);
    }
}

impl Shared {
    pub fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Self {
        let longest = settings.redis.as_ref().map_or(Duration::MAX, |redis| redis.local_ttl);
        Self {
            local: Local::new(settings.entries, longest),
            redis: settings.redis.as_ref().map(|redis| Arc::new(Redis::new(redis, metrics))),
            undelivered: Undelivered::default(),
            counters: Counters::new(Arc::clone(metrics)),
        }
    }

    /// Redis, unless it may still have a value of `key` that was invalidated here.
    pub fn redis_for(&self, key: &str) -> Option<Arc<Redis>> {
        self.redis.clone().filter(|_| !self.undelivered.covers(key))
    }

    /// Marks the target and drops it from the local layer; returns the mark and how many values that
    /// were. From here on no value from before is given out, whatever becomes of the message.
    pub fn forget(&self, target: &Target) -> (u64, u64) {
        let mark = self.undelivered.mark(target);
        let removed = match target {
            Target::Key(key) => u64::from(self.local.remove(key)),
            Target::All => self.local.clear(),
        };
        (mark, removed)
    }

    /// Tells Redis and the other replicas; the mark stays until that has succeeded.
    pub async fn deliver(&self, target: &Target, mark: u64) -> Answer<u64> {
        let Some(redis) = &self.redis else {
            self.undelivered.settle(target, mark);
            return Ok(0);
        };
        let answer = redis.forget(target).await;
        match &answer {
            Ok(_) => self.undelivered.settle(target, mark),
            Err(_) => self.undelivered.fail(target, mark),
        }
        answer
    }

    pub fn stats(&self) -> Stats {
        let Counters { hits, shared_hits, misses, loads, .. } = &self.counters;
        Stats {
            hits: hits.load(Relaxed),
            shared_hits: shared_hits.load(Relaxed),
            misses: misses.load(Relaxed),
            loads: loads.load(Relaxed),
            entries: self.local.entries(),
        }
    }
}
