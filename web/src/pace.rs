//! How many of the last minute's requests were slow.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Beyond this a request is slow …
pub(crate) const SLOW: Duration = Duration::from_millis(500);

/// … and beyond this very slow.
pub(crate) const VERY_SLOW: Duration = Duration::from_secs(1);

/// How long a window lasts; the last full one counts together with the present one.
const WINDOW: Duration = Duration::from_secs(30);

/// Requests of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Paced {
    pub all: u64,
    /// Of these, the slow ones …
    pub slow: u64,
    /// … and of these, the very slow ones.
    pub very_slow: u64,
}

/// Counts requests by how long they took.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Windows>);

#[derive(Debug)]
struct Windows {
    begun: Instant,
    present: Paced,
    last: Paced,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Windows { begun: now, present: Paced::default(), last: Paced::default() }))
    }

    /// A request was answered.
    pub fn note(&self, now: Instant, took: Duration) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(now);
        let Paced { all, slow, very_slow } = &mut windows.present;
        *all += 1;
        *slow += u64::from(took > SLOW);
        *very_slow += u64::from(took > VERY_SLOW);
    }

    /// The requests of the last half to whole minute.
    pub fn recent(&self, now: Instant) -> Paced {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(now);
        let Windows { present, last, .. } = *windows;
        Paced {
            all: present.all + last.all,
            slow: present.slow + last.slow,
            very_slow: present.very_slow + last.very_slow,
        }
    }
}

impl Windows {
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.begun);
        if age < WINDOW {
            return;
        }
        let ended = std::mem::take(&mut self.present);
        self.last = if age < 2 * WINDOW { ended } else { Paced::default() };
        self.begun = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_requests_are_remembered_for_a_minute() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let pace = Pace::new(begun);
        for ms in [1, 500, 501, 1000, 1001] {
            pace.note(at(1), Duration::from_millis(ms));
        }
        let noted = Paced { all: 5, slow: 3, very_slow: 1 };
        assert_eq!(pace.recent(at(2)), noted);
        assert_eq!(pace.recent(at(31)), noted);
        pace.note(at(32), Duration::from_secs(2));
        assert_eq!(pace.recent(at(32)), Paced { all: 6, slow: 4, very_slow: 2 });
        assert_eq!(pace.recent(at(62)), Paced { all: 1, slow: 1, very_slow: 1 });
        assert_eq!(pace.recent(at(200)), Paced::default());
    }
}
