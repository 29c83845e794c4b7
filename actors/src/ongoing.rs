//! What has begun and not ended: how much of it there is, and since when the oldest. Counted where it
//! happens, read without a message.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What is going on.
#[derive(Debug, Clone, Default)]
pub struct Ongoing(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    begun: BTreeMap<u64, Instant>,
    next: u64,
}

/// One thing that goes on until this is dropped, by a panic if need be.
#[derive(Debug)]
pub struct Begun {
    all: Ongoing,
    number: u64,
}

impl Ongoing {
    /// One more begins.
    pub(crate) fn begin(&self) -> Begun {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.begun.insert(number, Instant::now());
        Begun { all: self.clone(), number }
    }

    /// How many go on.
    pub fn count(&self) -> usize {
        self.lock().begun.len()
    }

    /// How long the oldest has been going on; zero when there is none.
    pub fn oldest(&self) -> Duration {
        self.lock().begun.first_key_value().map(|(_, begun)| begun.elapsed()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.all.lock().begun.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_first_that_has_not_ended() {
        let all = Ongoing::default();
        assert_eq!((all.count(), all.oldest()), (0, Duration::ZERO));
        let first = all.begin();
        let second = all.begin();
        let numbers = || all.lock().begun.keys().copied().collect::<Vec<_>>();
        assert_eq!((all.count(), numbers()), (2, vec![0, 1]));
        drop(first);
        assert_eq!(numbers(), [1]);
        drop(second);
        assert_eq!((all.count(), all.oldest()), (0, Duration::ZERO));
    }
}
