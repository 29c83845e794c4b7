//! The routes, one file per group.

mod auth;
mod breakeven;
mod cache;
mod calculation;
mod catalogue;
mod compare;
mod corsia;
mod default_sets;
mod duplicate;
mod health;
mod keys;
mod master_data;
mod new_users;
mod prices;
mod projects;
mod results;
mod scenarios;
mod sessions;
mod statistics;
mod users;
mod view;
mod zones;

use std::time::Duration;

use axum::{Json, Router, middleware, routing::get};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, LOCATION, RETRY_AFTER},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{App, Problem, auth::X_API_KEY, limits, observe, problem::ProblemBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Safire",
        description = "Techno-economic analysis of sustainable-aviation-fuel plants: what a plant would cost, \
                       earn and emit, with every number traceable. Errors are application/problem+json. \
                       Routes that need a user take an access token or a personal API key as \
                       Authorization: Bearer, or an API key as X-API-Key. Any route may answer 429 with \
                       Retry-After; RateLimit and RateLimit-Policy tell what is left.",
        license(name = "MIT")
    ),
    components(schemas(ProblemBody)),
    modifiers(&BearerToken),
    tags(
        (name = "auth", description = "Register, sign in, stay signed in, API keys"),
        (name = "users", description = "Who uses the service"),
        (name = "zones", description = "Working groups, whose members see each other's projects"),
        (name = "statistics", description = "Users and zones in figures"),
        (name = "projects", description = "Folders of scenarios"),
        (name = "scenarios", description = "Plants and their inputs"),
        (name = "calculation", description = "Runs and results"),
        (name = "master data", description = "Technologies, feedstocks, countries, products, units, defaults"),
        (name = "cache", description = "What is kept in memory"),
        (name = "health", description = "For balancers and operators")
    )
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

fn documented() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(sessions::routes())
        .merge(keys::routes())
        .merge(users::routes())
        .merge(new_users::routes())
        .merge(zones::routes())
        .merge(statistics::routes())
        .merge(projects::routes())
        .merge(scenarios::routes())
        .merge(duplicate::routes())
        .merge(compare::routes())
        .merge(calculation::routes())
        .merge(results::routes())
        .merge(breakeven::routes())
        .merge(master_data::routes())
        .merge(catalogue::routes())
        .merge(corsia::routes())
        .merge(default_sets::routes())
        .merge(prices::routes())
        .merge(cache::routes());
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", api).merge(health::routes())
}

/// The description of the API, made from the routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// What pages of other origins may do: nothing, unless their origin is listed.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([LOCATION, RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(Duration::from_secs(3600))
}

/// The service's routes with everything around them.
pub fn router(app: App) -> Router {
    let (router, document) = documented().split_for_parts();
    let around = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, X_API_KEY]))
        .layer(middleware::from_fn(observe::observe))
        .layer(CompressionLayer::new().gzip(true))
        .layer(cors(&app.settings.cors_origins))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), observe::in_time))
        .layer(middleware::from_fn_with_state(app.clone(), limits::limit));
    router
        .route("/openapi.json", get(async || Json(document)))
        .fallback(async || Problem::not_found("resource"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this resource does not know that method")
        })
        .layer(around)
        .with_state(app)
}
