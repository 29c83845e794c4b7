//! Which process works on an operation.

use safire_domain::{
    NodeId, OperationId, Timestamp,
    engine::Failure,
    operation::{Counts, MAX_STUMBLES, Step},
};
use sqlx::FromRow;
use uuid::Uuid;

use super::end::end;
use crate::{
    Connection, Result,
    connection::on,
    events,
    runs::{Lease, lease_until_postgres},
};

/// A process's hold on an operation: what another attempt writes is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grip {
    /// The operation.
    pub operation: OperationId,
    /// The process.
    pub owner: NodeId,
    /// Which attempt it is.
    pub attempt: i64,
}

/// Which operations to take up. Those that nobody holds are always among them.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The new hold on them.
    pub lease: Lease,
    /// Whether to take those of others whose lease has ended; on SQLite, all of others.
    pub abandoned: bool,
    /// At most so many.
    pub limit: i64,
    /// The present.
    pub now: Timestamp,
}

macro_rules! claim_sql {
    ($until:expr, $ended:literal, $lock:literal) => {
        concat!(
            "UPDATE operations
             SET state = 'running', lease_owner = $1, lease_until = ",
            $until,
            ", attempt = attempt + 1, stumbles = stumbles + 1, started_at = COALESCE(started_at, $4)
             WHERE id IN (
                 SELECT id
                 FROM operations
                 WHERE state IN ('queued', 'running')
                   AND (lease_owner IS NULL OR (lease_owner <> $1 AND $3 AND ",
            $ended,
            "))
                 ORDER BY id
                 LIMIT $5 ",
            $lock,
            ")
             RETURNING id, attempt, stumbles, rows, created, refused"
        )
    };
}

const CLAIM_POSTGRES: &str =
    claim_sql!(lease_until_postgres!("$2"), "lease_until < clock_timestamp()", "FOR UPDATE SKIP LOCKED");
const CLAIM_SQLITE: &str = claim_sql!("NULL", "TRUE", "");

/// Takes up operations that nobody works on. One that was taken up too often without getting any further is ended as
/// failed.
pub async fn claim(connection: &mut Connection, claim: Claim) -> Result<Vec<Grip>> {
    connection.transaction(|c| Box::pin(claim_within(c, claim))).await
}

#[derive(FromRow)]
struct ClaimedRow {
    id: Uuid,
    attempt: i64,
    stumbles: i64,
    rows: i64,
    created: i64,
    refused: i64,
}

async fn claim_within(connection: &mut Connection, claim: Claim) -> Result<Vec<Grip>> {
    let sql = connection.sql(CLAIM_POSTGRES, CLAIM_SQLITE);
    let mut claimed: Vec<ClaimedRow> = on!(&mut *connection, c => {
        sqlx::query_as(sql)
            .bind(claim.lease.owner.uuid())
            .bind(claim.lease.length.as_secs_f64())
            .bind(claim.abandoned)
            .bind(claim.now)
            .bind(claim.limit)
            .fetch_all(c)
            .await
    })?;
    claimed.sort_by_key(|row| row.id);
    let mut grips = Vec::with_capacity(claimed.len());
    for ClaimedRow { id, attempt, stumbles, rows, created, refused } in claimed {
        let grip = Grip { operation: id.into(), owner: claim.lease.owner, attempt };
        if stumbles > MAX_STUMBLES {
            let message = format!("it was taken up {MAX_STUMBLES} times and got no further");
            end(connection, grip, Err(Failure::new("operation.attempts_exhausted", message)), claim.now).await?;
            continue;
        }
        let step = Step::of_attempt(attempt, Counts { rows, created, refused, ..Counts::default() });
        events::append_logged(connection, grip.operation, &step, claim.now).await?;
        grips.push(grip);
    }
    Ok(grips)
}

/// Prolongs the hold on all operations of a process; on SQLite there is nothing to prolong.
pub async fn renew(connection: &mut Connection, lease: Lease) -> Result<()> {
    let Connection::Postgres(c) = connection else { return Ok(()) };
    sqlx::query(concat!(
        "UPDATE operations SET lease_until = ",
        lease_until_postgres!("$2"),
        " WHERE id IN (
             SELECT id FROM operations WHERE lease_owner = $1 AND state = 'running' FOR UPDATE SKIP LOCKED)"
    ))
    .bind(lease.owner.uuid())
    .bind(lease.length.as_secs_f64())
    .execute(c)
    .await?;
    Ok(())
}

/// Gives back what a process holds, so that any may take it up; only one operation, if it is named: that one has
/// stumbled, while a process that stops has not.
pub async fn hand_back(connection: &mut Connection, owner: NodeId, operation: Option<OperationId>) -> Result<u64> {
    Ok(on!(connection, c => {
        sqlx::query(
            "UPDATE operations
             SET state = 'queued', lease_owner = NULL, lease_until = NULL,
                 stumbles = stumbles - CASE WHEN $2 IS NULL THEN 1 ELSE 0 END
             WHERE lease_owner = $1 AND state = 'running' AND ($2 IS NULL OR id = $2)",
        )
        .bind(owner.uuid())
        .bind(operation.map(OperationId::uuid))
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?)
}
