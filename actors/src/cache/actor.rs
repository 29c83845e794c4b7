//! The actor behind the handle: who waits for which load, and what came between.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{
    Loaded, Shared, Stats,
    fetch::{Fetch, Source},
    link,
    redis::Redis,
    undelivered::Target,
};
use crate::{
    context::Context,
    origin::{Origin, on_behalf_of, span_for},
    resilient::Resilient,
    slot::Reply,
};

/// What the cache is told.
pub(super) enum Message {
    /// The value of `key`, which the local layer did not have a moment ago.
    GetOrLoad { key: String, ttl: Duration, source: Source, reply: Reply<Loaded> },
    /// Fetch number `number` ended; what it gave may be kept for `ttl`.
    Arrived { key: String, ttl: Duration, number: u64, value: Loaded },
    /// The value of `key`, wherever it is.
    Get { key: String, reply: Reply<Option<Bytes>> },
    /// Whether there is a value of `key`.
    Exists { key: String, reply: Reply<bool> },
    /// A new value of `key`; the handle has marked it.
    Set { key: String, value: Bytes, ttl: Duration, mark: u64, reply: Reply<()> },
    /// Forget; the handle has marked the target and dropped `removed` values from the local layer.
    Invalidate { target: Target, mark: u64, removed: u64, reply: Reply<u64> },
    /// Another replica invalidated.
    Announced(Target),
    /// Redis is back: announcements may have been missed.
    Reconnected,
    /// Try again to tell Redis what it does not know yet.
    Redeliver,
    /// How the cache has served.
    Stats(Reply<Stats>),
}

pub(super) struct CacheActor(pub Context);

pub(super) struct State {
    shared: Arc<Shared>,
    loading: HashMap<String, Loading>,
    overtaken: Vec<Loading>,
    fetches: u64,
    _link: Option<AbortOnDropHandle<()>>,
}

/// A load on its way, and who waits for it.
struct Loading {
    number: u64,
    /// The newest mark when it began.
    since: u64,
    waiting: Vec<Reply<Loaded>>,
}

impl Actor for CacheActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Shared>;

    // The local layer begins empty: an earlier life may have missed announcements.
    async fn pre_start(&self, myself: ActorRef<Message>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        shared.local.clear();
        let redis = shared.redis.clone();
        let link = redis.map(|redis| AbortOnDropHandle::new(tokio::spawn(keep_linked(redis, myself))));
        Ok(State { shared, loading: HashMap::new(), overtaken: Vec::new(), fetches: 0, _link: link })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        self.0.pass("cache");
        match message {
            Message::GetOrLoad { key, ttl, source, reply } => state.get_or_load(&myself, key, ttl, source, reply),
            Message::Arrived { key, ttl, number, value } => state.arrived(&key, ttl, number, &value),
            Message::Get { key, reply } => state.get(key, reply),
            Message::Exists { key, reply } => state.exists(key, reply),
            Message::Set { key, value, ttl, mark, reply } => state.set(key, value, ttl, mark, reply),
            Message::Invalidate { target, mark, removed, reply } => state.invalidate(target, mark, removed, reply),
            Message::Announced(target) => state.forget(&target),
            Message::Reconnected => state.forget_all(),
            Message::Redeliver => state.redeliver(),
            Message::Stats(reply) => reply.send(state.shared.stats()),
        }
        Ok(())
    }
}

impl Resilient for CacheActor {
    /// It may have been an invalidation, or a value that others wait for: they are told that there is none.
    fn make_up(&self, _: &ActorRef<Message>, state: &mut State) {
        state.loading.clear();
        state.overtaken.clear();
        state.forget_all();
    }
}

/// Does something beside the actor, for whoever asked.
fn beside(asker: Option<Origin>, work: impl Future<Output = ()> + Send + 'static) {
    let span = span_for!(debug_span, "cache", asker.as_ref());
    tokio::spawn(on_behalf_of(asker, work).instrument(span));
}

/// A link that panics takes the actor with it, so that both are started again.
async fn keep_linked(redis: Arc<Redis>, myself: ActorRef<Message>) {
    let link = AbortOnDropHandle::new(tokio::spawn(link::keep_connected(redis, myself.clone())));
    if link.await.is_err_and(|error| error.is_panic()) {
        myself.stop(Some("the way to redis panicked".to_owned()));
    }
}

