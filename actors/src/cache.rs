//! The cache actor: values that are expensive to make, kept for a while.
//!
//! The cache may only make things faster. [`Cache::get_or_load`] lets many callers of one cold key
//! wait for one load; a load that was overtaken by an invalidation is answered but not kept.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use moka::{Expiry, sync::Cache as Store};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::{
    context::Context,
    database::DatabaseError,
    slot::{Reply, Slot, Unavailable, Why},
    supervisor::Child,
};

/// A value under construction.
pub type Load = BoxFuture<'static, Result<Bytes, DatabaseError>>;

/// What a load gave to everybody who waited for it.
pub type Loaded = Result<Bytes, Arc<DatabaseError>>;

/// How the cache has served since its actor started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests answered from the cache.
    pub hits: u64,
    /// Requests that had to wait for a load.
    pub misses: u64,
    /// Loads begun.
    pub loads: u64,
    /// Values kept now.
    pub entries: u64,
}

/// The cache's bounds.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Values kept at most.
    pub entries: u64,
    /// Requests that may wait.
    pub queue: usize,
    /// How long a request may wait.
    pub deadline: Duration,
}

/// A handle on the cache.
#[derive(Clone)]
pub struct Cache(Slot<Message>);

impl Cache {
    /// The handle and the actor behind it.
    pub fn new(settings: Settings, context: &Context) -> (Self, Child) {
        let slot = Slot::new("cache", settings.queue, settings.deadline);
        let context = context.clone();
        let child = Child::new(slot.clone(), move || (CacheActor(context.clone()), settings.entries));
        (Self(slot), child)
    }

    /// The value of `key`; when there is none, `load` makes it and it is kept for `ttl`.
    pub async fn get_or_load(&self, key: &'static str, ttl: Duration, load: Load) -> Result<Loaded, Unavailable> {
        self.0.call(|reply| Message::GetOrLoad { key, ttl, load, reply }).await
    }

    /// Forgets `key`; `true` when it was there.
    pub async fn invalidate(&self, key: &'static str) -> Result<bool, Unavailable> {
        self.0.call(|reply| Message::Invalidate(key, reply)).await
    }

    /// Forgets everything; returns how many values that were.
    pub async fn clear(&self) -> Result<u64, Unavailable> {
        self.0.call(Message::Clear).await
    }

    /// How the cache has served.
    pub async fn stats(&self) -> Result<Stats, Unavailable> {
        self.0.call(Message::Stats).await
    }
}

