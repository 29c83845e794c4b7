//! The way to the database, as all workers know it.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What is known about the way to the database, shared by all workers so that an outage is tried
/// against, and logged, at a measured pace.
#[derive(Default)]
pub(super) struct Link(Mutex<LinkState>);

#[derive(Default)]
struct LinkState {
    failures: u32,
    retry_at: Option<Instant>,
    broke_at: Option<Instant>,
}

/// The longest that an absent database is left alone.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

impl Link {
    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_up(&self) -> bool {
        self.state().failures == 0
    }

    /// Whether it is time to try; of many who ask during an outage, one is let through.
    pub fn may_try(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if state.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        if state.failures > 0 {
            state.retry_at = Some(now + LONGEST_RETRY);
        }
        true
    }

    pub fn succeeded(&self) {
        let mut state = self.state();
        if state.failures > 0 {
            tracing::info!(attempts = state.failures, "the database is back");
        }
        (state.failures, state.retry_at) = (0, None);
    }

    /// A connection broke: others that were opened before are likely to be broken too.
    pub fn broke(&self) {
        self.state().broke_at = Some(Instant::now());
    }

    /// Whether a connection broke after `used`.
    pub fn broke_since(&self, used: Instant) -> bool {
        self.state().broke_at.is_some_and(|at| at >= used)
    }

    pub fn failed(&self, why: &dyn fmt::Display) {
        let mut state = self.state();
        if state.failures == 0 {
            tracing::error!(%why, "the database cannot be reached; retrying");
        }
        state.failures += 1;
        let wait = Duration::from_millis(100).saturating_mul(2_u32.saturating_pow(state.failures.min(10)));
        state.retry_at = Some(Instant::now() + wait.min(LONGEST_RETRY));
    }
}
