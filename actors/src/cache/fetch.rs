//! One fetch beside the actor: Redis first, then the loader, then what was loaded goes to Redis.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ractor::ActorRef;
use tracing::Instrument;

use super::{
    Load, Loaded, Shared,
    actor::Message,
    dict::{self, LoadDict},
    redis::{Fields, Read, Redis},
};
use crate::{
    database::DatabaseError,
    origin::{Origin, on_behalf_of},
    slot::{Unavailable, Why},
};

/// Where a value comes from when no layer has it.
pub(super) enum Source {
    Value(Load),
    Dict(LoadDict),
}

pub(super) struct Fetch {
    pub shared: Arc<Shared>,
    pub key: String,
    pub ttl: Duration,
    pub number: u64,
    pub actor: ActorRef<Message>,
}

impl Fetch {
    /// Those who wait are answered before Redis is given the value: it takes it when it can.
    pub async fn run(self, source: Source) {
        let lease = match self.ask_redis(matches!(source, Source::Dict(_))).await {
            Some((_, Read::Value(value, left))) => {
                self.shared.counters.shared_hit(&self.key);
                return self.arrived(Ok(value), left.min(self.ttl));
            }
            Some((redis, Read::Lease(lease))) => Some((redis, lease)),
            None => None,
        };
        self.shared.counters.load();
        // In a task of its own: a load that panics fails those who wait for it.
        let loaded = tokio::spawn(on_behalf_of(Origin::current().map(Origin::of_all), load(source)).in_current_span())
            .await
            .unwrap_or_else(|_| Err(load_panicked()));
        let (value, fields) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return self.arrived(Err(Arc::new(error)), self.ttl),
        };
        self.arrived(Ok(value.clone()), self.ttl);
        if let Some((redis, lease)) = lease {
            // Without an answer it is as if it had not been kept.
            let _ = redis.keep(&self.key, &lease, &value, fields, self.ttl).await;
        }
    }

    async fn ask_redis(&self, dict: bool) -> Option<(Arc<Redis>, Read)> {
        let redis = self.shared.redis_for(&self.key)?;
        let read = redis.read(&self.key, dict).await.ok()?;
        Some((redis, read))
    }

    fn arrived(&self, value: Loaded, ttl: Duration) {
        let (key, number) = (self.key.clone(), self.number);
        let _ = self.actor.cast(Message::Arrived { key, ttl, number, value });
    }
}

async fn load(source: Source) -> Result<(Bytes, Fields), DatabaseError> {
    match source {
        Source::Value(load) => Ok((load.await?, None)),
        Source::Dict(load) => {
            let fields = load.await?;
            let rendered = dict::render(&fields)
                .map_err(|error| safire_store::Error::Corrupt { table: "dict", reason: error.to_string() })?;
            Ok((rendered, Some(Arc::new(fields))))
        }
    }
}

fn load_panicked() -> DatabaseError {
    DatabaseError::Unavailable(Unavailable { resource: "cache", why: Why::Down })
}
