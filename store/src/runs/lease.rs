//! Who works on a run: held under a lease, taken over when it ends, given back.

use safire_domain::{
    NodeId, RunId, ScenarioId, Timestamp,
    engine::Failure,
    run::{Advance, MAX_ATTEMPTS, Order, Snapshot},
};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::{
    Assignment, Lease,
    end::{Ending, end, motion},
    lease_until_postgres,
};
use crate::{Connection, Result, connection::on, hints};

/// Records that a thread works on the run, and how far it is.
pub async fn record(connection: &mut Connection, run: RunId, attempt: i64, owner: NodeId, at: &Advance) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "UPDATE runs
             SET state = 'running', stage = $4, done = $5, total = $6, started_at = COALESCE(started_at, $7)
             WHERE id = $1 AND attempt = $2 AND lease_owner = $3 AND state IN ('queued', 'running')",
        )
        .bind(run.uuid())
        .bind(attempt)
        .bind(owner.uuid())
        .bind(&at.stage)
        .bind(at.done)
        .bind(at.total)
        .bind(at.started_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// A run, or the runs of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// The run.
    Run(RunId),
    /// The scenario's runs.
    Scenario(ScenarioId),
}

impl Only {
    fn uuid(self) -> Uuid {
        match self {
            Self::Run(run) => run.uuid(),
            Self::Scenario(scenario) => scenario.uuid(),
        }
    }
}

/// Which runs in motion to take over. Runs that were handed back are always among them.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The new hold on them.
    pub lease: Lease,
    /// Whether to take runs of others whose lease has ended; on SQLite, all runs of others.
    pub abandoned: bool,
    /// Whether to begin this process's own runs again as well: its memory of them is gone.
    pub own: bool,
    /// Only this run, or the runs of this scenario.
    pub only: Option<Only>,
    /// Whether own runs may be to blame that they begin again, so that it costs them an attempt.
    pub blamed: bool,
    /// At most so many.
    pub limit: i64,
    /// The present.
    pub now: Timestamp,
}

#[derive(FromRow)]
struct ClaimedRow {
    id: Uuid,
    scenario_id: Uuid,
    attempt: i64,
    snapshot: Json<Snapshot>,
}

