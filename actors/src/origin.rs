//! What something is done for, a request, a run or an import: its names, for the log and for whoever is told, and who
//! asked for it, wherever the work goes on.
//!
//! They travel with the task that answers the request. Work that outlives the answer takes them along.

use std::sync::Arc;

use safire_domain::trace::{SpanId, TraceId, Traceparent};
use uuid::Uuid;

use crate::limits::Subject;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// What something is done for.
#[derive(Debug, Clone)]
pub struct Origin {
    names: Arc<Names>,
    asker: Option<Subject>,
}

#[derive(Debug)]
struct Names {
    request: Option<String>,
    trace: String,
    cause: Traceparent,
}

impl Origin {
    /// The request of that id, which is that span of its trace; or a span of another system.
    pub fn new(request: Option<String>, cause: Traceparent) -> Self {
        let names = Names { request, trace: cause.trace.to_string(), cause };
        Self { names: Arc::new(names), asker: None }
    }

    /// An attempt at a run or at an import: in the trace of the request that asked for it, or in one of its own.
    pub(crate) fn of_work(id: Uuid, attempt: i64, asker: Option<&Self>) -> Self {
        let (trace, is_sampled) =
            asker.map_or((TraceId::of(id), true), |asker| (asker.names.cause.trace, asker.names.cause.is_sampled));
        let span = SpanId::of(id, attempt.unsigned_abs());
        let request = asker.and_then(|asker| asker.names.request.clone());
        let origin = Self::new(request, Traceparent { trace, span, is_sampled });
        Self { asker: asker.and_then(|asker| asker.asker), ..origin }
    }

    /// What this task works for; nothing when that is not known.
    pub fn current() -> Option<Self> {
        ORIGIN.try_with(Clone::clone).ok()
    }

    /// Does the work on behalf of this.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, work).await
    }

    /// Does the work on behalf of what this task works for, as asked for by them.
    pub async fn asked_by<T>(who: Subject, work: impl Future<Output = T>) -> T {
        let asked = Self::current().map(|origin| Self { asker: Some(who), ..origin });
        on_behalf_of(asked, work).await
    }

    /// The same for all who wait for it, and not for the one who asked first.
    pub(crate) fn of_all(self) -> Self {
        Self { asker: None, ..self }
    }

    /// Who asked for what this task does; nobody for what the service does of its own accord.
    pub(crate) fn asker() -> Option<Subject> {
        ORIGIN.try_with(|origin| origin.asker).ok().flatten()
    }

    /// The request's id, if it is a request's.
    pub fn request(&self) -> Option<&str> {
        self.names.request.as_deref()
    }

    /// The trace that it is part of.
    pub fn trace(&self) -> &str {
        &self.names.trace
    }

    /// The span that causes what is done.
    pub fn cause(&self) -> Traceparent {
        self.names.cause
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
