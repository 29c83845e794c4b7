//! Around every request: its id, its span, its one line in the log, and the promise that whatever
//! happens inside is answered as a [`Problem`].

use std::{
    any::Any,
    convert::Infallible,
    panic::AssertUnwindSafe,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request},
    response::{IntoResponse, Response},
};
use futures::{FutureExt, future::BoxFuture};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS},
};
use safire_actors::Origin;
use safire_domain::trace::{SpanId, TraceId, Traceparent};
use safire_metrics::Gauge;
use tower::{Layer, Service};
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use crate::{
    App, Problem,
    auth::X_API_KEY,
    client,
    document::API,
    idempotency::IDEMPOTENCY_KEY,
    limits,
    live::LAST_EVENT_ID,
    pace::SLOW,
    routes::{IMPORT, SOCKET_IO},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace that the request being answered is part of: the caller's, or else one of its own.
pub(crate) fn trace_id() -> String {
    Origin::current().map(|origin| origin.trace().to_owned()).unwrap_or_default()
}

/// What is around every handler. One layer: each would cost every request a clone of all that it wraps, and one
/// made from a function would box what it wraps besides.
#[derive(Clone)]
pub(crate) struct Around(pub App);

impl<S> Layer<S> for Around {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { app: self.0.clone(), inner }
    }
}

/// A route with what is around it.
#[derive(Clone)]
pub(crate) struct Observed<S> {
    app: App,
    inner: S,
}

impl<S> Service<Request> for Observed<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let next = self.inner.clone();
        // The one that is ready is the one that was asked.
        let mut inner = std::mem::replace(&mut self.inner, next);
        let app = self.app.clone();
        Box::pin(async move {
            let answer = async |request| match inner.call(request).await {
                Ok(response) => response,
                Err(impossible) => match impossible {},
            };
            Ok(observed(&app, request, async |request| {
                if client::is_reserved(request.extensions()) && !is_health_check(&request) {
                    return Problem::unavailable("all connections of the service are in use").into_response();
                }
                if let Some(repeated) = repeated(&request) {
                    return repeated.into_response();
                }
                let answer = in_time(patience(&app, &request), limits::limit(&app, request, answer));
                AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(panicked)
            })
            .await)
        })
    }
}

/// Gives the request its ids, logs and counts how it ended.
async fn observed(app: &App, request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let (own, caller) = (fresh(), traceparent(request.headers()));
    let id = request_id(request.headers(), own);
    let origin = origin(id.clone(), own, caller);
    let method = request.method().clone();
    let is_read = request.method().is_safe();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let matched = matched.as_ref().map(MatchedPath::as_str);
    let route = matched.unwrap_or("unmatched");
    let span = tracing::info_span!(
        "request", request.id = %id, trace_id = origin.trace(), span_id = %origin.cause().span,
        parent_id = caller.map(|caller| display(caller.span)), %method, route, status = Empty
    );
    let work = async {
        let begun = Instant::now();
        let _in_flight = InFlight::begin(&app.metrics.http_requests_in_flight);
        let mut response = answer(request).await;
        let took = begun.elapsed();
        log(is_read, response.status(), took);
        app.metrics.http.of(method.as_str(), matched).answered(response.status().as_u16(), took);
        if !matched.is_some_and(|route| WAITING.contains(&route)) {
            app.pace.note(begun, took);
        }
        below(&app.settings.base_path, response.headers_mut());
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if matched.is_some_and(is_secret) {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    };
    origin.scope(work.instrument(span)).await
}

/// Headers of requests that have one value: which of two is meant, nobody can say.
const SINGLE: [HeaderName; 5] = [AUTHORIZATION, CONTENT_TYPE, X_API_KEY, IDEMPOTENCY_KEY, LAST_EVENT_ID];

fn repeated(request: &Request) -> Option<Problem> {
    let is_twice = |name: &HeaderName| request.headers().get_all(name).iter().nth(1).is_some();
    let name = SINGLE.into_iter().find(is_twice).filter(|_| request.uri().path().starts_with(API))?;
    let detail = format!("the header {name} was sent twice; send it once");
    Some(Problem::new(StatusCode::BAD_REQUEST, "header.repeated", detail))
}

/// Tells where something is as clients see it, who reach the service below a path.
fn below(base: &str, headers: &mut HeaderMap) {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok()).filter(|at| at.starts_with('/'));
    if let Some(Ok(location)) = location.filter(|_| !base.is_empty()).map(|at| format!("{base}{at}").parse()) {
        headers.insert(LOCATION, location);
    }
}

