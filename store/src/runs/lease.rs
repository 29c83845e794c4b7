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
};
use crate::{Connection, Result, connection::on};

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

/// Which runs in motion to take over.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The new hold on them.
    pub lease: Lease,
    /// Runs of others whose lease ended before this are abandoned.
    pub abandoned_before: Timestamp,
    /// Whether to begin this process's own runs again as well: its memory of them is gone.
    pub own: bool,
    /// Only this scenario's: its actor failed, perhaps because of the run, so that this costs the run
    /// an attempt. Own runs of all scenarios are begun again at no cost, for they did nothing wrong.
    pub scenario: Option<ScenarioId>,
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
    ($lock:literal) => {
        concat!(
            "UPDATE runs
             SET lease_owner = $1,
                 lease_until = $2,
                 attempt = attempt + CASE WHEN lease_owner = $1 AND $5 IS NULL THEN 0 ELSE 1 END,
                 state = 'queued', stage = NULL, done = 0, total = 0, started_at = NULL
             WHERE id IN (
                 SELECT id
                 FROM runs
                 WHERE state IN ('queued', 'running')
                   AND (lease_owner IS NULL OR (lease_owner = $1 AND $4) OR (lease_owner <> $1 AND lease_until < $3))
                   AND ($5 IS NULL OR scenario_id = $5)
                 ORDER BY id
                 LIMIT $6 ",
            $lock,
            ")
             RETURNING id, scenario_id, attempt, snapshot"
        )
    };
}

/// Replicas must not wait for each other's claims; SQLite has one writer and knows no row locks.
const CLAIM_POSTGRES: &str = claim_sql!("FOR UPDATE SKIP LOCKED");
const CLAIM_SQLITE: &str = claim_sql!("");

/// Takes over runs that nobody works on. One that has been begun too often is ended as failed.
pub async fn claim(connection: &mut Connection, claim: Claim) -> Result<Vec<Assignment>> {
    connection.transaction(|c| Box::pin(claim_within(c, claim))).await
}

async fn claim_within(connection: &mut Connection, claim: Claim) -> Result<Vec<Assignment>> {
    let sql = match connection {
        Connection::Postgres(_) => CLAIM_POSTGRES,
        Connection::Sqlite(_) => CLAIM_SQLITE,
    };
    let mut rows: Vec<ClaimedRow> = on!(&mut *connection, c => {
        sqlx::query_as(sql)
            .bind(claim.lease.owner.uuid())
            .bind(claim.lease.until)
            .bind(claim.abandoned_before)
            .bind(claim.own)
            .bind(claim.scenario.map(ScenarioId::uuid))
            .bind(claim.limit)
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

/// Prolongs the hold on all runs of a process.
pub async fn renew(connection: &mut Connection, lease: Lease) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "UPDATE runs
             SET lease_until = $2
             WHERE lease_owner = $1 AND state IN ('queued', 'running')",
        )
        .bind(lease.owner.uuid())
        .bind(lease.until)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// The scenarios whose runs in motion a process holds.
pub async fn held(connection: &mut Connection, owner: NodeId) -> Result<Vec<ScenarioId>> {
    let ids: Vec<Uuid> = on!(connection, c => {
        sqlx::query_scalar("SELECT scenario_id FROM runs WHERE lease_owner = $1 AND state IN ('queued', 'running')")
            .bind(owner.uuid())
            .fetch_all(c)
            .await
    })?;
    Ok(ids.into_iter().map(ScenarioId::from).collect())
}

/// Gives back every run that a process has not finished, without costing it an attempt; returns how
/// many.
pub async fn hand_back(connection: &mut Connection, owner: NodeId) -> Result<u64> {
    Ok(on!(connection, c => {
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
    })?)
}
