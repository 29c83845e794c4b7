//! What is kept in memory, and how to make the service forget it.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{App, Problem, auth::Caller, problem::ProblemBody};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(invalidate))
}

/// How the cache has served since it started.
#[derive(Serialize, ToSchema)]
struct Status {
    /// Where values are kept.
    #[schema(example = "in-process")]
    backend: &'static str,
    /// Values kept now.
    entries: u64,
    /// Requests answered from the cache.
    hits: u64,
    /// Requests that waited for a load.
    misses: u64,
    /// Loads begun: fewer than misses when several waited for one.
    loads: u64,
}

/// The cache's figures.
#[utoipa::path(
    get, path = "/cache/status", tag = "cache", security(("bearer" = [])),
    responses((status = 200, body = Status), (status = 401, body = ProblemBody))
)]
async fn status(State(app): State<App>, _: Caller) -> Result<Json<Status>, Problem> {
    let stats = app.cache.stats().await?;
    Ok(Json(Status {
        backend: "in-process",
        entries: stats.entries,
        hits: stats.hits,
        misses: stats.misses,
        loads: stats.loads,
    }))
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
struct Invalidated {
    /// Values that were kept before.
    entries: u64,
}

/// Forgets everything that is cached (administrators).
#[utoipa::path(
    post, path = "/cache/invalidate", tag = "cache", security(("bearer" = [])),
    responses(
        (status = 200, body = Invalidated),
        (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody),
    )
)]
async fn invalidate(State(app): State<App>, caller: Caller) -> Result<Json<Invalidated>, Problem> {
    caller.must_be_admin()?;
    Ok(Json(Invalidated { entries: app.cache.clear().await? }))
}