impl State {
    fn get_or_load(
        &mut self,
        myself: &ActorRef<Message>,
        key: String,
        ttl: Duration,
        source: Source,
        reply: Reply<Loaded>,
    ) {
        if let Some(value) = self.shared.local.get(&key) {
            self.shared.counters.hit(&key);
            return reply.send(Ok(value));
        }
        self.shared.counters.miss(&key);
        if let Some(loading) = self.loading.get_mut(&key) {
            if !self.shared.undelivered.covers_since(&key, loading.since) {
                return loading.waiting.push(reply);
            }
            self.overtaken.extend(self.loading.remove(&key));
        }
        self.fetches += 1;
        let number = self.fetches;
        let since = self.shared.undelivered.newest();
        let asker = reply.origin().cloned();
        self.loading.insert(key.clone(), Loading { number, since, waiting: vec![reply] });
        let shared = Arc::clone(&self.shared);
        beside(asker, Fetch { shared, key, ttl, number, actor: myself.clone() }.run(source));
    }

    fn arrived(&mut self, key: &str, ttl: Duration, number: u64, value: &Loaded) {
        let waiting = match self.loading.get(key) {
            Some(loading) if loading.number == number => {
                // An invalidation that found the queue full left only its mark.
                let overtaken = self.shared.undelivered.covers_since(key, loading.since);
                if let (Ok(value), false) = (value, overtaken) {
                    self.shared.local.insert(key, value.clone(), ttl);
                }
                self.loading.remove(key).map(|loading| loading.waiting)
            }
            _ => {
                let overtaken = self.overtaken.iter().position(|loading| loading.number == number);
                overtaken.map(|index| self.overtaken.swap_remove(index).waiting)
            }
        };
        for reply in waiting.into_iter().flatten() {
            reply.send(value.clone());
        }
    }

    /// Others may have announced what was not heard.
    fn forget_all(&mut self) {
        self.forget(&Target::All);
        self.redeliver();
    }

    fn get(&mut self, key: String, reply: Reply<Option<Bytes>>) {
        let known = self.shared.local.get(&key);
        let Some(redis) = self.shared.redis_for(&key).filter(|_| known.is_none()) else { return reply.send(known) };
        beside(reply.origin().cloned(), async move { reply.send(redis.get(&key).await.unwrap_or_default()) });
    }

    fn exists(&mut self, key: String, reply: Reply<bool>) {
        let known = self.shared.local.get(&key).is_some();
        let Some(redis) = self.shared.redis_for(&key).filter(|_| !known) else { return reply.send(known) };
        beside(reply.origin().cloned(), async move { reply.send(redis.exists(&key).await.unwrap_or_default()) });
    }

    fn set(&mut self, key: String, value: Bytes, ttl: Duration, mark: u64, reply: Reply<()>) {
        let target = Target::Key(key.clone());
        self.forget(&target);
        self.shared.local.insert(&key, value.clone(), ttl);
        let Some(redis) = self.shared.redis.clone() else {
            self.shared.undelivered.settle(&target, mark);
            return reply.send(());
        };
        self.shared.undelivered.begin(&target, mark);
        let shared = Arc::clone(&self.shared);
        beside(reply.origin().cloned(), async move {
            match redis.set(&key, &value, ttl).await {
                Ok(()) => shared.undelivered.settle(&target, mark),
                Err(_) => shared.undelivered.fail(&target, mark),
            }
            reply.send(());
        });
    }

    fn invalidate(&mut self, target: Target, mark: u64, removed: u64, reply: Reply<u64>) {
        self.forget(&target);
        let shared = Arc::clone(&self.shared);
        self.shared.undelivered.begin(&target, mark);
        beside(reply.origin().cloned(), async move {
            let there = shared.deliver(&target, mark).await;
            reply.send(there.unwrap_or_default().max(removed));
        });
    }

    fn redeliver(&mut self) {
        for (target, mark) in self.shared.undelivered.waiting() {
            self.forget_loads(&target);
            self.shared.undelivered.begin(&target, mark);
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.deliver(&target, mark).await });
        }
    }

    /// Drops values from the local layer, and keeps out those that are on their way.
    fn forget(&mut self, target: &Target) {
        match target {
            Target::Key(key) => drop(self.shared.local.remove(key)),
            Target::All => drop(self.shared.local.clear()),
        }
        self.forget_loads(target);
    }

    fn forget_loads(&mut self, target: &Target) {
        match target {
            Target::Key(key) => self.overtaken.extend(self.loading.remove(key)),
            Target::All => self.overtaken.extend(self.loading.drain().map(|(_, loading)| loading)),
        }
    }
}
