//! The activity of a connection: until when it may be silent.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// The requests of a connection and the time of its latest progress.
#[derive(Clone)]
pub(super) struct Activity(Arc<Inner>);

struct Inner {
    accepted: Instant,
    has_begun: AtomicBool,
    /// Requests whose answer has not begun.
    pending: AtomicUsize,
    /// Milliseconds from `accepted` to the latest request, answer or part of an answer.
    latest: AtomicU64,
}

/// The limits of silence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    /// From the connection's acceptance to the end of the first request's headers, whatever the protocol.
    pub first: Duration,
    /// Without any progress afterwards.
    pub idle: Duration,
}

impl Activity {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            accepted: Instant::now(),
            has_begun: AtomicBool::new(false),
            pending: AtomicUsize::new(0),
            latest: AtomicU64::new(0),
        }))
    }

    /// Notes a request; its answer is pending until the value is dropped.
    pub fn request(&self) -> Pending {
        self.0.has_begun.store(true, Relaxed);
        self.0.pending.fetch_add(1, Relaxed);
        self.progress();
        Pending(self.clone())
    }

    /// Returns when the connection has been silent for longer than it may be.
    pub async fn silence(&self, limit: Silence) {
        tokio::time::sleep_until(self.0.accepted + limit.first).await;
        while self.0.has_begun.load(Relaxed) {
            let until = self.latest() + limit.idle;
            let is_pending = self.0.pending.load(Relaxed) > 0;
            let now = Instant::now();
            if !is_pending && until <= now {
                return;
            }
            tokio::time::sleep_until(if is_pending { now + limit.idle } else { until }).await;
        }
    }

    fn latest(&self) -> Instant {
        self.0.accepted + Duration::from_millis(self.0.latest.load(Relaxed))
    }

    fn progress(&self) {
        let elapsed = u64::try_from(self.0.accepted.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.latest.fetch_max(elapsed, Relaxed);
    }
}

/// A request whose answer has not begun.
pub(super) struct Pending(Activity);

impl Pending {
    /// The body of the answer that now begins.
    pub fn answer<B>(self, body: B) -> Progressing<B> {
        Progressing { body, activity: self.0.clone() }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.progress();
        self.0.0.pending.fetch_sub(1, Relaxed);
    }
}

/// A body each of whose parts is progress of its connection.
pub(super) struct Progressing<B> {
    body: B,
    activity: Activity,
}

impl<B: Body + Unpin> Body for Progressing<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.activity.progress();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Silence = Silence { first: Duration::from_millis(50), idle: Duration::from_secs(1) };

    /// Time from the acceptance until the connection was silent for too long.
    async fn until_silent(activity: &Activity) -> Duration {
        activity.silence(LIMIT).await;
        activity.0.accepted.elapsed()
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_silent_after_the_first_limit() {
        let took = until_silent(&Activity::new()).await;
        assert!(took >= LIMIT.first, "{took:?}");
    }

    #[tokio::test]
    async fn a_connection_is_silent_so_long_after_its_latest_progress() {
        let activity = Activity::new();
        drop(activity.request());
        let mut latest = Duration::ZERO;
        let watched = activity.clone();
        let silent = tokio::spawn(async move { until_silent(&watched).await });
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            latest = activity.0.accepted.elapsed();
            drop(activity.request());
        }
        let took = silent.await.unwrap();
        // Milliseconds are counted whole.
        assert!(took + Duration::from_millis(1) >= latest + LIMIT.idle, "{took:?} after progress at {latest:?}");
    }

    #[tokio::test]
    async fn a_request_that_waits_for_its_answer_is_no_silence() {
        let activity = Activity::new();
        let pending = activity.request();
        let ended = tokio::time::timeout(LIMIT.idle * 3, activity.silence(LIMIT)).await;
        assert!(ended.is_err(), "silent while an answer was pending");
        drop(pending);
        activity.silence(LIMIT).await;
    }
}
