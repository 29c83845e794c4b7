//! Threads that calculate and read files count less than those that answer requests.

/// How much less, when both want a processor.
const NICENESS: i32 = 10;

/// Lowers the priority of the thread that calls it.
pub(crate) fn yield_to_requests() {
    // On Linux a thread has a niceness of its own. Without it the service is the same, only slower to answer.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "work beside requests runs at their priority");
    }
}
