//! Runs: accepted in one transaction, owned under a lease, ended exactly once.
//!
//! Every change is a compare-and-set on id, state and attempt. What may change into what is decided
//! by [`safire_domain::lifecycle`]; a change that comes too late writes nothing.

mod accept;
mod base;
mod end;
mod lease;
mod standing;

use std::time::Duration;

use safire_domain::{
    NodeId, RunId, ScenarioId, Timestamp,
    engine::{Analysis, AnalysisResult, BaseAnalysis, Failure},
    lifecycle::RunState,
    run::{Advance, Findings, Kind, Order, Run, Snapshot},
    user::Access,
};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{Connection, Error, Result, Window, access::readable, connection::on};

pub use accept::{Accepted, Ask, Request, accept};
pub use end::{Cancelled, cancel, settle};
pub use lease::{Claim, Held, Only, claim, hand_back, held, record, renew};
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
    analysis: String,
    state: String,
    attempt: i64,
    stage: Option<String>,
    done: i64,
    total: i64,
    started_at: Option<Timestamp>,
    failure: Option<Json<Failure>>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

/// The columns of a [`Row`], of the table `runs r`.
macro_rules! columns {
    () => {
        "r.id, r.scenario_id, r.revision, r.fingerprint, r.engine_version, r.edition, r.analysis, r.state, r.attempt,
         r.stage, r.done, r.total, r.started_at, r.failure, r.created_at, r.finished_at"
    };
}
pub(crate) use columns;

impl TryFrom<Row> for Run {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let advance = row.stage.zip(row.started_at).map(|(stage, started_at)| Advance {
            stage,
            done: row.done,
            total: row.total,
            started_at,
        });
        Ok(Self {
            id: row.id.into(),
            scenario_id: row.scenario_id.into(),
            revision: row.revision,
            analysis: Kind::from_name(&row.analysis).ok_or_else(|| Error::corrupt(TABLE, "unknown analysis"))?,
            state: RunState::from_name(&row.state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))?,
            attempt: row.attempt,
            advance,
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
    pub order: Order,
}

async fn by_id(connection: &mut Connection, id: RunId) -> Result<Option<Run>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            concat!("SELECT ", columns!(), " FROM runs r WHERE r.id = $1"),
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
            "SELECT ", columns!(), "
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

/// Which runs of a scenario are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this kind.
    pub analysis: Option<Kind>,
    /// Those in this state.
    pub state: Option<RunState>,
}

/// The condition that a run `r` passes a [`Filter`], of the next two parameters.
macro_rules! filtered {
    ($analysis:literal, $state:literal) => {
        concat!(
            "(",
            $analysis,
            " IS NULL OR r.analysis = ",
            $analysis,
            ") AND (",
            $state,
            " IS NULL OR r.state = ",
            $state,
            ")",
        )
    };
}

/// The runs of a scenario that the user may see, newest first.
pub async fn list(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    filter: Filter,
    window: Window<RunId>,
) -> Result<Vec<Run>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT ", columns!(), "
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.scenario_id = $3 AND r.id < $6 AND ", filtered!("$7", "$8"), " AND ", readable!(), "
             ORDER BY r.id DESC
             LIMIT $5 OFFSET $4",
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(scenario.uuid())
        .bind(window.skip)
        .bind(window.limit)
        .bind(window.below())
        .bind(filter.analysis.map(Kind::as_str))
        .bind(filter.state.map(RunState::as_str))
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Run::try_from).collect()
}

/// How many such runs the scenario has had.
pub async fn count(connection: &mut Connection, access: Access, scenario: ScenarioId, filter: Filter) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(concat!(
            "SELECT COUNT(*)
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.scenario_id = $3 AND ", filtered!("$4", "$5"), " AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(scenario.uuid())
        .bind(filter.analysis.map(Kind::as_str))
        .bind(filter.state.map(RunState::as_str))
        .fetch_one(c)
        .await
    })?)
}

/// The newest run with a result of each kind but the base analysis. The caller has made sure that the user may see
/// the scenario.
pub async fn beside(connection: &mut Connection, scenario: ScenarioId) -> Result<Vec<Run>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT ", columns!(), "
             FROM runs r
             WHERE r.scenario_id = $1 AND r.state = 'succeeded' AND r.analysis <> 'base'
               AND NOT EXISTS (
                   SELECT 1
                   FROM runs n
                   WHERE n.scenario_id = r.scenario_id AND n.analysis = r.analysis AND n.state = 'succeeded'
                     AND n.id > r.id)
             ORDER BY r.analysis",
        ))
        .bind(scenario.uuid())
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Run::try_from).collect()
}

/// What a run found with the inputs that gave it; `None` while there is nothing. The caller has made sure
/// that the user may see the run.
pub async fn result(connection: &mut Connection, run: RunId) -> Result<Option<(Findings, Snapshot)>> {
    let row: Option<FoundRow> = on!(connection, c => {
        sqlx::query_as("SELECT result, analysis_result, snapshot FROM runs WHERE id = $1 AND state = 'succeeded'")
            .bind(run.uuid())
            .fetch_optional(c)
            .await
    })?;
    Ok(row.map(|FoundRow { result, analysis_result, snapshot }| {
        (Findings { base: result.0, analysis: analysis_result.map(|json| json.0) }, snapshot.0)
    }))
}

/// What a run was asked. The caller has made sure that the user may see the run.
pub async fn question(connection: &mut Connection, run: RunId) -> Result<Option<Analysis>> {
    let snapshot: Option<Json<Snapshot>> = on!(connection, c => {
        sqlx::query_scalar("SELECT snapshot FROM runs WHERE id = $1").bind(run.uuid()).fetch_optional(c).await
    })?;
    Ok(snapshot.map(|snapshot| snapshot.0.analysis))
}

#[derive(FromRow)]
struct FoundRow {
    result: Json<BaseAnalysis>,
    analysis_result: Option<Json<AnalysisResult>>,
    snapshot: Json<Snapshot>,
}

/// How many runs of all scenarios were accepted before a run and wait like it.
pub async fn ahead(connection: &mut Connection, run: RunId) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM runs WHERE state = 'queued' AND id < $1")
            .bind(run.uuid())
            .fetch_one(c)
            .await
    })?)
}
