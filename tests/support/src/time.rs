//! How long things may take on a machine that does much else.

use std::time::Duration;

use crate::dose;

/// The longest that a test waits for anything. Nothing is measured by it: what comes, comes sooner.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a busy machine may add to a time that is promised: its threads wait for their turn, its disk for others.
pub const BUSY: Duration = Duration::from_secs(10);

/// A time that is promised: the full doses measure it; the small ones, which run on any machine, allow for what else
/// that does.
pub fn promised(time: Duration) -> Duration {
    dose(time + BUSY, time)
}