enum Message {
    GetOrLoad { key: &'static str, ttl: Duration, load: Load, reply: Reply<Loaded> },
    Arrived { key: &'static str, ttl: Duration, number: u64, value: Loaded },
    Invalidate(&'static str, Reply<bool>),
    Clear(Reply<u64>),
    Stats(Reply<Stats>),
}

struct CacheActor(Context);

struct State {
    store: Store<&'static str, Entry>,
    loading: HashMap<&'static str, Loading>,
    overtaken: Vec<Loading>,
    stats: Stats,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    ttl: Duration,
}

/// A load on its way, and who waits for it.
struct Loading {
    number: u64,
    waiting: Vec<Reply<Loaded>>,
}

struct OwnTtl;

impl Expiry<&'static str, Entry> for OwnTtl {
    fn expire_after_create(&self, _: &&'static str, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &&'static str,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl Actor for CacheActor {
    type Msg = Message;
    type State = State;
    type Arguments = u64;

    async fn pre_start(&self, _: ActorRef<Message>, entries: u64) -> Result<State, ActorProcessingErr> {
        let store = Store::builder().max_capacity(entries).expire_after(OwnTtl).build();
        Ok(State { store, loading: HashMap::new(), overtaken: Vec::new(), stats: Stats::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        self.0.pass("cache");
        match message {
            Message::GetOrLoad { key, ttl, load, reply } => state.get_or_load(&myself, key, ttl, load, reply),
            Message::Arrived { key, ttl, number, value } => state.arrived(key, ttl, number, &value),
            Message::Invalidate(key, reply) => reply.send(state.invalidate(key)),
            Message::Clear(reply) => reply.send(state.clear()),
            Message::Stats(reply) => reply.send(state.stats()),
        }
        Ok(())
    }
}

impl State {
    fn get_or_load(
        &mut self,
        myself: &ActorRef<Message>,
        key: &'static str,
        ttl: Duration,
        load: Load,
        reply: Reply<Loaded>,
    ) {
        if let Some(entry) = self.store.get(key) {
            self.stats.hits += 1;
            return reply.send(Ok(entry.value));
        }
        self.stats.misses += 1;
        if let Some(loading) = self.loading.get_mut(key) {
            return loading.waiting.push(reply);
        }
        self.stats.loads += 1;
        let number = self.stats.loads;
        self.loading.insert(key, Loading { number, waiting: vec![reply] });
        let myself = myself.clone();
        tokio::spawn(async move {
            let value = tokio::spawn(load).await.unwrap_or_else(|_| Err(load_panicked())).map_err(Arc::new);
            let _ = myself.cast(Message::Arrived { key, ttl, number, value });
        });
    }

    fn arrived(&mut self, key: &'static str, ttl: Duration, number: u64, value: &Loaded) {
        let waiting = if self.loading.get(key).is_some_and(|loading| loading.number == number) {
            if let Ok(value) = value {
                self.store.insert(key, Entry { value: value.clone(), ttl });
            }
            self.loading.remove(key).map(|loading| loading.waiting)
        } else {
            let overtaken = self.overtaken.iter().position(|loading| loading.number == number);
            overtaken.map(|index| self.overtaken.swap_remove(index).waiting)
        };
        for reply in waiting.into_iter().flatten() {
            reply.send(value.clone());
        }
    }

    fn invalidate(&mut self, key: &'static str) -> bool {
        self.overtaken.extend(self.loading.remove(key));
        self.store.remove(key).is_some()
    }

    fn clear(&mut self) -> u64 {
        let entries = self.stats().entries;
        self.overtaken.extend(self.loading.drain().map(|(_, loading)| loading));
        self.store.invalidate_all();
        entries
    }

    fn stats(&self) -> Stats {
        self.store.run_pending_tasks();
        Stats { entries: self.store.entry_count(), ..self.stats }
    }
}

fn load_panicked() -> DatabaseError {
    DatabaseError::Unavailable(Unavailable { resource: "cache", why: Why::Down })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use safire_domain::clock::SystemClock;
    use tokio::sync::oneshot;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    async fn cache() -> Cache {
        let slot = Slot::new("cache", 1000, Duration::from_secs(5));
        let context = Context::new(Arc::new(SystemClock));
        slot.fill(Actor::spawn(None, CacheActor(context), 10).await.expect("spawns").0);
        Cache(slot)
    }

    fn ready(value: &'static str) -> Load {
        async move { Ok(Bytes::from_static(value.as_bytes())) }.boxed()
    }

    async fn get(cache: &Cache, load: Load) -> Bytes {
        cache.get_or_load("key", TTL, load).await.expect("answers").expect("loads")
    }

    #[tokio::test]
    async fn a_herd_on_a_cold_key_loads_once() {
        let cache = cache().await;
        let herd: Vec<_> = (0..200)
            .map(|_| {
                tokio::spawn({
                    let cache = cache.clone();
                    async move {
                        get(
                            &cache,
                            async {
                                tokio::task::yield_now().await;
                                Ok(Bytes::from_static(b"v"))
                            }
                            .boxed(),
                        )
                        .await
                    }
                })
            })
            .collect();
        for caller in herd {
            assert_eq!(caller.await.unwrap(), "v");
        }
        assert_eq!(cache.stats().await.unwrap().loads, 1);
    }

    #[tokio::test]
    async fn a_load_that_an_invalidation_overtook_is_answered_but_not_kept() {
        let cache = cache().await;
        let (release, released) = oneshot::channel::<()>();
        let old = tokio::spawn({
            let cache = cache.clone();
            async move {
                get(
                    &cache,
                    async {
                        released.await.ok();
                        Ok(Bytes::from_static(b"old"))
                    }
                    .boxed(),
                )
                .await
            }
        });
        while cache.stats().await.unwrap().loads == 0 {}
        assert!(!cache.invalidate("key").await.unwrap());
        assert_eq!(get(&cache, ready("new")).await, "new");
        release.send(()).unwrap();
        assert_eq!(old.await.unwrap(), "old");
        assert_eq!(get(&cache, ready("unused")).await, "new");
    }

    #[tokio::test]
    async fn a_load_that_panics_fails_its_callers_and_the_next_one_loads_again() {
        let cache = cache().await;
        let failed = cache.get_or_load("key", TTL, async { panic!("a defect") }.boxed()).await.unwrap();
        assert!(failed.is_err());
        assert_eq!(get(&cache, ready("v")).await, "v");
    }

    #[tokio::test]
    async fn clearing_forgets_everything() {
        let cache = cache().await;
        get(&cache, ready("v")).await;
        assert_eq!(cache.clear().await, Ok(1));
        assert_eq!(get(&cache, ready("w")).await, "w");
    }
}
