//! Whether the service lives, is ready, and how its parts are.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use safire_actors::{cache::Health, database::Stats};
use safire_store::schema;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::cache::RedisFigures;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(detail))
}

/// A yes or no.
#[derive(Serialize, ToSchema)]
#[schema(as = Alive)]
struct Answer {
    /// `ok`, or why not.
    #[schema(example = "ok")]
    status: &'static str,
}

/// The process answers: restart it when this fails.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Answer)))]
async fn live() -> Json<Answer> {
    Json(Answer { status: "ok" })
}

/// The service can work: send requests elsewhere when this fails.
#[utoipa::path(
    get, path = "/health/ready", tag = "health",
    responses((status = 200, body = Answer), (status = 503, body = Answer))
)]
async fn ready(State(app): State<App>) -> (StatusCode, Json<Answer>) {
    let status = readiness(&app).await;
    let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Answer { status }))
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
    /// `ok`, `degraded` (it works with less), or why it is not ready.
    status: &'static str,
    service: &'static str,
    version: &'static str,
    database: DatabaseHealth,
    cache: CacheHealth,
    redis: RedisHealth,
    calculations: CalculationsHealth,
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
    /// Its figures as of a second ago, absent while it is away.
    #[serde(flatten)]
    figures: Option<RedisFigures>,
}

impl From<Health> for RedisHealth {
    fn from(health: Health) -> Self {
        let Some(redis) = health.redis else {
            return Self { enabled: false, host: None, port: None, up: None, figures: None };
        };
        let up = Some(redis.is_up());
        let figures = redis.stats.map(RedisFigures::from);
        Self { enabled: true, host: Some(redis.host), port: Some(redis.port), up, figures }
    }
}

#[derive(Serialize, ToSchema)]
struct CalculationsHealth {
    /// Calculations that the pool holds at most, running and waiting.
    capacity: usize,
    /// Calculations that could be admitted now.
    free: usize,
}

/// How the service's parts are; 200 whatever they say.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = ServiceHealth)))]
async fn detail(State(app): State<App>) -> Json<ServiceHealth> {
    let readiness = readiness(&app).await;
    let cache_up = app.cache.stats().await.is_ok();
    let cache = app.cache.health();
    let degraded = !cache_up || cache.is_degraded();
    Json(ServiceHealth {
        status: if readiness == "ok" && degraded { "degraded" } else { readiness },
        service: "safire",
        version: env!("CARGO_PKG_VERSION"),
        database: DatabaseHealth {
            engine: app.database.engine().name(),
            up: app.database.is_up(),
            pool: app.database.stats().into(),
        },
        cache: CacheHealth { backend: cache.backend, up: cache_up },
        redis: cache.into(),
        calculations: CalculationsHealth { capacity: app.calculations.capacity(), free: app.calculations.free() },
    })
}