macro_rules! claim_sql {
    ($until:expr, $ended:literal, $lock:literal) => {
        concat!(
            "UPDATE runs
             SET lease_owner = $1,
                 lease_until = ",
            $until,
            ",
                 attempt = attempt + CASE WHEN lease_owner = $1 AND NOT $7 THEN 0 ELSE 1 END,
                 state = 'queued', stage = NULL, done = 0, total = 0, started_at = NULL
             WHERE id IN (
                 SELECT id
                 FROM runs
                 WHERE state IN ('queued', 'running')
                   AND (lease_owner IS NULL OR (lease_owner = $1 AND $4) OR (lease_owner <> $1 AND $3 AND ",
            $ended,
            "))
                   AND ($5 IS NULL OR $5 IN (id, scenario_id))
                 ORDER BY id
                 LIMIT $6 ",
            $lock,
            ")
             RETURNING id, scenario_id, attempt, snapshot"
        )
    };
}

/// Replicas must not wait for each other's claims; SQLite has one writer and knows no row locks.
const CLAIM_POSTGRES: &str =
    claim_sql!(lease_until_postgres!("$2"), "lease_until < clock_timestamp()", "FOR UPDATE SKIP LOCKED");
const CLAIM_SQLITE: &str = claim_sql!("NULL", "TRUE", "");

/// Takes over runs that nobody works on. One that has been begun too often is ended as failed.
pub async fn claim(connection: &mut Connection, claim: Claim) -> Result<Vec<Assignment>> {
    connection.transaction(|c| Box::pin(claim_within(c, claim))).await
}

async fn claim_within(connection: &mut Connection, claim: Claim) -> Result<Vec<Assignment>> {
    let sql = connection.sql(CLAIM_POSTGRES, CLAIM_SQLITE);
    let mut rows: Vec<ClaimedRow> = on!(&mut *connection, c => {
        sqlx::query_as(sql)
            .bind(claim.lease.owner.uuid())
            .bind(claim.lease.length.as_secs_f64())
            .bind(claim.abandoned)
            .bind(claim.own)
            .bind(claim.only.map(Only::uuid))
            .bind(claim.limit)
            .bind(claim.blamed)
            .fetch_all(c)
            .await
    })?;
    rows.sort_by_key(|row| row.id);
    let mut assignments = Vec::with_capacity(rows.len());
    for row in rows {
        match assign(&row) {
            Ok(assignment) => assignments.push(assignment),
            Err(failure) => {
                let Some(found) = motion(connection, row.id.into()).await? else { continue };
                end(connection, found, Ending::Failed(failure), claim.now).await?;
            }
        }
    }
    Ok(assignments)
}

fn assign(row: &ClaimedRow) -> std::result::Result<Assignment, Failure> {
    if row.attempt > MAX_ATTEMPTS {
        let message = format!("the run was begun {MAX_ATTEMPTS} times and never ended");
        return Err(Failure::new("run.attempts_exhausted", message));
    }
    let resolved = row.snapshot.0.resolve().map_err(|e| Failure::new("run.inputs_invalid", e.to_string()))?;
    Ok(Assignment {
        run: row.id.into(),
        scenario: row.scenario_id.into(),
        attempt: row.attempt,
        order: Order { inputs: resolved.inputs, analysis: row.snapshot.0.analysis.clone() },
    })
}

/// Prolongs the hold on all runs of a process; on SQLite there is nothing to prolong.
///
/// A row that somebody is changing is left out, rather than waited for: it must not hold up the rest.
pub async fn renew(connection: &mut Connection, lease: Lease) -> Result<()> {
    let Connection::Postgres(c) = connection else { return Ok(()) };
    sqlx::query(concat!(
        "UPDATE runs
         SET lease_until = ",
        lease_until_postgres!("$2"),
        "
         WHERE id IN (
             SELECT id
             FROM runs
             WHERE lease_owner = $1 AND state IN ('queued', 'running')
             FOR UPDATE SKIP LOCKED)",
    ))
    .bind(lease.owner.uuid())
    .bind(lease.length.as_secs_f64())
    .execute(c)
    .await?;
    Ok(())
}

/// A run in motion that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its scenario.
    pub scenario: ScenarioId,
    /// The run.
    pub run: RunId,
    /// The attempt that the process holds.
    pub attempt: i64,
}

/// The runs in motion that a process holds.
pub async fn held(connection: &mut Connection, owner: NodeId) -> Result<Vec<Held>> {
    let rows: Vec<(Uuid, Uuid, i64)> = on!(connection, c => {
        sqlx::query_as(
            "SELECT scenario_id, id, attempt
             FROM runs
             WHERE lease_owner = $1 AND state IN ('queued', 'running')",
        )
        .bind(owner.uuid())
        .fetch_all(c)
        .await
    })?;
    let held =
        |(scenario, run, attempt): (Uuid, Uuid, i64)| Held { scenario: scenario.into(), run: run.into(), attempt };
    Ok(rows.into_iter().map(held).collect())
}

/// Gives back every run that a process has not finished, without costing it an attempt, and tells the
/// others; returns how many.
pub async fn hand_back(connection: &mut Connection, owner: NodeId) -> Result<u64> {
    let handed_back = on!(&mut *connection, c => {
        sqlx::query(
            "UPDATE runs
             SET state = 'queued', attempt = attempt - 1, lease_owner = NULL, lease_until = NULL,
                 stage = NULL, done = 0, total = 0, started_at = NULL
             WHERE lease_owner = $1 AND state IN ('queued', 'running')",
        )
        .bind(owner.uuid())
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    if handed_back > 0 {
        hints::send(connection, hints::Hint::Runs).await?;
    }
    Ok(handed_back)
}
