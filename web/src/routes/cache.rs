//! What is kept at hand, and how to make the service forget it.

use axum::{Json, extract::State};
use safire_actors::cache::{RedisStats, Stats};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{App, Problem, app::USERS_DICT, auth::Caller};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(stats))
        .routes(routes!(invalidate))
        .routes(routes!(invalidate_users_dict))
}

/// How the cache is and how it has served since it started.
#[derive(Serialize, ToSchema)]
struct CacheStatus {
    /// `redis` when replicas share one, `in-process` otherwise.
    #[schema(example = "redis")]
    backend: &'static str,
    /// `ok`, or `degraded` while Redis is away and reads go to the database.
    #[schema(example = "ok")]
    status: &'static str,
    /// `closed` while commands go to Redis, `open` or `half-open` while it is passed by; absent without Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "closed")]
    circuit: Option<&'static str>,
    /// Invalidations that Redis has not confirmed yet; absent without Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    undelivered: Option<usize>,
    #[serde(flatten)]
    served: Served,
}

/// How the cache has served.
#[derive(Serialize, ToSchema)]
struct Served {
    /// Values kept in this process now.
    entries: u64,
    /// Requests answered from the memory of this process.
    hits: u64,
    /// Requests that waited for Redis or for the database.
    misses: u64,
    /// Fetches answered by Redis.
    shared_hits: u64,
    /// Reads of the database: fewer than misses when several waited for one.
    loads: u64,
}

impl From<Stats> for Served {
    fn from(Stats { hits, shared_hits, misses, loads, entries }: Stats) -> Self {
        Self { entries, hits, misses, shared_hits, loads }
    }
}

/// How the cache is.
///
/// And how it has served since this process started.
#[utoipa::path(get, path = "/cache/status", tag = "cache", responses((status = 200, body = CacheStatus)))]
async fn status(State(app): State<App>, _: Caller) -> Result<Json<CacheStatus>, Problem> {
    let served = app.cache.stats().await?.into();
    let health = app.cache.health();
    let redis = health.redis.as_ref();
    Ok(Json(CacheStatus {
        backend: health.backend,
        status: if health.is_degraded() { "degraded" } else { "ok" },
        circuit: redis.map(|redis| redis.circuit.name()),
        undelivered: redis.map(|redis| redis.undelivered),
        served,
    }))
}

/// The cache's figures, and those of Redis.
#[derive(Serialize, ToSchema)]
struct CacheStats {
    #[serde(flatten)]
    served: Served,
    /// Requests answered from memory or Redis, as a share of all; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.97)]
    hit_rate: Option<f64>,
    /// As of a second ago; absent without Redis and while it is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<RedisFigures>,
}

/// What Redis says about itself.
#[derive(Serialize, ToSchema)]
struct RedisFigures {
    /// Keys in its database.
    total_keys: u64,
    /// Memory it has allocated, in bytes.
    memory_used: u64,
    /// Clients connected to it.
    connected_clients: u64,
}

impl From<RedisStats> for RedisFigures {
    fn from(RedisStats { total_keys, memory_used, connected_clients }: RedisStats) -> Self {
        Self { total_keys, memory_used, connected_clients }
    }
}

/// The cache's figures.
///
/// Those of this process, and those of Redis where replicas share one.
#[utoipa::path(get, path = "/cache/stats", tag = "cache", responses((status = 200, body = CacheStats)))]
async fn stats(State(app): State<App>, _: Caller) -> Result<Json<CacheStats>, Problem> {
    let stats = app.cache.stats().await?;
    let redis = app.cache.redis_stats().map(RedisFigures::from);
    Ok(Json(CacheStats { served: stats.into(), hit_rate: stats.hit_rate(), redis }))
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
struct Invalidated {
    /// Values that were kept before.
    entries: u64,
}

/// Forgets everything that is cached (administrators).
///
/// On all replicas; what is asked for next is read from the database.
#[utoipa::path(
    post, path = "/cache/invalidate", tag = "cache",
    responses(
        (status = 200, description = "What was forgotten", body = Invalidated),
        (status = 403, description = "the caller is no administrator"),
    )
)]
async fn invalidate(State(app): State<App>, caller: Caller) -> Result<Json<Invalidated>, Problem> {
    caller.must_be_admin()?;
    Ok(Json(Invalidated { entries: app.cache.clear().await? }))
}

/// Forgets the directory of users (administrators).
///
/// On all replicas; everything else stays cached.
#[utoipa::path(
    post, path = "/cache/invalidate/users-dict", tag = "cache",
    responses(
        (status = 200, description = "What was forgotten", body = Invalidated),
        (status = 403, description = "the caller is no administrator"),
    )
)]
async fn invalidate_users_dict(State(app): State<App>, caller: Caller) -> Result<Json<Invalidated>, Problem> {
    caller.must_be_admin()?;
    Ok(Json(Invalidated { entries: u64::from(app.cache.invalidate(USERS_DICT).await?) }))
}
