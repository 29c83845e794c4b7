//! Counts that replicas share, and what to do while they are out of reach.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use thiserror::Error;

use super::{Decision, Rule, Subject};

/// How long a decision is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the counts are left alone after they did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The shared counts did not answer.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Away(pub String);

/// Counts that replicas share.
pub trait RateStore: Send + Sync + 'static {
    /// Counts so many for the subject, if the rule allows it.
    fn take<'a>(&'a self, rule: &'a Rule, subject: Subject, units: NonZeroU32)
    -> BoxFuture<'a, Result<Decision, Away>>;
}

/// A handle on shared counts that gives up in good time.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    store: Box<dyn RateStore>,
    begun: Instant,
    /// Until when nobody asks, in milliseconds since `begun`; 0 while all is well.
    paused_until: AtomicU64,
}

impl Shared {
    /// A handle on `store`.
    pub fn new(store: impl RateStore) -> Self {
        Self(Arc::new(Inner { store: Box::new(store), begun: Instant::now(), paused_until: AtomicU64::new(0) }))
    }

    /// Whether the counts answered when they were last asked.
    pub fn is_up(&self) -> bool {
        self.0.paused_until.load(Ordering::Relaxed) == 0
    }

    /// The decision; nothing when the counts are slow or away.
    pub(super) async fn take(&self, rule: &Rule, subject: Subject, units: NonZeroU32) -> Option<Decision> {
        if !self.may_ask() {
            return None;
        }
        match tokio::time::timeout(PATIENCE, self.0.store.take(rule, subject, units)).await {
            Ok(Ok(decision)) => {
                if self.0.paused_until.swap(0, Ordering::Relaxed) != 0 {
                    tracing::info!("rate limits are shared again");
                }
                Some(decision)
            }
            Ok(Err(away)) => self.pause(&away.to_string()),
            Err(_) => self.pause("no answer in time"),
        }
    }

    /// Always while all is well; after a pause one asks, and the others wait for what comes of it.
    fn may_ask(&self) -> bool {
        let paused_until = self.0.paused_until.load(Ordering::Relaxed);
        let now = self.elapsed();
        let next = now + PAUSE.as_millis() as u64;
        paused_until == 0
            || (paused_until <= now
                && self
                    .0
                    .paused_until
                    .compare_exchange(paused_until, next, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok())
    }

    fn pause(&self, why: &str) -> Option<Decision> {
        let until = self.elapsed() + PAUSE.as_millis() as u64;
        if self.0.paused_until.swap(until, Ordering::Relaxed) == 0 {
            tracing::warn!(why, "rate limits are not shared: this process decides alone");
        }
        None
    }

    fn elapsed(&self) -> u64 {
        self.0.begun.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::FutureExt;

    use super::*;
    use crate::limits::RateLimit;

    /// Answers, refuses to, or never does.
    struct Stub(fn() -> BoxFuture<'static, Result<Decision, Away>>, Arc<AtomicUsize>);

    impl RateStore for Stub {
        fn take<'a>(&'a self, _: &'a Rule, _: Subject, _: NonZeroU32) -> BoxFuture<'a, Result<Decision, Away>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            (self.0)()
        }
    }

    fn limit(store: fn() -> BoxFuture<'static, Result<Decision, Away>>) -> (RateLimit, Shared, Arc<AtomicUsize>) {
        let rule = Rule { name: "test", burst: NonZeroU32::new(2).unwrap(), window: Duration::from_secs(3600) };
        let asked = Arc::new(AtomicUsize::new(0));
        let shared = Shared::new(Stub(store, asked.clone()));
        (RateLimit::new(rule, Some(shared.clone())), shared, asked)
    }

    fn ana() -> Subject {
        Subject::address([192, 0, 2, 1].into())
    }

    #[tokio::test]
    async fn what_the_shared_counts_say_is_done() {
        let refusal = Decision { allowed: false, remaining: 0, retry_after: Duration::from_secs(7) };
        let (limit, shared, _) = limit(|| {
            let retry_after = Duration::from_secs(7);
            async move { Ok(Decision { allowed: false, remaining: 0, retry_after }) }.boxed()
        });
        assert_eq!(limit.take(ana()).await, refusal);
        assert!(shared.is_up());
    }

    #[tokio::test]
    async fn counts_that_are_away_are_left_alone_and_this_process_decides() {
        let (limit, shared, asked) = limit(|| async { Err(Away("gone".into())) }.boxed());
        let mut allowed = Vec::new();
        for _ in 0..4 {
            allowed.push(limit.take(ana()).await.allowed);
        }
        assert_eq!(allowed, [true, true, false, false]);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(!shared.is_up());
    }

    #[tokio::test]
    async fn counts_that_do_not_answer_are_waited_for_once_and_not_for_long() {
        let (limit, _, asked) = limit(|| futures::future::pending().boxed());
        let begun = Instant::now();
        assert!(limit.take(ana()).await.allowed);
        assert!(limit.take(ana()).await.allowed);
        assert!(!limit.take(ana()).await.allowed);
        assert!((PATIENCE..PAUSE).contains(&begun.elapsed()));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn after_a_pause_one_asks_for_all() {
        let (limit, _, asked) = limit(|| futures::future::pending().boxed());
        limit.take(ana()).await;
        tokio::time::sleep(PAUSE + Duration::from_millis(5)).await;
        futures::future::join_all((0..10).map(|_| limit.take(ana()))).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
