//! The routes, one file per group.

/// Like [`utoipa_axum::routes`], at [`document::API`]. A nested router would cost each request a copy of its URI.
macro_rules! routes {
    ($($handler:path),+ $(,)?) => {
        $crate::routes::at_api(utoipa_axum::routes!($($handler),+))
    };
}
mod asked;
mod auth;
mod batch;
mod breakeven;
mod cache;
mod calculation;
mod catalogue;
mod compare;
mod corsia;
mod default_sets;
mod docs;
mod duplicate;
mod events;
mod health;
mod imports;
mod keys;
mod master_data;
mod new_users;
mod operations;
mod prices;
mod projects;
mod quick;
mod results;
mod retry;
mod scenarios;
mod sessions;
mod socket_io;
mod statistics;
mod users;
mod view;
mod websocket;
mod zones;

pub(crate) use imports::IMPORT;
pub(crate) use socket_io::{PATH as SOCKET_IO, is_new as is_new_session};

use std::time::Duration;

use axum::Router;
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ALLOW, AUTHORIZATION, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS},
};
use safire_domain::event::{EventMessage, ProgressMessage, ResetMessage};
use safire_metrics::Operation;
use tower::{
    ServiceBuilder,
    util::{Either, MapResponse},
};
use tower_http::{
    compression::{Compression, CompressionBody, CompressionLayer},
    cors::{AllowHeaders, AllowOrigin, Cors, CorsLayer},
    sensitive_headers::{SetSensitiveRequestHeaders, SetSensitiveRequestHeadersLayer},
};
use utoipa::{OpenApi, openapi::Paths};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::{
    App, Problem, auth::X_API_KEY, base_path::BelowPath, conditional, document, limits, observe, problem::ProblemBody,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Safire",
        description = "Techno-economic analysis of sustainable-aviation-fuel plants: what a plant would cost, \
                       earn and emit, with every number traceable. Errors are application/problem+json (RFC 9457) \
                       with a stable `code`; fields that are wrong are named by JSON pointer. Operations that need a \
                       user take an access token or a personal API key as Authorization: Bearer, or an API key as \
                       X-API-Key. RateLimit and RateLimit-Policy tell what is left of the limits. A plain word of up \
                       to 64 characters in X-Request-Id comes back and names the request in the logs; a traceparent \
                       (W3C) is taken over.",
        license(name = "MIT", identifier = "MIT")
    ),
    // Relative to where the description is: whoever serves it is asked.
    servers((url = "/", description = "The service that serves this description")),
    components(schemas(ProblemBody, EventMessage, ProgressMessage, ResetMessage)),
    tags(
        (name = "auth", description = "Register, sign in, stay signed in, API keys"),
        (name = "users", description = "Who uses the service"),
        (name = "zones", description = "Working groups, whose members see each other's projects"),
        (name = "statistics", description = "Users and zones in figures"),
        (name = "projects", description = "Folders of scenarios"),
        (name = "scenarios", description = "Plants and their inputs"),
        (name = "calculation", description = "Runs and results"),
        (name = "imports", description = "Files of scenarios, and what became of their rows"),
        (name = "master data", description = "Technologies, feedstocks, countries, products, units, defaults"),
        (name = "live", description = "What happens, as it happens"),
        (name = "cache", description = "What is kept in memory"),
        (name = "health", description = "For balancers and operators")
    )
)]
struct Document;

/// The routes and their description.
fn documented() -> (Router<App>, utoipa::openapi::OpenApi) {
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
        .merge(batch::routes())
        .merge(imports::routes())
        .merge(operations::routes())
        .merge(compare::routes())
        .merge(calculation::routes())
        .merge(quick::routes())
        .merge(results::routes())
        .merge(retry::routes())
        .merge(breakeven::routes())
        .merge(master_data::routes())
        .merge(catalogue::routes())
        .merge(corsia::routes())
        .merge(default_sets::routes())
        .merge(prices::routes())
        .merge(cache::routes())
        .merge(events::routes())
        .merge(websocket::routes());
    let all = OpenApiRouter::with_openapi(Document::openapi()).merge(api).merge(health::routes());
    let (router, mut described) = all.split_for_parts();
    document::complete(&mut described);
    (router, described)
}

fn at_api((schemas, paths, handlers): UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    let mut all = Paths::new();
    all.paths = paths.paths.into_iter().map(|(path, item)| (format!("{}{path}", document::API), item)).collect();
    (schemas, all, handlers)
}

/// The description of the API, made from the routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().1
}

/// Every operation, for the metrics.
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for (route, mut item) in openapi().paths.paths {
        for (method, _) in document::operations(&mut item) {
            let limit = limits::own(&method, &route);
            all.push(Operation { method: method.as_str().to_owned(), route: route.clone(), limit });
        }
    }
    all
}

/// The headers that a page may read beside those that every page may: all that the service's answers have.
fn exposed() -> impl Iterator<Item = HeaderName> {
    let described = document::headers::of_answers().filter_map(|name| name.parse().ok());
    described.chain([ALLOW, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS])
}

/// What pages of other origins may do: nothing, unless their origin is listed.
fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed().collect::<Vec<_>>())
        .max_age(Duration::from_secs(3600));
    (!origins.is_empty()).then_some(layer)
}

/// All routes.
fn all(base_path: &str) -> Router<App> {
    let (router, document) = documented();
    router.merge(docs::routes(document, base_path))
}

/// What answers requests. What does not ask which route a request takes is around the router, where it is
/// cloned once for a request, not for each layer.
pub type Service = SetSensitiveRequestHeaders<Tagged<Compression<Either<Cors<Routes>, Routes>>>>;

type Routes = BelowPath<Router>;

type Tagged<S> = MapResponse<S, fn(http::Response<Compressed>) -> http::Response<Compressed>>;

type Compressed = CompressionBody<axum::body::Body>;

/// The service's routes with everything around them.
pub fn service(app: App) -> Service {
    let around = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, X_API_KEY]))
        .map_response(conditional::tag_by_coding::<Compressed> as fn(_) -> _)
        .layer(CompressionLayer::new().gzip(true))
        .option_layer(cors(&app.settings.cors_origins));
    let base_path = app.settings.base_path.clone();
    let router = all(&base_path)
        .merge(socket_io::routes(&app))
        .fallback(async || Problem::not_found("resource"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this resource does not know that method")
        })
        .layer(observe::Around(app.clone()))
        .with_state(app);
    around.service(BelowPath::new(&base_path, router))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_but_those_that_describe() {
        // A router tells its routes to nobody but the debugger.
        let router = format!("{:?}", all(""));
        let routes: BTreeSet<_> = router.split('"').filter(|text| text.starts_with('/')).collect();
        let document = openapi();
        let mut described: BTreeSet<_> = document.paths.paths.keys().map(String::as_str).collect();
        described.extend(["/docs", "/docs/", "/docs/{*file}", "/openapi.json"]);
        // What is no route at all is answered by the fallback.
        described.extend(["/", "/{*__private__axum_fallback}"]);
        assert_eq!(routes, described);
    }
}
