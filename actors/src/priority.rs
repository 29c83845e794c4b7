//! Threads that calculate and read files count less than those that answer requests.

use system::Thread;

/// What a thread counts where others want the processor, too. Requests come before all of these.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Priority {
    /// Work that is soon done.
    Short,
    /// Work that takes its time.
    Long,
    /// Work that may never end.
    Endless,
}

impl Priority {
    /// Gives it to the thread that calls, and returns what the system calls that.
    pub fn of_this_thread(self) -> Thread {
        let thread = system::this_thread();
        self.of(thread);
        thread
    }

    /// Gives it to another thread of the process. Without it the service is the same, only slower to answer.
    pub fn of(self, thread: Thread) {
        let niceness = match self {
            Self::Short => 5,
            Self::Long => 10,
            Self::Endless => 19,
        };
        if let Err(error) = system::be_nice(thread, niceness) {
            tracing::warn!(%error, priority = ?self, "a thread keeps the priority that it had");
        }
    }
}

/// Linux, where a thread has a niceness of its own.
#[cfg(target_os = "linux")]
pub(crate) mod system {
    use std::time::Duration;

    use uapi::{Errno, c};

    pub(crate) type Thread = c::pid_t;

    pub(super) fn this_thread() -> Thread {
        uapi::gettid()
    }

    pub(super) fn be_nice(thread: Thread, niceness: c::c_int) -> Result<(), Errno> {
        uapi::setpriority(c::PRIO_PROCESS as _, thread.cast_unsigned(), niceness)
    }

    /// For how long a thread of the process has had a processor; nothing where the system does not say.
    pub(crate) fn processor_time(thread: Thread) -> Option<Duration> {
        // The clock of a thread by its id, as `pthread_getcpuclockid` makes it.
        time_of(!thread << 3 | 0b110)
    }

    /// The same of the thread that asks; zero where the system does not say.
    pub(crate) fn own_processor_time() -> Duration {
        time_of(c::CLOCK_THREAD_CPUTIME_ID as _).unwrap_or_default()
    }

    fn time_of(clock: c::clockid_t) -> Option<Duration> {
        let mut time = c::timespec { tv_sec: 0, tv_nsec: 0 };
        uapi::clock_gettime(clock, &mut time).ok()?;
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) mod system {
    use std::{convert::Infallible, time::Duration};

    pub(crate) type Thread = ();

    pub(super) fn this_thread() {}

    pub(super) fn be_nice((): Thread, _: i32) -> Result<(), Infallible> {
        Ok(())
    }

    pub(crate) fn processor_time((): Thread) -> Option<Duration> {
        None
    }

    pub(crate) fn own_processor_time() -> Duration {
        Duration::ZERO
    }
}
