//! Around every request: its id, its span, its one line in the log, and the promise that whatever
//! happens inside is answered as a [`Problem`].

use std::{any::Any, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tracing::Instrument;
use uuid::Uuid;

use crate::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static TRACE: String;
}

/// The id of the request that is being answered, as logs and problems name it.
pub(crate) fn trace_id() -> String {
    TRACE.try_with(Clone::clone).unwrap_or_default()
}

/// Gives the request its id and logs how it ended.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request.id = %id, %method, route);
    let work = async {
        let begun = Instant::now();
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::info!(status, duration_us = begun.elapsed().as_micros() as u64, "answered");
        if let Ok(value) = HeaderValue::from_str(&trace_id()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    };
    TRACE.scope(id, work.instrument(span)).await
}

/// The caller's id when it is a plain short word, a new one otherwise: it goes into logs.
#[expect(clippy::disallowed_methods, reason = "names a request in logs; nothing is replayed from it")]
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match given {
        Some(id) if (1..=64).contains(&id.len()) && id.chars().all(plain) => id.to_owned(),
        _ => Uuid::new_v4().simple().to_string(),
    }
}

/// The answer to a request whose handler panicked.
pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let what = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let what = what.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = what, "a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the service met a defect of its own").into_response()
}

/// Ends requests that take too long.
pub(crate) async fn in_time(
    axum::extract::State(app): axum::extract::State<crate::App>,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(app.settings.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    }
}
