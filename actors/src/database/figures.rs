//! How many connections there are and who waits: counted where it happens, read without a message.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How the connections are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections open.
    pub size: usize,
    /// Connections that do a job now.
    pub checked_out: usize,
    /// Connections that wait for a job.
    pub idle: usize,
    /// Connections open beyond those that are kept.
    pub overflow: usize,
    /// Jobs that wait for a connection.
    pub waiters: usize,
}

/// The counters behind [`Stats`].
#[derive(Clone, Default)]
pub(super) struct Figures {
    pub open: Counter,
    pub overflow: Counter,
    pub checked_out: Counter,
    pub waiting: Counter,
}

impl Figures {
    pub fn stats(&self) -> Stats {
        let (size, checked_out) = (self.open.get(), self.checked_out.get());
        let idle = size.saturating_sub(checked_out);
        Stats { size, checked_out, idle, overflow: self.overflow.get(), waiters: self.waiting.get() }
    }
}

#[derive(Clone, Default)]
pub(super) struct Counter(Arc<AtomicUsize>);

impl Counter {
    /// Counts one, until the guard is dropped, by a panic if need be.
    pub fn count(&self) -> Counted {
        self.0.fetch_add(1, Relaxed);
        Counted(Arc::clone(&self.0))
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// One that is counted.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
