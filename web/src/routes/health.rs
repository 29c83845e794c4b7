//! Whether the service lives, is ready, and how its parts are.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use safire_store::schema;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(detail))
}

/// A yes or no.
#[derive(Serialize, ToSchema)]
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
struct Health {
    /// `ok`, `degraded` (it works with less), or why it is not ready.
    status: &'static str,
    service: &'static str,
    version: &'static str,
    database: DatabaseHealth,
    cache: CacheHealth,
    calculations: CalculationsHealth,
}

#[derive(Serialize, ToSchema)]
struct DatabaseHealth {
    #[schema(example = "sqlite")]
    engine: &'static str,
    /// Whether it answers.
    up: bool,
}

#[derive(Serialize, ToSchema)]
struct CacheHealth {
    #[schema(example = "in-process")]
    backend: &'static str,
    /// Whether it answers.
    up: bool,
}

#[derive(Serialize, ToSchema)]
struct CalculationsHealth {
    /// Calculations that the pool holds at most, running and waiting.
    capacity: usize,
    /// Calculations that could be admitted now.
    free: usize,
}

/// How the service's parts are; 200 whatever they say.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
async fn detail(State(app): State<App>) -> Json<Health> {
    let readiness = readiness(&app).await;
    let cache_up = app.cache.stats().await.is_ok();
    Json(Health {
        status: if readiness == "ok" && !cache_up { "degraded" } else { readiness },
        service: "safire",
        version: env!("CARGO_PKG_VERSION"),
        database: DatabaseHealth { engine: app.database.engine().name(), up: app.database.is_up() },
        cache: CacheHealth { backend: "in-process", up: cache_up },
        calculations: CalculationsHealth { capacity: app.calculations.capacity(), free: app.calculations.free() },
    })
}
