//! What something is done for, a request, a run or an import: its names, for the log and for whoever is told,
//! wherever the work goes on.
//!
//! They travel with the task that answers the request. Work that outlives the answer takes them along.

use std::sync::Arc;

use safire_domain::trace::{SpanId, TraceId, Traceparent};
use uuid::Uuid;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// The names of what something is done for.
#[derive(Debug, Clone)]
pub struct Origin(Arc<Names>);

#[derive(Debug)]
struct Names {
    request: Option<String>,
    trace: String,
    cause: Traceparent,
}

impl Origin {
    /// The request of that id, which is that span of its trace; or a span of another system.
    pub fn new(request: Option<String>, cause: Traceparent) -> Self {
        Self(Arc::new(Names { request, trace: cause.trace.to_string(), cause }))
    }

    /// An attempt at a run or at an import: in the trace of the request that asked for it, or in one of its own.
    pub(crate) fn of_work(id: Uuid, attempt: i64, asker: Option<&Self>) -> Self {
        let (trace, is_sampled) =
            asker.map_or((TraceId::of(id), true), |asker| (asker.0.cause.trace, asker.0.cause.is_sampled));
        let span = SpanId::of(id, attempt.unsigned_abs());
        Self::new(asker.and_then(|asker| asker.0.request.clone()), Traceparent { trace, span, is_sampled })
    }

    /// What this task works for; nothing when that is not known.
    pub fn current() -> Option<Self> {
        ORIGIN.try_with(Clone::clone).ok()
    }

    /// Does the work on behalf of this.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, work).await
    }

    /// The request's id, if it is a request's.
    pub fn request(&self) -> Option<&str> {
        self.0.request.as_deref()
    }

    /// The trace that it is part of.
    pub fn trace(&self) -> &str {
        &self.0.trace
    }

    /// The span that causes what is done.
    pub fn cause(&self) -> Traceparent {
        self.0.cause
    }
}

/// Does the work on behalf of that, where it is known.
pub(crate) async fn on_behalf_of<T>(origin: Option<Origin>, work: impl Future<Output = T>) -> T {
    match origin {
        Some(origin) => origin.scope(work).await,
        None => work.await,
    }
}

/// A span for what is done on behalf of an origin, with its names and what else there is to tell.
macro_rules! span_for {
    ($level:ident, $name:literal, $origin:expr $(, $($field:tt)+)?) => {{
        let origin: Option<&$crate::Origin> = $origin;
        tracing::$level!(
            parent: None, $name, $($($field)+,)?
            request.id = origin.and_then($crate::Origin::request),
            trace_id = origin.map($crate::Origin::trace),
            parent_id = origin.map(|origin| tracing::field::display(origin.cause().span)),
        )
    }};
}
pub(crate) use span_for;
