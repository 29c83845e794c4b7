//! Runs: accepted in one transaction, owned under a lease, ended exactly once.
//!
//! Every change is a compare-and-set on id, state and attempt. What may change into what is decided
//! by [`safire_domain::lifecycle`]; a change that comes too late writes nothing.

mod accept;
mod end;
mod hints;
mod lease;
mod standing;

use std::time::Duration;

use safire_domain::{
    NodeId, RunId, ScenarioId, Timestamp,
    engine::{BaseAnalysis, Failure, Inputs},
    lifecycle::RunState,
    run::{Run, Snapshot},
    user::Access,
};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{Connection, Error, Result, Window, access::readable, connection::on};

pub use accept::{Accepted, Request, accept};
pub use end::{Cancelled, cancel, settle};
pub use hints::Hints;
pub use lease::{Claim, Held, claim, hand_back, held, renew, start};
pub use standing::{Ended, Standing, is_stale, standing};

const TABLE: &str = "runs";

#[derive(FromRow)]
struct Row {
    id: Uuid,
    scenario_id: Uuid,
    revision: i64,
    fingerprint: String,
    engine_version: String,
    edition: i64,
    state: String,
    attempt: i64,
    failure: Option<Json<Failure>>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

impl TryFrom<Row> for Run {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            scenario_id: row.scenario_id.into(),
            revision: row.revision,
            state: RunState::from_name(&row.state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))?,
            attempt: row.attempt,
            fingerprint: row.fingerprint,
            engine_version: row.engine_version,
            edition: row.edition,
            failure: row.failure.map(|json| json.0),
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// A process's hold on the runs that it works on.
///
/// On PostgreSQL it ends, unless it is renewed, so long after it was taken by the database's own clock:
/// the clocks of the processes need not agree. On SQLite, which one process owns, it has no end: whoever
/// else held a run is gone.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// Who holds it.
    pub owner: NodeId,
    /// How long.
    pub length: Duration,
}

/// When a lease ends, from its length in seconds.
macro_rules! lease_until_postgres {
    ($seconds:literal) => {
        concat!("clock_timestamp() + ", $seconds, " * INTERVAL '1 second'")
    };
}
pub(crate) use lease_until_postgres;

/// A run that this process is to calculate.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The run.
    pub run: RunId,
    /// Its scenario.
    pub scenario: ScenarioId,
    /// Which attempt this is; a result of another attempt is refused.
    pub attempt: i64,
    /// What to calculate.
    pub inputs: Inputs,
}

async fn by_id(connection: &mut Connection, id: RunId) -> Result<Option<Run>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT id, scenario_id, revision, fingerprint, engine_version, edition, state, attempt, failure,
                    created_at, finished_at
             FROM runs
             WHERE id = $1",
        )
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Run::try_from).transpose()
}

/// A run of a scenario that the user may see.
pub async fn find(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    run: RunId,
) -> Result<Option<Run>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT r.id, r.scenario_id, r.revision, r.fingerprint, r.engine_version, r.edition, r.state, r.attempt,
                    r.failure, r.created_at, r.finished_at
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.id = $3 AND r.scenario_id = $4 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(run.uuid())
        .bind(scenario.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Run::try_from).transpose()
}

/// The runs of a scenario that the user may see, newest first.
pub async fn list(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    window: Window<RunId>,
) -> Result<Vec<Run>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT r.id, r.scenario_id, r.revision, r.fingerprint, r.engine_version, r.edition, r.state, r.attempt,
                    r.failure, r.created_at, r.finished_at
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.scenario_id = $3 AND r.id < $6 AND ", readable!(), "
             ORDER BY r.id DESC
             LIMIT $5 OFFSET $4",
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(scenario.uuid())
        .bind(window.skip)
        .bind(window.limit)
        .bind(window.below())
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Run::try_from).collect()
}

/// How many runs the scenario has had.
pub async fn count(connection: &mut Connection, access: Access, scenario: ScenarioId) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(concat!(
            "SELECT COUNT(*)
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.scenario_id = $3 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(scenario.uuid())
        .fetch_one(c)
        .await
    })?)
}

/// A run's result with the inputs that gave it; `None` while there is none. The caller has made sure
/// that the user may see the run.
pub async fn result(connection: &mut Connection, run: RunId) -> Result<Option<(BaseAnalysis, Snapshot)>> {
    let row: Option<(Json<BaseAnalysis>, Json<Snapshot>)> = on!(connection, c => {
        sqlx::query_as("SELECT result, snapshot FROM runs WHERE id = $1 AND state = 'succeeded'")
            .bind(run.uuid())
            .fetch_optional(c)
            .await
    })?;
    Ok(row.map(|(result, snapshot)| (result.0, snapshot.0)))
}
