//! The API's description, for programs and for people: Swagger UI, whose files are part of the program.

use std::sync::{Arc, LazyLock};

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::header::CONTENT_TYPE;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, serve};

use crate::{App, Problem};

const DOCUMENT: &str = "/openapi.json";

/// Without the validator, which is a page on the internet.
static UI: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from(DOCUMENT).validator_url("none").display_request_duration(true).doc_expansion("none");
    Arc::new(config)
});

pub(super) fn routes(document: OpenApi) -> Router<App> {
    let document = Arc::new(document);
    Router::new()
        .route(DOCUMENT, get(async move || Json(document)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || file("index.html")))
        .route("/docs/{*file}", get(async |Path(name): Path<String>| file(&name)))
}

fn file(name: &str) -> Result<Response, Problem> {
    let found = serve(name, Arc::clone(&UI)).map_err(|error| Problem::defect(&*error))?;
    let found = found.ok_or_else(|| Problem::not_found("page"))?;
    Ok(([(CONTENT_TYPE, found.content_type)], found.bytes.into_owned()).into_response())
}
