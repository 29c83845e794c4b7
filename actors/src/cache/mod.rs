//! The cache actor: values that are expensive to make, kept for a while.
//!
//! Three layers are asked in turn: memory of this process, Redis (when there is one), and whoever
//! loads the value. The cache may only make things faster: without Redis, or with one that is away,
//! slow, empty or full of garbage, every answer comes from the loader.
//!
//! - Many callers of one cold key wait for one read of Redis and one load.
//! - A load that was overtaken by an invalidation is answered but not kept, here or in Redis.
//! - After [`Cache::invalidate`] nobody in this process sees the old value, even when Redis is away
//!   and comes back later: what could not be told to Redis is remembered, and the key is not read from
//!   it until it was told.
//! - Other processes hear of an invalidation by a message that may be lost; what bounds their error is
//!   the short life of values in memory ([`RedisSettings::local_ttl`]).
//!
//! What is found in memory is answered without a message to the actor.

mod actor;
mod circuit;
mod dict;
mod fetch;
mod keyspace;
mod link;
mod local;
mod redis;
mod shared;
#[cfg(test)]
mod tests;
mod undelivered;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{
    context::Context,
    database::DatabaseError,
    slot::{Places, Slot, Unavailable},
    supervisor::Child,
};
use actor::{CacheActor, Message};
use fetch::Source;
use shared::Shared;
use undelivered::Target;

pub use circuit::CircuitState;
pub use dict::{Dict, LoadDict};
pub use redis::{BadRedisUrl, RedisStats, RedisTarget};

/// The key of the rendered master data.
pub const MASTER_DATA: &str = "master-data";

/// A value under construction.
pub type Load = BoxFuture<'static, Result<Bytes, DatabaseError>>;

/// What a load gave to everybody who waited for it.
pub type Loaded = Result<Bytes, Arc<DatabaseError>>;

/// How the cache has served since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests answered from memory.
    pub hits: u64,
    /// Fetches answered by Redis.
    pub shared_hits: u64,
    /// Requests that had to wait for Redis or for a load.
    pub misses: u64,
    /// Loads begun.
    pub loads: u64,
    /// Values kept in memory now.
    pub entries: u64,
}

impl Stats {
    /// Requests answered from memory or Redis, as a share of all; `None` before the first.
    pub fn hit_rate(&self) -> Option<f64> {
        let all = self.hits + self.misses;
        // Callers that waited for somebody else's fetch count as misses, whatever that found.
        let found = self.hits + self.shared_hits.min(self.misses);
        (all > 0).then(|| found as f64 / all as f64)
    }
}

/// The cache's bounds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Values kept in memory at most.
    pub entries: u64,
    /// Requests that may wait.
    pub queue: usize,
    /// How long a request may wait.
    pub deadline: Duration,
    /// The layer that replicas share, if there is one.
    pub redis: Option<RedisSettings>,
}

/// How Redis is used.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Where it is.
    pub target: RedisTarget,
    /// The longest that a value is kept in memory beside it.
    pub local_ttl: Duration,
    /// How long one command may take.
    pub deadline: Duration,
}

/// How the cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `in-process`, or `redis` when replicas share one.
    pub backend: &'static str,
    /// How Redis is, when it is used.
    pub redis: Option<RedisHealth>,
}

/// How Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisHealth {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether commands go to it.
    pub circuit: CircuitState,
    /// Invalidations that it has not confirmed yet.
    pub undelivered: usize,
    /// Its own figures, as of the last probe; none while it is away.
    pub stats: Option<RedisStats>,
}

impl Health {
    /// Whether the cache does less than it was set up to do.
    pub fn is_degraded(&self) -> bool {
        self.redis.as_ref().is_some_and(|redis| !redis.is_up())
    }
}

impl RedisHealth {
    /// Whether it answers.
    pub fn is_up(&self) -> bool {
        self.circuit == CircuitState::Closed
    }
}

/// A handle on the cache.
#[derive(Clone)]
pub struct Cache {
    slot: Slot<Message>,
    shared: Arc<Shared>,
    redis: Option<RedisTarget>,
}

impl Cache {
    /// The handle and the actor behind it.
    pub fn new(settings: &Settings, context: &Context) -> (Self, Child) {
        let slot = Slot::new("cache", settings.queue, settings.deadline);
        let shared = Arc::new(Shared::new(settings, &context.metrics));
        let child = Child::resilient(slot.clone(), &context.metrics, {
            let (context, shared) = (context.clone(), Arc::clone(&shared));
            move || (CacheActor(context.clone()), Arc::clone(&shared))
        });
        let redis = settings.redis.as_ref().map(|redis| redis.target.clone());
        (Self { slot, shared, redis }, child)
    }

