//! How a scenario and its runs change: two small state machines, each one total function.
//!
//! Decisions are taken here and nowhere else; the store persists what they say by compare-and-set,
//! so that a late or double event changes nothing.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::RunId;

/// Where a scenario stands when nothing is being calculated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Never calculated.
    Draft,
    /// The run's result is the scenario's result.
    Calculated(RunId),
    /// The run ended with a failure.
    Failed(RunId),
}

/// A scenario's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing is in motion.
    Resting(Rest),
    /// A run is in motion; when it is cancelled the scenario returns to `before`.
    Calculating {
        /// The run in motion.
        run: RunId,
        /// What the scenario was when the run was accepted.
        before: Rest,
    },
}

/// What happens to a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A run was accepted.
    Accepted(RunId),
    /// The run has a result.
    Succeeded(RunId),
    /// The run ended without one.
    Failed(RunId),
    /// The run was called off.
    Cancelled(RunId),
}

/// Why an event does not apply; nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// A run is in motion already.
    #[error("run {0} of this scenario is in motion")]
    Busy(RunId),
    /// The event speaks of a run that is not the one in motion.
    #[error("run {0} is not in motion")]
    Stale(RunId),
}

impl Status {
    /// A new scenario's status.
    pub const DRAFT: Self = Self::Resting(Rest::Draft);

    /// The status after `event`, or why it does not apply.
    pub fn after(self, event: Event) -> Result<Self, Refused> {
        use Event::{Accepted, Cancelled, Failed, Succeeded};
        match (self, event) {
            (Self::Resting(before), Accepted(run)) => Ok(Self::Calculating { run, before }),
            (Self::Calculating { run, .. }, Accepted(_)) => Err(Refused::Busy(run)),
            (Self::Calculating { run, before }, Succeeded(of) | Failed(of) | Cancelled(of)) if of == run => {
                Ok(Self::Resting(match event {
                    Succeeded(_) => Rest::Calculated(run),
                    Failed(_) => Rest::Failed(run),
                    Accepted(_) | Cancelled(_) => before,
                }))
            }
            (_, Succeeded(of) | Failed(of) | Cancelled(of)) => Err(Refused::Stale(of)),
        }
    }

    /// The run in motion, if any.
    pub fn in_motion(self) -> Option<RunId> {
        match self {
            Self::Calculating { run, .. } => Some(run),
            Self::Resting(_) => None,
        }
    }

    /// Where it rests, or rested before the run in motion.
    pub fn rest(self) -> Rest {
        match self {
            Self::Resting(rest) | Self::Calculating { before: rest, .. } => rest,
        }
    }

    /// The name that users see.
    pub fn name(self) -> StatusName {
        match self {
            Self::Resting(rest) => rest.name(),
            Self::Calculating { .. } => StatusName::Calculating,
        }
    }
}

impl Rest {
    /// The name that users see.
    pub fn name(self) -> StatusName {
        match self {
            Self::Draft => StatusName::Draft,
            Self::Calculated(_) => StatusName::Calculated,
            Self::Failed(_) => StatusName::Failed,
        }
    }

    /// The run that left the scenario here.
    pub fn run(self) -> Option<RunId> {
        match self {
            Self::Draft => None,
            Self::Calculated(run) | Self::Failed(run) => Some(run),
        }
    }
}

/// A scenario's status by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusName {
    /// Never calculated.
    Draft,
    /// A run is in motion.
    Calculating,
    /// The last run gave a result.
    Calculated,
    /// The last run failed.
    Failed,
}

/// A run's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Accepted; waits for a thread, or for a process to take it over.
    Queued,
    /// Being calculated.
    Running,
    /// Ended with a result.
    Succeeded,
    /// Ended with a failure.
    Failed,
    /// Called off.
    Cancelled,
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEvent {
    /// A calculation thread took it up.
    Started,
    /// Its process gives it back, unfinished.
    HandedBack,
    /// It has a result. A short run may end before its start was recorded.
    Succeeded,
    /// It has none and will have none.
    Failed,
    /// Its user called it off.
    Cancelled,
}

