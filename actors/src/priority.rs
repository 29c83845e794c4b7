//! Threads that calculate and read files count less than those that answer requests.

use system::Thread;

/// What a thread counts where others want the processor, too. Requests come before all of these.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Priority {
    /// Work that is soon done.
    Short,
    /// Work that takes its time.
    Long,
    /// Work that may never end: whatever else wants the processor gets it at once.
    LeftBehind,
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
        let set = match self {
            Self::Short => system::be_nice(thread, 5),
            Self::Long => system::be_nice(thread, 10),
            Self::LeftBehind => system::be_idle(thread),
        };
        if let Err(error) = set {
            tracing::warn!(%error, priority = ?self, "a thread keeps the priority that it had");
        }
    }
}

/// Linux, where a thread has a niceness and a scheduling policy of its own.
#[cfg(target_os = "linux")]
pub(crate) mod system {
    use uapi::{Errno, c};

    pub(crate) type Thread = c::pid_t;

    pub(super) fn this_thread() -> Thread {
        uapi::gettid()
    }

    pub(super) fn be_nice(thread: Thread, niceness: c::c_int) -> Result<(), Errno> {
        uapi::setpriority(c::PRIO_PROCESS as _, thread.cast_unsigned(), niceness)
    }

    /// A nice thread still has the processor for milliseconds before another may interrupt it; an idle one does not.
    pub(super) fn be_idle(thread: Thread) -> Result<(), Errno> {
        uapi::sched_setscheduler(thread, c::SCHED_IDLE, &c::sched_param { sched_priority: 0 }).map(drop)
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) mod system {
    use std::convert::Infallible;

    pub(crate) type Thread = ();

    pub(super) fn this_thread() {}

    pub(super) fn be_nice((): Thread, _: i32) -> Result<(), Infallible> {
        Ok(())
    }

    pub(super) fn be_idle((): Thread) -> Result<(), Infallible> {
        Ok(())
    }
}
