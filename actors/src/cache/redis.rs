//! Redis, as far as it answers: every command has a short deadline and is passed by while the
//! circuit is open, and no answer is never an error to a caller.
//!
//! One multiplexed connection; `link` makes it, watches it and makes it again.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, RedisResult, Value, aio::MultiplexedConnection, cmd, pipe,
};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use safire_metrics::Metrics;
use thiserror::Error;
use tokio::{sync::Notify, time::timeout};

use super::{
    RedisSettings,
    circuit::{Circuit, CircuitState},
    dict,
    keyspace::{CHANNEL, EPOCH, KEEP, LEASE_MS, NOT_CACHED, Names, PREFIX, READ, seal, unseal},
    undelivered::Target,
};

/// Where Redis is.
#[derive(Clone)]
pub struct RedisTarget(Client);

/// The URL does not say where Redis is; what it holds may be secret and is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not a Redis URL that can be understood")]
pub struct BadRedisUrl;

impl RedisTarget {
    /// Reads a `redis://…` or `rediss://…` URL.
    pub fn parse(url: &str) -> Result<Self, BadRedisUrl> {
        Client::open(url).map(Self).map_err(|_| BadRedisUrl)
    }

    /// The host, or the path of its socket, and the port.
    pub fn address(&self) -> (String, u16) {
        match self.0.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
            ConnectionAddr::Unix(path) => (path.display().to_string(), 0),
            _ => (String::new(), 0),
        }
    }
}

impl fmt::Debug for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.address();
        write!(f, "RedisTarget({host}:{port})")
    }
}

/// Redis's own figures, as of the last probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedisStats {
    /// Keys in the database that the URL names.
    pub total_keys: u64,
    /// Memory that Redis has allocated, in bytes.
    pub memory_used: u64,
    /// Clients connected, this process among them.
    pub connected_clients: u64,
}

/// Why Redis gave nothing.
#[derive(Debug, Error)]
pub(super) enum NoAnswer {
    #[error("the circuit is open")]
    Away,
    #[error("it did not answer in time")]
    Late,
    #[error(transparent)]
    Failed(#[from] ::redis::RedisError),
}

pub(super) type Answer<T> = Result<T, NoAnswer>;

/// What Redis has under a key.
pub(super) enum Read {
    /// The value and the time that it has left.
    Value(Bytes, Duration),
    /// Nothing, and the token that allows to write it.
    Lease(String),
}

/// What is to be kept beside the sealed value.
pub(super) type Fields = Option<Arc<dict::Dict>>;

pub(super) struct Redis {
    client: Client,
    deadline: Duration,
    /// Tells this process's announcements from those of others.
    origin: String,
    connection: ArcSwapOption<MultiplexedConnection>,
    circuit: Mutex<Circuit>,
    pub(super) opened: Notify,
    stats: Mutex<Option<RedisStats>>,
    metrics: Arc<Metrics>,
}

impl Redis {
    pub fn new(settings: &RedisSettings, metrics: &Arc<Metrics>) -> Self {
        Self {
            client: settings.target.0.clone(),
            deadline: settings.deadline,
            origin: token(),
            connection: ArcSwapOption::empty(),
            circuit: Mutex::new(Circuit::new()),
            opened: Notify::new(),
            stats: Mutex::new(None),
            metrics: Arc::clone(metrics),
        }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    pub fn state(&self) -> CircuitState {
        self.circuit().state()
    }

    pub fn stats(&self) -> Option<RedisStats> {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note_stats(&self, stats: Option<RedisStats>) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    pub fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a connection that has answered a PING.
    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }

    /// From now on commands go over this connection; returns how many attempts failed before.
    pub fn use_connection(&self, connection: MultiplexedConnection) -> u32 {
        self.connection.store(Some(Arc::new(connection)));
        self.circuit().close()
    }

    /// From now on commands are passed by.
    pub fn give_up_connection(&self) {
        self.metrics.redis_connection_errors.increment(1);
        self.circuit().lost();
        self.connection.store(None);
        self.note_stats(None);
    }

    /// Sends a command, if the circuit lets it through, and awaits its answer within the deadline.
    pub async fn ask<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F + Send) -> Answer<T>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        let connection = self.connection.load_full().ok_or(NoAnswer::Away)?;
        let begun = Instant::now();
        let why = match timeout(self.deadline, work((*connection).clone())).await {
            Ok(Ok(value)) => {
                self.metrics.redis_command.record(begun.elapsed());
                self.circuit().succeeded();
                return Ok(value);
            }
            Ok(Err(error)) => NoAnswer::Failed(error),
            Err(_) => NoAnswer::Late,
        };
        self.metrics.redis_command_errors.increment(1);
        tracing::debug!(%why, "redis gave no answer");
        // What became of an earlier connection says nothing about this one.
        if self.connection.load().as_ref().is_some_and(|now| Arc::ptr_eq(now, &connection)) && self.opens(&why) {
            self.connection.store(None);
            self.opened.notify_one();
        }
        Err(why)
    }

    fn opens(&self, why: &NoAnswer) -> bool {
        match why {
            NoAnswer::Late => self.circuit().failed(),
            NoAnswer::Failed(error) => error.is_unrecoverable_error() && self.circuit().lost(),
            NoAnswer::Away => false,
        }
    }

    /// Reads a value, or the rendering of a dict; where there is none, takes a lease.
    pub async fn read(&self, key: &str, dict: bool) -> Answer<Read> {
        match self.read_once(key, dict).await? {
            Some(read) => Ok(read),
            // Garbage: make room for a good value.
            None => {
                let Names { value, json, lease } = Names::of(key);
                let names = [value, json, lease];
                self.ask(async |mut c| cmd("UNLINK").arg(&names).query_async::<()>(&mut c).await).await?;
                self.read_once(key, dict).await?.ok_or(NoAnswer::Away)
            }
        }
    }

