//! CORSIA's default life-cycle values.

use axum::Json;
use safire_domain::engine::policy::corsia::{CORSIA_DEFAULTS, CORSIA_DEFAULTS_SOURCE, CorsiaDefault};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{App, auth::Caller, problem::ProblemBody};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(corsia_defaults))
}

/// CORSIA's default life-cycle values, and where they come from.
#[derive(Serialize, ToSchema)]
struct CorsiaDefaults {
    /// Where all of them come from.
    source: &'static str,
    /// The values.
    defaults: Vec<CorsiaDefaultView>,
}

/// The default life-cycle value of a pathway.
#[derive(Serialize, ToSchema)]
struct CorsiaDefaultView {
    #[serde(flatten)]
    default: CorsiaDefault,
    /// Core emissions and those of induced land-use change: what to give as `/carbon/default_ci`, in gCO2e/MJ.
    life_cycle_g_per_mj: f64,
}

/// CORSIA's default life-cycle values, by process, feedstock, region and mode.
///
/// To calculate with one, give its `life_cycle_g_per_mj` as `/carbon/default_ci`, in gCO2e/MJ.
#[utoipa::path(
    get, path = "/corsia-defaults", tag = "master data", security(("bearer" = [])),
    responses(
        (status = 200, description = "All default values", body = CorsiaDefaults, example = json!({
            "source": "ICAO, CORSIA Default Life Cycle Emissions Values for CORSIA Eligible Fuels (Doc 06)",
            "defaults": [{ "process": "HEFA", "feedstock": "Used cooking oil", "region": "World", "mode": "both",
                           "core_g_per_mj": 13.9, "land_use_g_per_mj": 0.0, "life_cycle_g_per_mj": 13.9 }],
        })),
        (status = 401, description = "No valid access token", body = ProblemBody),
    )
)]
async fn corsia_defaults(_: Caller) -> Json<CorsiaDefaults> {
    let view = |default: &CorsiaDefault| CorsiaDefaultView {
        default: *default,
        life_cycle_g_per_mj: default.life_cycle_g_per_mj(),
    };
    Json(CorsiaDefaults { source: CORSIA_DEFAULTS_SOURCE, defaults: CORSIA_DEFAULTS.iter().map(view).collect() })
}
