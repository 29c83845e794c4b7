//! Threads that calculate and may never do anything else.
//!
//! A thread cannot be stopped. One that is held back is made to rest, again and again: a signal interrupts whatever it
//! does, and its handler sleeps. All that are held back take turns, half a millisecond each of twenty, whatever the system
//! makes of priorities. None rests for ever: it may hold a lock that others want.

use std::thread::JoinHandle;

use crate::priority::system::Thread;

/// Holds a thread back until it ends. Nobody may give it more to do.
pub(super) fn hold_back(id: Thread, thread: JoinHandle<()>) {
    if let Err(error) = system::hold_back(id, thread) {
        tracing::warn!(%error, "a thread that calculates for too long cannot be held back");
    }
}

/// How many threads of this process are held back now.
pub(super) fn count() -> usize {
    system::count()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use std::{
        io,
        os::unix::thread::JoinHandleExt,
        sync::{
            Mutex, MutexGuard, OnceLock, PoisonError,
            atomic::{AtomicUsize, Ordering},
        },
        thread::{Builder, JoinHandle, panicking, sleep},
        time::{Duration, Instant},
    };

    use nix::{
        errno::Errno,
        libc::c_int,
        sys::{
            pthread::pthread_kill,
            signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
        },
    };

    use crate::priority::system::{Thread, processor_time};

    /// How often one of them has its turn.
    const ROUND: Duration = Duration::from_millis(20);

    /// How long a turn is, where nobody else wants the processor.
    const TURN: Duration = Duration::from_micros(500);

    /// How much of a processor counts as a turn: the little that it takes to be told does not.
    const LEAST: Duration = Duration::from_micros(100);

    /// Nobody else in the process uses it, and whoever does not know it ignores it.
    const REST: Signal = Signal::SIGURG;

    static ALL: Mutex<Vec<HeldBack>> = Mutex::new(Vec::new());

    /// How many they are: a handler may not wait for the lock.
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    struct HeldBack {
        id: Thread,
        handle: JoinHandle<()>,
        /// How long it had had a processor when it was last told to rest.
        time: Duration,
        /// When its next turn is over.
        due: Instant,
    }

    impl HeldBack {
        /// Tells it to rest at the end of its turn; one that did not come to its turn has another.
        fn rest(&mut self, now: Instant) {
            let time = processor_time(self.id).unwrap_or_default();
            self.due = now + TURN;
            if time >= self.time + LEAST {
                self.time = time;
                self.due += rest_of(COUNT.load(Ordering::Relaxed));
                // As long as its handle is kept, the name is this thread's and no other's.
                let _ = pthread_kill(self.handle.as_pthread_t(), REST);
            }
        }
    }

    /// For how long one of so many rests.
    fn rest_of(count: usize) -> Duration {
        (ROUND * u32::try_from(count).unwrap_or(u32::MAX)).saturating_sub(TURN)
    }

    pub(super) fn count() -> usize {
        COUNT.load(Ordering::Relaxed)
    }

    fn all() -> MutexGuard<'static, Vec<HeldBack>> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hold_back(id: Thread, handle: JoinHandle<()>) -> io::Result<()> {
        static LISTENS: OnceLock<Result<(), Errno>> = OnceLock::new();
        (*LISTENS.get_or_init(listen))?;
        let mut all = all();
        if all.is_empty() {
            Builder::new().name("warden".into()).spawn(|| {
                while let Some(next) = tell() {
                    sleep(next)
                }
            })?;
        }
        all.push(HeldBack { id, handle, time: Duration::ZERO, due: Instant::now() });
        COUNT.store(all.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Tells those to rest whose turn is over; after how long the next one's is, if there is one.
    fn tell() -> Option<Duration> {
        let mut all = all();
        all.retain(|one| !one.handle.is_finished());
        COUNT.store(all.len(), Ordering::Relaxed);
        let now = Instant::now();
        all.iter_mut().filter(|one| one.due <= now).for_each(|one| one.rest(now));
        all.iter().map(|one| one.due.saturating_duration_since(now)).min()
    }

    #[expect(unsafe_code, reason = "a handler may only do what is safe in the middle of anything: see `rest`")]
    fn listen() -> Result<(), Errno> {
        // What was interrupted in a system call goes on with it.
        let action = SigAction::new(SigHandler::Handler(rest), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `rest` reads numbers, sleeps and keeps errno: no lock, no memory (see signal-safety(7)).
        unsafe { sigaction(REST, &action) }.map(drop)
    }

    extern "C" fn rest(_: c_int) {
        // A panic comes to its end, and others that panic wait for its lock: its backtrace may take half a second.
        if !panicking() {
            let errno = Errno::last_raw();
            sleep(rest_of(count()));
            Errno::set_raw(errno);
        }
    }
}

/// Other systems tell how long a thread had a processor in other ways, or not at all.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    use std::{convert::Infallible, thread::JoinHandle};

    use crate::priority::system::Thread;

    pub(super) fn hold_back(_: Thread, _: JoinHandle<()>) -> Result<(), Infallible> {
        Ok(())
    }

    pub(super) fn count() -> usize {
        0
    }
}