    async fn read_once(&self, key: &str, dict: bool) -> Answer<Option<Read>> {
        let Names { value, json, lease } = Names::of(key);
        let mut script = READ.prepare_invoke();
        script.key(if dict { &json } else { &value }).key(lease).key(EPOCH).arg(token()).arg(LEASE_MS);
        if dict {
            script.key(value);
        }
        let answer = self.ask(async |mut c| script.invoke_async::<Vec<Value>>(&mut c).await).await?;
        Ok(understand(answer))
    }

    /// Keeps what was loaded under a lease; `false` when an invalidation came between.
    pub async fn keep(&self, key: &str, lease: &str, value: &[u8], fields: Fields, ttl: Duration) -> Answer<bool> {
        let names = Names::of(key);
        let mut script = KEEP.prepare_invoke();
        script.key(if fields.is_some() { &names.json } else { &names.value }).key(names.lease).key(EPOCH);
        script.arg(lease).arg(seal(value)).arg(milliseconds(ttl));
        if let Some(fields) = &fields {
            script.key(names.value);
            for (field, text) in fields.iter() {
                script.arg(field).arg(text);
            }
        }
        self.ask(async |mut c| script.invoke_async(&mut c).await).await
    }

    /// The value of `key`, without the intention to write it.
    pub async fn get(&self, key: &str) -> Answer<Option<Bytes>> {
        let Names { value, json, .. } = Names::of(key);
        let found = self
            .ask(async |mut c| {
                let value = cmd("GET").arg(value).query_async::<Option<Vec<u8>>>(&mut c).await;
                match value {
                    Ok(Some(value)) => Ok(Some(value)),
                    // A dict's value is a hash; its rendering is beside it.
                    _ => cmd("GET").arg(json).query_async(&mut c).await,
                }
            })
            .await?;
        Ok(found.and_then(unseal))
    }

    pub async fn exists(&self, key: &str) -> Answer<bool> {
        let name = Names::of(key).value;
        self.ask(async |mut c| cmd("EXISTS").arg(name).query_async(&mut c).await).await
    }

    /// Replaces the value of `key` and tells the other replicas.
    pub async fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Answer<()> {
        let names = Names::of(key);
        let mut steps = pipe();
        steps.atomic().cmd("DEL").arg(names.json).arg(names.lease).ignore();
        steps.cmd("SET").arg(names.value).arg(seal(value)).arg("PX").arg(milliseconds(ttl)).ignore();
        steps.cmd("PUBLISH").arg(CHANNEL).arg(self.announcement(key)).ignore();
        self.ask(async |mut c| steps.query_async(&mut c).await).await
    }

    /// Forgets what the target names and tells the other replicas; returns how many values it was.
    pub async fn forget(&self, target: &Target) -> Answer<u64> {
        match target {
            Target::Key(key) => self.forget_key(key).await,
            Target::All => self.forget_all().await,
        }
    }

    async fn forget_key(&self, key: &str) -> Answer<u64> {
        let names = Names::of(key);
        let mut steps = pipe();
        steps.atomic().cmd("UNLINK").arg(names.value).cmd("UNLINK").arg(names.json).arg(names.lease).ignore();
        steps.cmd("PUBLISH").arg(CHANNEL).arg(self.announcement(key)).ignore();
        let (removed,) = self.ask(async |mut c| steps.query_async::<(u64,)>(&mut c).await).await?;
        Ok(removed)
    }

    async fn forget_all(&self) -> Answer<u64> {
        let mut begin = cmd("SET");
        begin.arg(EPOCH).arg(token()).arg("PX").arg(LEASE_MS);
        self.ask(async |mut c| begin.query_async::<()>(&mut c).await).await?;
        let (mut cursor, mut removed) = (0, 0);
        loop {
            let (next, mut keys) = self.scan(cursor).await?;
            keys.retain(|key| !key.starts_with(NOT_CACHED.as_bytes()) && key != EPOCH.as_bytes());
            if !keys.is_empty() {
                removed += self.ask(async |mut c| cmd("UNLINK").arg(&keys).query_async::<u64>(&mut c).await).await?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        let announcement = self.announcement("*");
        self.ask(async |mut c| cmd("PUBLISH").arg(CHANNEL).arg(announcement).query_async::<()>(&mut c).await).await?;
        Ok(removed)
    }

    async fn scan(&self, cursor: u64) -> Answer<(u64, Vec<Vec<u8>>)> {
        let pattern = format!("{PREFIX}*");
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
        self.ask(async |mut c| scan.query_async(&mut c).await).await
    }

    fn announcement(&self, key: &str) -> String {
        format!("{} {key}", self.origin)
    }
}

/// What the READ script said; `None` when it is garbage.
fn understand(answer: Vec<Value>) -> Option<Read> {
    let mut answer = answer.into_iter();
    let kind = text(answer.next()?)?;
    match (kind.as_str(), answer.next()?, answer.next()) {
        ("lease", lease, None) => text(lease).map(Read::Lease),
        ("value", Value::BulkString(sealed), Some(left)) => Some(Read::Value(unseal(sealed)?, time_left(&left))),
        ("fields", Value::Array(fields), Some(left)) => {
            let fields: Option<Vec<_>> = fields.into_iter().map(text).collect();
            let dict = fields?.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            Some(Read::Value(dict::render(&dict).ok()?, time_left(&left)))
        }
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// A key that somebody made to last for ever has no time left to speak of: the local layer's bound counts.
fn time_left(left: &Value) -> Duration {
    match left {
        Value::Int(ms) => u64::try_from(*ms).map_or(Duration::MAX, Duration::from_millis),
        _ => Duration::ZERO,
    }
}

fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}
