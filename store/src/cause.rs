//! What is caused by what: events say which span of which trace they were stored for.
//!
//! The cause goes with the work, beside its arguments: whoever stores an event, several calls further in, would
//! only pass it on.

use safire_domain::trace::Traceparent;

tokio::task_local! {
    static CAUSE: Traceparent;
}

/// Does the work; events that it stores were caused by that.
pub async fn caused_by<T>(cause: Option<Traceparent>, work: impl Future<Output = T>) -> T {
    match cause {
        Some(cause) => CAUSE.scope(cause, work).await,
        None => work.await,
    }
}

/// The cause of what is being done, as it is stored.
pub(crate) fn cause() -> Option<String> {
    CAUSE.try_with(Traceparent::to_string).ok()
}
