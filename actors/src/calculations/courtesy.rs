//! What is long lets those go first who wait for something short.
//!
//! A priority does not do that: where others want all the cores that are left, Linux rarely sends one of them to the
//! core of a thread that only calculates, however little that counts. A core that is free they find.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{available_parallelism, sleep},
    time::{Duration, Instant},
};

use super::thread::SLICE;

/// For how long a slice of a long calculation rests at most: it keeps a quarter of its thread's time.
pub(super) const REST: Duration = SLICE.saturating_mul(3);

/// For how long nobody has to wait until it goes on: an answer has its way to go, and often another question follows.
const WHILE: Duration = Duration::from_millis(2);

/// Those who wait for a short calculation, and the long ones.
#[derive(Clone)]
pub(super) struct Courtesy(Arc<Shared>);

struct Shared {
    cores: usize,
    /// Slices of long calculations.
    long: AtomicUsize,
    waiters: AtomicUsize,
    lock: Mutex<()>,
    nobody_waits: Condvar,
}

/// Somebody who waits for a short calculation, until this is dropped.
#[must_use]
pub struct Waiter(Arc<Shared>);

/// A slice of a long calculation.
pub(super) struct Guest<'a> {
    shared: &'a Shared,
    /// For how long it may still rest.
    left: Duration,
}

impl Courtesy {
    pub fn of(cores: usize) -> Self {
        let (long, waiters) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Shared { cores, long, waiters, lock: Mutex::default(), nobody_waits: Condvar::default() }))
    }

    pub fn of_this_machine() -> Self {
        Self::of(available_parallelism().map_or(1, usize::from))
    }

    pub fn waiter(&self) -> Waiter {
        self.0.waiters.fetch_add(1, Ordering::Relaxed);
        Waiter(Arc::clone(&self.0))
    }

    pub fn guest(&self) -> Guest<'_> {
        self.0.long.fetch_add(1, Ordering::Relaxed);
        Guest { shared: &self.0, left: REST }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.0.waiters.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nobody who looks at the number under the lock misses the word.
            drop(self.0.lock.lock());
            self.0.nobody_waits.notify_all();
        }
    }
}

impl Guest<'_> {
    /// Whether others want its core: somebody waits, and what is long has half of the cores or more.
    pub fn is_wanted_to_rest(&self) -> bool {
        let Shared { cores, long, .. } = self.shared;
        self.shared.somebody_waits() && !self.left.is_zero() && 2 * long.load(Ordering::Relaxed) >= *cores
    }

    /// Rests until nobody has waited for a while, or for as long as it may; how long that was.
    pub fn rest(&mut self) -> Duration {
        let (begun, may) = (Instant::now(), self.left);
        while self.is_wanted_to_rest() {
            let lock = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
            let somebody_waits = |(): &mut ()| self.shared.somebody_waits();
            drop(self.shared.nobody_waits.wait_timeout_while(lock, self.left, somebody_waits));
            sleep(WHILE.min(may.saturating_sub(begun.elapsed())));
            self.left = may.saturating_sub(begun.elapsed());
        }
        begun.elapsed()
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.shared.long.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn somebody_waits(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }
}

/// What a calculation needs to be done, in seconds, if it goes on as before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// Of time in which it does not rest.
    pub time: f64,
    /// Of a processor: it cannot be done in less time.
    pub processor: f64,
}

/// When a calculation has to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    at: Instant,
    /// How long before that it is done at best: who has others go first does not know how many will come.
    reserve: Duration,
}

impl Due {
    /// A quarter of the time that it was given is kept.
    pub fn at(at: Instant, given: Duration) -> Self {
        Self { at, reserve: given / 4 }
    }

    /// Whether a calculation may rest: when there is time to spare, and when it cannot be done in time anyway.
    pub fn lets_rest(self, Need { time, processor }: Need, now: Instant) -> bool {
        let left = self.at.saturating_duration_since(now).as_secs_f64();
        time < left - self.reserve.as_secs_f64() || processor > left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_until_nobody_waits() {
        let courtesy = Courtesy::of(2);
        let mut guest = courtesy.guest();
        assert!(!guest.is_wanted_to_rest());
        let (first, second) = (courtesy.waiter(), courtesy.waiter());
        drop(first);
        assert!(guest.is_wanted_to_rest());
        let patience = Duration::from_secs(60);
        guest.left = patience;
        let gone = std::thread::spawn(move || drop(second));
        let rested = guest.rest();
        gone.join().unwrap();
        assert!(rested < patience && !guest.is_wanted_to_rest());
        // Whoever waited may have been gone before it rested at all.
        assert!(guest.left <= patience && guest.left >= patience.saturating_sub(rested));
    }

    #[test]
    fn it_rests_for_no_longer_than_it_may() {
        let courtesy = Courtesy::of(2);
        let (mut guest, _waiter) = (courtesy.guest(), courtesy.waiter());
        let may = guest.left;
        assert!(guest.rest() >= REST);
        assert!(guest.left < may, "a rest counts");
        assert!(!guest.is_wanted_to_rest());
        // Another slice, another rest.
        assert!(courtesy.guest().is_wanted_to_rest());
    }

    #[test]
    fn it_rests_where_what_is_long_has_half_of_the_cores() {
        let courtesy = Courtesy::of(4);
        let (one, _waiter) = (courtesy.guest(), courtesy.waiter());
        assert!(!one.is_wanted_to_rest());
        let two = courtesy.guest();
        assert!(one.is_wanted_to_rest());
        drop(two);
        assert!(!one.is_wanted_to_rest());
    }

    #[test]
    fn it_does_not_rest_where_that_makes_it_late() {
        let now = Instant::now();
        let due = Due::at(now + Duration::from_secs(10), Duration::from_secs(20));
        let rests = [(0.0, 0.0), (4.9, 4.0), (5.1, 4.0), (30.0, 9.9), (30.0, 10.1)]
            .map(|(time, processor)| due.lets_rest(Need { time, processor }, now));
        assert_eq!(rests, [true, true, false, false, true]);
        // The reserve is left.
        assert!(!due.lets_rest(Need { time: 0.1, processor: 0.1 }, now + Duration::from_secs(5)));
    }
}
