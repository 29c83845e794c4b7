//! Which request something is done for: its names, for the log, wherever the work goes on.
//!
//! They travel with the task that answers the request. Work that outlives the answer takes them along.

use std::sync::Arc;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// The names of a request.
#[derive(Debug, Clone)]
pub struct Origin(Arc<Names>);

#[derive(Debug)]
struct Names {
    request: String,
    trace: String,
}

impl Origin {
    /// The request of that id, which is part of that trace.
    pub fn new(request: String, trace: String) -> Self {
        Self(Arc::new(Names { request, trace }))
    }

    /// The request that this task answers; nothing when it answers none.
    pub fn current() -> Option<Self> {
        ORIGIN.try_with(Clone::clone).ok()
    }

    /// Does the work on behalf of this request.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, work).await
    }

    /// The request's id.
    pub fn request(&self) -> &str {
        &self.0.request
    }

    /// The trace that it is part of.
    pub fn trace(&self) -> &str {
        &self.0.trace
    }
}
