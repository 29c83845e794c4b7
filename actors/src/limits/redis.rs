//! Counts in Redis: one script, one key a subject, one round trip.

use std::{num::NonZeroU32, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use redis::{
    Client, IntoConnectionInfo, RedisError, Script,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};

use super::{Away, Decision, RateStore, Rule, Subject};

/// GCRA by Redis's own clock, in microseconds.
///
/// `KEYS[1]` holds the time at which the bucket will be full again; `ARGV` are the interval, the
/// burst and how many are taken. Gives: allowed, remaining, microseconds until one more is allowed. Whatever else the key
/// holds, garbage or a time that a higher limit left there, is put right.
pub const GCRA: &str = r"
local interval, burst, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local window = interval * burst
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local held = redis.pcall('GET', KEYS[1])
local full_at = type(held) == 'string' and tonumber(held) or now
if full_at ~= full_at then full_at = now end
full_at = math.min(math.max(full_at, now), now + window)
local next_full_at = full_at + interval * taken
local wait = next_full_at - window - now
if wait > 0 then return {0, 0, math.ceil(wait)} end
redis.call('SET', KEYS[1], string.format('%.0f', next_full_at), 'PX', math.ceil((next_full_at - now) / 1000))
return {1, math.floor((window - (next_full_at - now)) / interval), 0}
";

/// Counts in the Redis that a connection leads to.
pub struct RedisRates<C> {
    connection: C,
    script: Script,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisRates<C> {
    /// Counts over a connection that reconnects by itself.
    pub fn new(connection: C) -> Self {
        Self { connection, script: Script::new(GCRA) }
    }
}

impl RedisRates<ConnectionManager> {
    /// Counts over a connection of their own, made when it is first needed.
    pub fn connect(url: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(Duration::from_millis(500)))
            .set_number_of_retries(1);
        Ok(Self::new(ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RateStore for RedisRates<C> {
    fn take<'a>(
        &'a self,
        rule: &'a Rule,
        subject: Subject,
        units: NonZeroU32,
    ) -> BoxFuture<'a, Result<Decision, Away>> {
        async move {
            let mut connection = self.connection.clone();
            let key = format!("safire:limit:{}:{subject}", rule.name);
            let interval = u64::try_from(rule.interval().as_micros()).unwrap_or(u64::MAX).max(1);
            let mut call = self.script.key(key);
            call.arg(interval).arg(rule.burst.get()).arg(units.get());
            let answer: (u8, u32, u64) =
                call.invoke_async(&mut connection).await.map_err(|error| Away(error.to_string()))?;
            let (allowed, remaining, wait) = answer;
            Ok(Decision { allowed: allowed == 1, remaining, retry_after: Duration::from_micros(wait) })
        }
        .boxed()
    }
}
