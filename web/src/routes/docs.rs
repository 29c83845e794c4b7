//! The API's description, for programs and for people: Swagger UI, whose files are part of the program.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use utoipa::openapi::{OpenApi, Server};
use utoipa_swagger_ui::{Config, serve};

use crate::{App, Problem};

const DOCUMENT: &str = "/openapi.json";

/// The page loads what is its own, asks its own service, and stands in no other page. Swagger UI sets styles in its elements.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
    base-uri 'none'; frame-ancestors 'none'";

type Ui = Arc<Config<'static>>;

/// The routes of a service that clients reach below `base`.
pub(super) fn routes(mut document: OpenApi, base: &str) -> Router<App> {
    if !base.is_empty() {
        document.servers = Some(vec![Server::new(base)]);
    }
    let document = Arc::new(document);
    // Without the validator, which is a page on the internet.
    let ui = Config::from(format!("{base}{DOCUMENT}")).validator_url("none");
    let ui: Ui = Arc::new(ui.display_request_duration(true).doc_expansion("none"));
    let index = Arc::clone(&ui);
    Router::new()
        .route(DOCUMENT, get(async move || Json(document)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async move || file("index.html", index)))
        .route("/docs/{*file}", get(async move |Path(name): Path<String>| file(&name, ui)))
}

fn file(name: &str, ui: Ui) -> Result<Response, Problem> {
    let found = serve(name, ui).map_err(|error| Problem::defect(&*error))?;
    let found = found.ok_or_else(|| Problem::not_found("page"))?;
    let headers = [
        (CONTENT_TYPE, found.content_type),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    Ok((headers, found.bytes.into_owned()).into_response())
}
