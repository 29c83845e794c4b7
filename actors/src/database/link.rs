//! The way to the database, as all workers know it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// So long without any answer is silence: as long as leaves those who wait the time to hear of it within two
/// seconds, for a database that is only busy is silent for a second, too.
const SILENCE: Duration = Duration::from_millis(1450);

/// What is known about the way to the database, shared by all workers so that an outage is tried
/// against, and logged, at a measured pace.
#[derive(Default)]
pub(crate) struct Link {
    state: Mutex<LinkState>,
    /// Whether the database takes questions and answers none: connections do not break, they hang.
    silent: watch::Sender<bool>,
}

#[derive(Default)]
struct LinkState {
    failures: u32,
    retry_at: Option<Instant>,
    broke_at: Option<Instant>,
    /// Jobs that are asked of the database.
    in_hand: usize,
    /// Since when it has answered none of them.
    asked_at: Option<Instant>,
}

/// A job that is asked of the database, until it is dropped.
pub(crate) struct Asked(Arc<Link>);

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_hand -= 1;
        if state.in_hand == 0 {
            state.asked_at = None;
        }
    }
}

/// The longest that an absent database is left alone.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

impl Link {
    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The database answered a job, however it did.
    pub fn answered(&self) {
        self.answered_at(Instant::now());
    }

    /// The others are still to be answered, and may be the only ones for long, when they have all workers.
    fn answered_at(&self, at: Instant) {
        let mut state = self.state();
        state.asked_at = (state.in_hand > 0).then_some(at);
    }

    /// A job is asked of the database.
    pub fn asked(self: &Arc<Self>, at: Instant) -> Asked {
        let mut state = self.state();
        state.in_hand += 1;
        state.asked_at.get_or_insert(at);
        Asked(Arc::clone(self))
    }

    /// Somebody asked the database for a sign of life: it answered, or did not in good time. That alone is
    /// not silence: it is when jobs, too, have waited in vain.
    pub fn probed(&self, answered: bool) {
        if answered {
            self.answered();
        }
        let quiet = self.state().asked_at.is_some_and(|at| at.elapsed() >= SILENCE);
        let silent = !answered && quiet;
        if self.silent.send_if_modified(|was| std::mem::replace(was, silent) != silent) {
            match silent {
                true => tracing::error!("the database is silent: requests are turned away until it answers"),
                false => tracing::info!("the database answers again"),
            }
        }
    }

    /// Returns when the database is silent.
    pub async fn silence(&self) {
        let mut silent = self.silent.subscribe();
        // The sender lives as long as the link.
        let _ = silent.wait_for(|&silent| silent).await;
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_database_that_answers_jobs_is_not_silent_however_late_its_sign_of_life() {
        let link = Arc::<Link>::default();
        link.probed(false);
        assert!(link.silence().now_or_never().is_none(), "nothing was asked");
        let first = link.asked(long_ago());
        link.answered();
        drop(first);
        let _second = link.asked(Instant::now());
        link.probed(false);
        assert!(link.silence().now_or_never().is_none());
    }

    #[test]
    fn a_database_that_has_answered_some_is_silent_for_the_others() {
        let link = Arc::<Link>::default();
        let [first, others] = [(); 2].map(|()| link.asked(long_ago()));
        link.answered_at(long_ago());
        drop(first);
        link.probed(false);
        assert!(link.silence().now_or_never().is_some());
        link.probed(true);
        drop(others);
        link.probed(false);
        assert!(link.silence().now_or_never().is_none(), "nobody waits");
    }

    fn long_ago() -> Instant {
        Instant::now().checked_sub(SILENCE).expect("the machine has been up for a second")
    }

    #[test]
    fn a_database_that_answers_nothing_is_silent_until_it_does() {
        let link = Arc::<Link>::default();
        let _asked = link.asked(long_ago());
        link.probed(false);
        assert!(link.silence().now_or_never().is_some());
        link.probed(true);
        assert!(link.silence().now_or_never().is_none());
    }
}
