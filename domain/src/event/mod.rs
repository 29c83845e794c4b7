//! Events: what happened, as it is stored and told.

mod message;

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
    trace::Traceparent,
    user::{Access, Role},
};

pub use message::{EventMessage, ProgressMessage, ResetMessage};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EventKind)]
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
#[schema(as = EventType)]
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
    /// Events that were asked for are no longer kept: read the resources again.
    Reset,
}

names!(Topic {
    Scenario => "scenario", ProgressUpdate => "progress_update", LogEntry => "log_entry",
    OperationComplete => "operation_complete", Alert => "alert", Reset => "reset",
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
    /// The span that it was stored for, if that is known.
    pub trace: Option<Traceparent>,
}

impl Event {
    /// What it is about.
    pub fn about(&self) -> About {
        let NewEvent { owner, project, scenario, run, operation, .. } = self.what;
        About { topic: Some(self.what.kind.topic()), owner, zone: self.zone.clone(), project, scenario, run, operation }
    }

    /// The event as it is told.
    pub fn message(&self) -> EventMessage {
        let NewEvent { at, kind, owner: _, project, scenario, run, operation, status, version, body } =
            self.what.clone();
        EventMessage {
            id: self.place.to_string(),
            topic: kind.topic(),
            event: kind,
            time: at,
            project_id: project,
            scenario_id: scenario,
            run_id: run,
            operation_id: operation,
            status,
            version,
            data: body,
        }
    }
}

/// What an event, or the progress of an operation, is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The kind of message.
    pub topic: Option<Topic>,
    /// Whose it is; without one, everybody's.
    pub owner: Option<UserId>,
    /// The zone that they are in.
    pub zone: Option<ZoneId>,
    /// The project.
    pub project: Option<ProjectId>,
    /// The scenario.
    pub scenario: Option<ScenarioId>,
    /// The run.
    pub run: Option<RunId>,
    /// The operation.
    pub operation: Option<Uuid>,
}

/// Who is told, and what they may see now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The user.
    pub user: UserId,
    /// Their role.
    pub role: Role,
    /// Their zone.
    pub zone: Option<ZoneId>,
}

impl Viewer {
    /// What they may see.
    pub fn access(&self) -> Access {
        Access { user: self.user, role: self.role }
    }

    /// Whether they may be told of it: as they may read projects, for everybody's they may.
    pub fn sees(&self, about: &About) -> bool {
        let Some(owner) = about.owner else { return true };
        owner == self.user || self.access().is_admin() || (self.zone.is_some() && self.zone == about.zone)
    }
}

/// Which events somebody asks for: all of those that are about what it names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only messages of this kind.
    pub topic: Option<Topic>,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of this scenario.
    pub scenario: Option<ScenarioId>,
    /// Only of this operation; a calculation is the operation with the id of its run.
    pub operation: Option<Uuid>,
}

impl Filter {
    /// Whether it asks for what is about this.
    pub fn matches(&self, about: &About) -> bool {
        fn fits<T: PartialEq>(wanted: Option<T>, given: Option<T>) -> bool {
            wanted.is_none() || wanted == given
        }
        fits(self.topic, about.topic)
            && fits(self.project, about.project)
            && fits(self.scenario, about.scenario)
            && fits(self.operation, about.operation)
    }
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

    #[test]
    fn a_viewer_sees_their_own_their_zones_and_what_is_for_everybody() {
        let [me, other] = [0, 1].map(|_| UserId::new(Timestamp::UNIX_EPOCH));
        let zone = |id: &str| Some(id.parse::<ZoneId>().expect("a zone's id"));
        let viewer = |role, zone| Viewer { user: me, role, zone };
        let about = |owner, zone| About { owner, zone, ..About::default() };
        let (analyst, zoneless) = (viewer(Role::Analyst, zone("north")), viewer(Role::Analyst, None));
        #[rustfmt::skip]
        let table = [
            (about(Some(me), None),             true,  true),
            (about(Some(other), zone("north")), true,  false),
            (about(Some(other), zone("south")), false, false),
            (about(Some(other), None),          false, false),
            (about(None, None),                 true,  true),
        ];
        for (about, in_zone, without) in table {
            assert_eq!((analyst.sees(&about), zoneless.sees(&about)), (in_zone, without), "{about:?}");
            assert!(viewer(Role::Admin, None).sees(&about));
        }
    }

    #[test]
    fn a_filter_asks_for_all_that_is_about_what_it_names() {
        let now = Timestamp::UNIX_EPOCH;
        let (project, scenario) = (ProjectId::new(now), ScenarioId::new(now));
        let about = About { project: Some(project), scenario: Some(scenario), ..About::default() };
        assert!(Filter::default().matches(&about));
        assert!(Filter { project: Some(project), ..Filter::default() }.matches(&about));
        assert!(!Filter { project: Some(ProjectId::new(now)), ..Filter::default() }.matches(&about));
        assert!(!Filter { project: Some(project), operation: Some(Uuid::nil()), ..Filter::default() }.matches(&about));
    }
}