/// The run has ended; an end is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the run has ended")]
pub struct Ended;

impl RunState {
    /// The state after `event`; a run that has ended stays as it is.
    pub fn after(self, event: RunEvent) -> Result<Self, Ended> {
        if self.has_ended() {
            return Err(Ended);
        }
        Ok(match event {
            RunEvent::Started => Self::Running,
            RunEvent::HandedBack => Self::Queued,
            RunEvent::Succeeded => Self::Succeeded,
            RunEvent::Failed => Self::Failed,
            RunEvent::Cancelled => Self::Cancelled,
        })
    }

    /// Whether the run has come to one of its three ends.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// The name as it is stored and served.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use names;

names!(StatusName { Draft => "draft", Calculating => "calculating", Calculated => "calculated", Failed => "failed" });
names!(RunState {
    Queued => "queued", Running => "running", Succeeded => "succeeded", Failed => "failed", Cancelled => "cancelled",
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn every_pair_of_status_and_event_has_its_row() {
        let [mine, other, old] = [0, 1, 2].map(|_| RunId::new(Timestamp::UNIX_EPOCH));
        let rests = [Rest::Draft, Rest::Calculated(old), Rest::Failed(old)];
        for before in rests {
            let resting = Status::Resting(before);
            let calculating = Status::Calculating { run: mine, before };
            #[rustfmt::skip]
            let table = [
                (resting,     Event::Accepted(mine),   Ok(calculating)),
                (resting,     Event::Succeeded(mine),  Err(Refused::Stale(mine))),
                (resting,     Event::Failed(mine),     Err(Refused::Stale(mine))),
                (resting,     Event::Cancelled(mine),  Err(Refused::Stale(mine))),
                (calculating, Event::Accepted(mine),   Err(Refused::Busy(mine))),
                (calculating, Event::Accepted(other),  Err(Refused::Busy(mine))),
                (calculating, Event::Succeeded(mine),  Ok(Status::Resting(Rest::Calculated(mine)))),
                (calculating, Event::Failed(mine),     Ok(Status::Resting(Rest::Failed(mine)))),
                (calculating, Event::Cancelled(mine),  Ok(resting)),
                (calculating, Event::Succeeded(other), Err(Refused::Stale(other))),
                (calculating, Event::Failed(other),    Err(Refused::Stale(other))),
                (calculating, Event::Cancelled(other), Err(Refused::Stale(other))),
            ];
            for (status, event, expected) in table {
                assert_eq!(status.after(event), expected, "{status:?} after {event:?}");
            }
        }
    }

    #[test]
    fn every_pair_of_run_state_and_event_has_its_row() {
        use RunState::{Cancelled, Failed, Queued, Running, Succeeded};
        #[rustfmt::skip]
        let table = [
            //          started         handed back    succeeded        failed         cancelled
            (Queued,    [Ok(Running),   Ok(Queued),    Ok(Succeeded),   Ok(Failed),    Ok(Cancelled)]),
            (Running,   [Ok(Running),   Ok(Queued),    Ok(Succeeded),   Ok(Failed),    Ok(Cancelled)]),
            (Succeeded, [Err(Ended); 5]),
            (Failed,    [Err(Ended); 5]),
            (Cancelled, [Err(Ended); 5]),
        ];
        let events =
            [RunEvent::Started, RunEvent::HandedBack, RunEvent::Succeeded, RunEvent::Failed, RunEvent::Cancelled];
        for (state, row) in table {
            for (event, expected) in events.into_iter().zip(row) {
                assert_eq!(state.after(event), expected, "{state:?} after {event:?}");
            }
        }
    }

    #[test]
    fn names_read_back_as_what_they_name() {
        for state in ["queued", "running", "succeeded", "failed", "cancelled"] {
            assert_eq!(RunState::from_name(state).map(RunState::as_str), Some(state));
        }
        for status in ["draft", "calculating", "calculated", "failed"] {
            assert_eq!(StatusName::from_name(status).map(StatusName::as_str), Some(status));
        }
        assert_eq!(RunState::from_name("lost"), None);
    }
}