/// Whether the answers of a route have tokens, keys or tickets, which no cache may keep.
fn is_secret(route: &str) -> bool {
    let route = route.strip_prefix(API).unwrap_or_default();
    route.starts_with("/auth/") || route == "/events/ticket"
}

fn is_health_check(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().starts_with("/health"))
}

/// Routes that wait for a calculation when they are asked to, or for something to tell: how long that takes says nothing
/// about the service.
const WAITING: [&str; 3] = ["/api/v1/scenarios/{id}/calculate", "/api/v1/scenarios/{id}/calculate/sync", SOCKET_IO];

/// A request that is being answered, until this is dropped: by a client that left, if need be.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn begin(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// One line for each request, but for quick reads that went well only when somebody looks closely: they are most
/// of all requests, and a line costs more than a read from the cache.
fn log(is_read: bool, status: StatusCode, took: Duration) {
    let (status, duration_us, went_well) = (status.as_u16(), took.as_micros() as u64, status.as_u16() < 400);
    if is_read && went_well && took < SLOW {
        tracing::debug!(status, duration_us, "answered");
    } else {
        Span::current().record("status", status);
        tracing::info!(status, duration_us, "answered");
    }
}

/// The value of a header that was sent once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// What the caller says that the request was caused by.
fn traceparent(headers: &HeaderMap) -> Option<Traceparent> {
    only(headers, &TRACEPARENT)?.parse().ok()
}

/// The request, in its caller's trace or in one of its own, which has the request's id where that can be one. `own`
/// is nobody else's.
fn origin(id: String, own: Uuid, caller: Option<Traceparent>) -> Origin {
    let alone = || TraceId::of(Uuid::try_parse(&id).unwrap_or(own));
    let (trace, is_sampled) = caller.map_or_else(|| (alone(), true), |caller| (caller.trace, caller.is_sampled));
    let span = SpanId::of(own, 0);
    Origin::new(Some(id), Traceparent { trace, span, is_sampled })
}

#[expect(clippy::disallowed_methods, reason = "names requests and spans in logs; nothing is replayed from it")]
fn fresh() -> Uuid {
    Uuid::new_v4()
}

/// The caller's id when it is a plain short word, `own` otherwise: it goes into logs.
fn request_id(headers: &HeaderMap, own: Uuid) -> String {
    let given = only(headers, &REQUEST_ID);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match given {
        Some(id) if (1..=64).contains(&id.len()) && id.chars().all(plain) => id.to_owned(),
        _ => own.simple().to_string(),
    }
}

/// The answer to a request whose handler panicked.
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let what = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let what = what.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = what, "a handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the service met a defect of its own").into_response()
}

/// How long a request may take. A file is sent, then read and stored: what comes after the sending has the time of a
/// request.
fn patience(app: &App, request: &Request) -> Duration {
    let is_import = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == IMPORT);
    let sending = if is_import { app.settings.import_timeout } else { Duration::ZERO };
    sending + app.settings.request_timeout
}

/// Ends requests that take too long.
async fn in_time(patience: Duration, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(patience, answer).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_its_callers_trace_or_in_one_of_its_own() {
        let caller: Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
        let of_caller = origin("a-word".to_owned(), fresh(), Some(caller)).cause();
        assert_eq!((of_caller.trace, of_caller.is_sampled), (caller.trace, false));
        assert_ne!(of_caller.span, caller.span);
        let id = "903ee1652d1a454b8d108042626e8c11";
        assert_eq!(origin(id.to_owned(), fresh(), None).trace(), id);
        let [one, other] = [(); 2].map(|()| origin("a-word".to_owned(), fresh(), None).cause());
        assert_ne!(one.trace, other.trace);
    }
}
