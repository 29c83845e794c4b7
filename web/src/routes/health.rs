//! Whether the service lives, is ready, and how its parts are.

use std::time::{Duration, Instant};

use axum::{Json, extract::State};
use http::StatusCode;
use safire_actors::{cache::Health, database::Stats, feed, slot::Places};
use safire_store::schema;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    App,
    thresholds::{Breach, breaches},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(utoipa_axum::routes!(live))
        .routes(utoipa_axum::routes!(ready))
        .routes(utoipa_axum::routes!(detail))
}

/// A yes or no.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ok`, or why not.
    #[schema(example = "ok")]
    status: &'static str,
}

/// The process answers.
///
/// Restart it when this fails.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Readiness)))]
async fn live() -> Json<Readiness> {
    Json(Readiness { status: "ok" })
}

/// The service can work.
///
/// Send requests elsewhere when this fails: it is draining, or cannot reach its database.
#[utoipa::path(
    get, path = "/health/ready", tag = "health",
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "Why it cannot", body = Readiness, example = json!({ "status": "draining" })),
    )
)]
async fn ready(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let status = readiness(&app).await;
    let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { status }))
}

/// How long the database may take to be called ready.
const PATIENCE: Duration = Duration::from_secs(1);

async fn readiness(app: &App) -> &'static str {
    if app.is_draining() {
        return "draining";
    }
    if !app.is_supervised() {
        return "unsupervised";
    }
    let version = app.database.read(|c| Box::pin(schema::current_version(c)));
    match tokio::time::timeout(PATIENCE, version).await {
        Ok(Ok(version)) if version == schema::latest_version() => "ok",
        Ok(Ok(_)) => "schema not up to date",
        Ok(Err(_)) | Err(_) => "database unreachable",
    }
}

/// The service and its parts.
#[derive(Serialize, ToSchema)]
struct ServiceHealth {
    /// `healthy`, `degraded` (it works with less), or why it is not ready.
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(example = "safire")]
    service: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    database: DatabaseHealth,
    cache: CacheHealth,
    redis: RedisHealth,
    kafka: KafkaHealth,
    calculations: CalculationsHealth,
    /// Actors, and how many requests each has admitted.
    actors: Vec<ActorHealth>,
    /// Figures beyond the thresholds that operators watch.
    breached: Vec<Breach>,
}

#[derive(Serialize, ToSchema)]
struct DatabaseHealth {
    #[schema(example = "sqlite")]
    engine: &'static str,
    /// Whether it answers.
    up: bool,
    pool: PoolHealth,
}

/// How the connections to the database are used.
#[derive(Serialize, ToSchema)]
struct PoolHealth {
    /// Connections open.
    size: usize,
    /// Connections that do a job now.
    checked_out: usize,
    /// Connections that wait for a job.
    idle: usize,
    /// Connections open beyond those that are kept.
    overflow: usize,
    /// Jobs that wait for a connection.
    waiters: usize,
}

impl From<Stats> for PoolHealth {
    fn from(Stats { size, checked_out, idle, overflow, waiters }: Stats) -> Self {
        Self { size, checked_out, idle, overflow, waiters }
    }
}

#[derive(Serialize, ToSchema)]
struct CacheHealth {
    #[schema(example = "redis")]
    backend: &'static str,
    /// Whether it answers.
    up: bool,
}

/// How Redis is.
#[derive(Serialize, ToSchema)]
struct RedisHealth {
    /// Whether one is configured; the rest is absent otherwise.
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Whether it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<bool>,
    /// Keys in its database, as of a second ago; absent while it is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_keys: Option<u64>,
    /// Memory it has allocated, in bytes, as of a second ago; absent while it is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used: Option<u64>,
    /// Clients connected to it, as of a second ago; absent while it is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_clients: Option<u64>,
}

impl From<Health> for RedisHealth {
    fn from(health: Health) -> Self {
        let redis = health.redis.as_ref();
        let stats = redis.and_then(|redis| redis.stats.as_ref());
        Self {
            enabled: redis.is_some(),
            host: redis.map(|redis| redis.host.clone()),
            port: redis.map(|redis| redis.port),
            up: redis.map(|redis| redis.is_up()),
            total_keys: stats.map(|stats| stats.total_keys),
            memory_used: stats.map(|stats| stats.memory_used),
            connected_clients: stats.map(|stats| stats.connected_clients),
        }
    }
}

/// How Kafka is.
#[derive(Serialize, ToSchema)]
struct KafkaHealth {
    /// Whether it is configured; the rest is absent otherwise.
    enabled: bool,
    /// Whether a broker is connected, and takes within seconds what is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<bool>,
    /// Events that wait to be published, as of the last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    outbox: Option<i64>,
    /// Events given up since the process started because too many waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<u64>,
    /// Messages that wait to be taken in here, as of a second ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<i64>,
    /// Messages put aside since the process started because they were not understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letters: Option<u64>,
}

impl KafkaHealth {
    fn is_degraded(&self) -> bool {
        self.connected == Some(false)
    }
}

impl From<Option<feed::Stats>> for KafkaHealth {
    fn from(stats: Option<feed::Stats>) -> Self {
        Self {
            enabled: stats.is_some(),
            connected: stats.map(|stats| stats.is_up),
            outbox: stats.map(|stats| stats.outbox),
            given_up: stats.map(|stats| stats.given_up),
            waiting: stats.map(|stats| stats.waiting),
            dead_letters: stats.map(|stats| stats.dead_letters),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct CalculationsHealth {
    /// Calculations that the pool holds at most, running and waiting.
    capacity: usize,
    /// Calculations that could be admitted now.
    free: usize,
}

#[derive(Serialize, ToSchema)]
struct ActorHealth {
    #[schema(example = "database")]
    name: &'static str,
    /// Requests that it admits at once.
    capacity: usize,
    /// Requests that it has admitted and not answered.
    taken: usize,
}

impl From<Places> for ActorHealth {
    fn from(Places { actor, capacity, taken }: Places) -> Self {
        Self { name: actor, capacity, taken }
    }
}

/// How the service's parts are.
///
/// For operators; 200 whatever it says.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = ServiceHealth)))]
async fn detail(State(app): State<App>) -> Json<ServiceHealth> {
    let readiness = readiness(&app).await;
    let cache_up = app.cache.stats().await.is_ok();
    let cache = app.cache.health();
    let pool = app.database.stats();
    let breached = breaches(pool, &cache, app.pace.recent(Instant::now()));
    let kafka = KafkaHealth::from(app.feed_stats());
    let degraded = !cache_up || cache.is_degraded() || kafka.is_degraded();
    Json(ServiceHealth {
        status: match readiness {
            "ok" if degraded => "degraded",
            "ok" => "healthy",
            why_not => why_not,
        },
        service: "safire",
        version: env!("CARGO_PKG_VERSION"),
        database: DatabaseHealth { engine: app.database.engine().name(), up: app.database.is_up(), pool: pool.into() },
        cache: CacheHealth { backend: cache.backend, up: cache_up },
        redis: cache.into(),
        kafka,
        calculations: CalculationsHealth { capacity: app.calculations.capacity(), free: app.calculations.free() },
        actors: app.places().into_iter().map(Into::into).collect(),
        breached,
    })
}
