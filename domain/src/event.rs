//! Events: what happened, as it is stored and told.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    ProjectId, RunId, ScenarioId, Timestamp, UserId,
    lifecycle::{StatusName, names},
    name::ZoneId,
};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A scenario was made.
    Created,
    /// A scenario's name, pathway or inputs were changed.
    Changed,
    /// A calculation was accepted.
    Calculating,
    /// A calculation gave a result.
    Calculated,
    /// A calculation failed.
    Failed,
    /// A calculation was called off.
    Cancelled,
    /// A scenario was removed.
    Deleted,
    /// Master data has changed under a scenario's result.
    Stale,
    /// A line of an operation's log.
    Logged,
    /// An operation other than a calculation has ended.
    Completed,
    /// Operators are to be alerted.
    Alerted,
}

names!(Kind {
    Created => "created", Changed => "changed", Calculating => "calculating", Calculated => "calculated",
    Failed => "failed", Cancelled => "cancelled", Deleted => "deleted", Stale => "stale", Logged => "logged",
    Completed => "completed", Alerted => "alerted",
});

/// What a message is about: its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A scenario has changed.
    Scenario,
    /// How far an operation is.
    ProgressUpdate,
    /// A line of an operation's log.
    LogEntry,
    /// An operation has ended: nothing more will be said of it.
    OperationComplete,
    /// Operators are to be alerted.
    Alert,
}

names!(Topic {
    Scenario => "scenario", ProgressUpdate => "progress_update", LogEntry => "log_entry",
    OperationComplete => "operation_complete", Alert => "alert",
});

impl Kind {
    /// What a message of this kind is about.
    pub fn topic(self) -> Topic {
        match self {
            Self::Created | Self::Changed | Self::Calculating | Self::Deleted | Self::Stale => Topic::Scenario,
            Self::Calculated | Self::Failed | Self::Cancelled | Self::Completed => Topic::OperationComplete,
            Self::Logged => Topic::LogEntry,
            Self::Alerted => Topic::Alert,
        }
    }
}

/// An event's place in the order of all events: its id.
///
/// Written as `TX-N`; clients take it as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The transaction that wrote it, as the database counts them.
    pub tx: i64,
    /// Its number among the transaction's events.
    pub n: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.tx, self.n)
    }
}

/// The text is no event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not the id of an event")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let number = |digits: &str| -> Option<i64> {
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let (tx, n) = text.split_once('-').ok_or(NoPlace)?;
        Ok(Self { tx: number(tx).ok_or(NoPlace)?, n: number(n).ok_or(NoPlace)? })
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something that happened and is to be told; it gets its place when it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: Kind,
    /// Whose project or operation it is about: they, their zone and administrators may see it. Without one,
    /// everybody may.
    pub owner: Option<UserId>,
    /// The project that it happened in.
    pub project: Option<ProjectId>,
    /// The scenario that it happened to.
    pub scenario: Option<ScenarioId>,
    /// The run that it is about.
    pub run: Option<RunId>,
    /// The operation that it belongs to; a calculation is the operation with the id of its run.
    pub operation: Option<Uuid>,
    /// The scenario's status after it.
    pub status: Option<StatusName>,
    /// The scenario's version after it.
    pub version: Option<i64>,
    /// What else there is to tell.
    pub body: Map<String, Value>,
}

impl NewEvent {
    /// An event about nothing in particular, for everybody.
    pub fn new(kind: Kind, at: Timestamp) -> Self {
        Self {
            at,
            kind,
            owner: None,
            project: None,
            scenario: None,
            run: None,
            operation: None,
            status: None,
            version: None,
            body: Map::new(),
        }
    }
}

/// An event as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place among all events.
    pub place: Place,
    /// What happened.
    pub what: NewEvent,
    /// The zone that its owner is in now.
    pub zone: Option<ZoneId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_sorts_by_transaction_first() {
        let place = Place { tx: 812, n: 3 };
        assert_eq!(place.to_string().parse(), Ok(place));
        assert!(Place { tx: 9, n: 70 } < Place { tx: 10, n: 1 });
        for text in ["", "7", "7-", "-7-1", "7--1", "+7-1", "7-1-1", "99999999999999999999-1", "a-b"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
