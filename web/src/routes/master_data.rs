//! Master data, as it is cached and as it is.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use safire_domain::{
    engine::units::{self, UnitGroup},
    master_data::MasterData,
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    App, Problem,
    app::{MASTER_DATA, load_master_data},
    auth::Caller,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(cached)).routes(routes!(fresh)).routes(routes!(list_units))
}

/// The master data.
///
/// Technologies, feedstocks, countries, utilities, products and default inputs; cached for an hour.
#[utoipa::path(get, path = "/master-data", tag = "master data", responses((status = 200, body = MasterData)))]
async fn cached(State(app): State<App>, _: Caller) -> Result<Response, Problem> {
    app.master_data_json().await.map(json)
}

/// The master data, read from the database now.
///
/// What was cached is forgotten.
#[utoipa::path(get, path = "/master-data/fresh", tag = "master data", responses((status = 200, body = MasterData)))]
async fn fresh(State(app): State<App>, _: Caller) -> Result<Response, Problem> {
    if let Err(unavailable) = app.cache.invalidate(MASTER_DATA).await {
        tracing::warn!(%unavailable, "the cache kept its master data");
    }
    Ok(json(load_master_data(app.database.clone()).await?))
}

/// The units that quantities may be written in.
///
/// By group, the unit that is calculated in first; each says how many of those it is.
#[utoipa::path(get, path = "/units", tag = "master data", responses((status = 200, body = Vec<UnitGroup>)))]
async fn list_units(_: Caller) -> Json<Vec<UnitGroup>> {
    Json(units::groups())
}

fn json(body: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