    /// The value of `key`; when there is none, what `load` gives makes it and it is kept for `ttl`.
    pub async fn get_or_load(
        &self,
        key: &str,
        ttl: Duration,
        load: impl FnOnce() -> Load,
    ) -> Result<Loaded, Unavailable> {
        self.fetch(key, ttl, || Source::Value(load())).await
    }

    /// The dict `name` as a JSON object; when there is none, what `load` gives makes it and it is kept for
    /// `ttl`: in Redis as a hash, with its rendering beside it.
    pub async fn get_or_load_dict(
        &self,
        name: &str,
        ttl: Duration,
        load: impl FnOnce() -> LoadDict,
    ) -> Result<Loaded, Unavailable> {
        self.fetch(name, ttl, || Source::Dict(load())).await
    }

    async fn fetch(&self, key: &str, ttl: Duration, source: impl FnOnce() -> Source) -> Result<Loaded, Unavailable> {
        if let Some(value) = self.shared.local.get(key) {
            self.shared.counters.hit(key);
            return Ok(Ok(value));
        }
        let (key, source) = (key.to_owned(), source());
        self.slot.call(|reply| Message::GetOrLoad { key, ttl, source, reply }).await
    }

    /// The value of `key`, or the rendering of the dict of that name, if there is one.
    pub async fn get(&self, key: impl Into<String>) -> Result<Option<Bytes>, Unavailable> {
        let key = key.into();
        if let Some(value) = self.shared.local.get(&key) {
            return Ok(Some(value));
        }
        self.slot.call(|reply| Message::Get { key, reply }).await
    }

    /// Replaces the value of `key` everywhere and keeps it for `ttl`.
    pub async fn set(&self, key: impl Into<String>, value: Bytes, ttl: Duration) -> Result<(), Unavailable> {
        let key = key.into();
        let (mark, _) = self.shared.forget(&Target::Key(key.clone()));
        self.slot.call(|reply| Message::Set { key, value, ttl, mark, reply }).await
    }

    /// Forgets `key` everywhere; `true` when there was a value.
    pub async fn delete(&self, key: impl Into<String>) -> Result<bool, Unavailable> {
        self.invalidate(key).await
    }

    /// Whether there is a value of `key`.
    pub async fn exists(&self, key: impl Into<String>) -> Result<bool, Unavailable> {
        let key = key.into();
        if self.shared.local.get(&key).is_some() {
            return Ok(true);
        }
        self.slot.call(|reply| Message::Exists { key, reply }).await
    }

    /// Forgets `key`, a value or a dict with its rendering, everywhere; `true` when it was there.
    ///
    /// The value is gone from this process even when this answers [`Unavailable`].
    pub async fn invalidate(&self, key: impl Into<String>) -> Result<bool, Unavailable> {
        let removed = self.forget(Target::Key(key.into())).await?;
        Ok(removed > 0)
    }

    /// Forgets everything everywhere; returns how many values that were.
    pub async fn clear(&self) -> Result<u64, Unavailable> {
        self.forget(Target::All).await
    }

    async fn forget(&self, target: Target) -> Result<u64, Unavailable> {
        let (mark, removed) = self.shared.forget(&target);
        self.slot.call(|reply| Message::Invalidate { target, mark, removed, reply }).await
    }

    /// How many requests are admitted.
    pub fn places(&self) -> Places {
        self.slot.places()
    }

    /// Values kept in memory now. Waits for nothing.
    pub fn entries(&self) -> u64 {
        self.shared.local.entries()
    }

    /// How the cache has served.
    pub async fn stats(&self) -> Result<Stats, Unavailable> {
        self.slot.call(Message::Stats).await
    }

    /// Redis's own figures as of the last probe, a second ago at most; `None` without Redis or while
    /// it is away. Waits for nothing.
    pub fn redis_stats(&self) -> Option<RedisStats> {
        self.shared.redis.as_ref()?.stats()
    }

    /// How the cache is. Waits for nothing.
    pub fn health(&self) -> Health {
        let Some((redis, target)) = self.shared.redis.as_ref().zip(self.redis.as_ref()) else {
            return Health { backend: "in-process", redis: None };
        };
        let (host, port) = target.address();
        let undelivered = self.shared.undelivered.len();
        let redis = RedisHealth { host, port, circuit: redis.state(), undelivered, stats: redis.stats() };
        Health { backend: "redis", redis: Some(redis) }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("redis", &self.redis).finish_non_exhaustive()
    }
}
