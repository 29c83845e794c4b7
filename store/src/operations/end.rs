//! How an operation ends.

use safire_domain::{
    OperationId, Timestamp,
    engine::Failure,
    operation::{State, Step},
    user::Access,
};
use sqlx::types::Json;

use super::{Grip, find};
use crate::{Connection, Result, access::Right, connection::on, events, projects};

/// Ends an operation; `false` when it is no longer this attempt's.
pub async fn finish(
    connection: &mut Connection,
    grip: Grip,
    outcome: std::result::Result<(), Failure>,
    now: Timestamp,
) -> Result<bool> {
    connection.transaction(move |c| Box::pin(end(c, grip, outcome, now))).await
}

pub(super) async fn end(
    connection: &mut Connection,
    grip: Grip,
    outcome: std::result::Result<(), Failure>,
    now: Timestamp,
) -> Result<bool> {
    let (state, failure) = match outcome {
        Ok(()) => (State::Succeeded, None),
        Err(failure) => (State::Failed, Some(failure)),
    };
    let counted: Option<(i64, i64)> = on!(&mut *connection, c => {
        sqlx::query_as(
            "UPDATE operations
             SET state = $4, failure = $5, finished_at = $6, lease_owner = NULL, lease_until = NULL
             WHERE id = $1 AND lease_owner = $2 AND attempt = $3 AND state = 'running'
             RETURNING created, refused",
        )
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .bind(state.as_str())
        .bind(failure.as_ref().map(Json))
        .bind(now)
        .fetch_optional(c)
        .await
    })?;
    let Some((created, refused)) = counted else { return Ok(false) };
    ended(connection, grip.operation, Step::Ended { state, created, refused, failure }, state, now).await?;
    Ok(true)
}

/// Tells that an operation has ended, and forgets its rows.
async fn ended(
    connection: &mut Connection,
    operation: OperationId,
    step: Step,
    state: State,
    now: Timestamp,
) -> Result<()> {
    events::append_logged(connection, operation, &step, now).await?;
    events::append_completed(connection, operation, state, now).await?;
    on!(connection, c => {
        sqlx::query("DELETE FROM operation_chunks WHERE operation_id = $1")
            .bind(operation.uuid())
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// How a request to call an operation off ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is called off; what was done stays.
    Yes,
    /// It had ended.
    Ended(State),
    /// The user may see it but not call it off.
    Forbidden,
    /// For the user there is no such operation.
    Unknown,
}

/// Calls an operation off.
pub async fn cancel(connection: &mut Connection, access: Access, id: OperationId, now: Timestamp) -> Result<Cancelled> {
    connection
        .transaction(|c| {
            Box::pin(async move {
                let Some(operation) = find(c, access, id).await? else { return Ok(Cancelled::Unknown) };
                if projects::right(c, access, operation.project_id).await? != Right::Write {
                    return Ok(Cancelled::Forbidden);
                }
                let counted: Option<(i64, i64)> = on!(&mut *c, c => {
                    sqlx::query_as(
                        "UPDATE operations
                         SET state = 'cancelled', finished_at = $2, lease_owner = NULL, lease_until = NULL
                         WHERE id = $1 AND state IN ('queued', 'running')
                         RETURNING created, refused",
                    )
                    .bind(id.uuid())
                    .bind(now)
                    .fetch_optional(c)
                    .await
                })?;
                let Some((created, refused)) = counted else { return Ok(Cancelled::Ended(operation.state)) };
                let state = State::Cancelled;
                ended(c, id, Step::Ended { state, created, refused, failure: None }, state, now).await?;
                Ok(Cancelled::Yes)
            })
        })
        .await
}

/// Removes what is kept of operations that ended before `until`, a piece at a time, so that nobody waits long: at most
/// `limit` of their rows, and those without any. Returns how much was removed; nothing, when there is no more.
pub async fn remove_until(connection: &mut Connection, until: Timestamp, limit: i64) -> Result<u64> {
    let rows = on!(&mut *connection, c => {
        sqlx::query(
            "DELETE FROM operation_rows
             WHERE (operation_id, line) IN (
                 SELECT r.operation_id, r.line
                 FROM operations o
                 JOIN operation_rows r ON r.operation_id = o.id
                 WHERE o.finished_at < $1
                 LIMIT $2)",
        )
        .bind(until)
        .bind(limit)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    let operations = on!(connection, c => {
        sqlx::query(
            "DELETE FROM operations
             WHERE finished_at < $1
               AND NOT EXISTS (SELECT 1 FROM operation_rows r WHERE r.operation_id = operations.id)",
        )
        .bind(until)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(rows + operations)
}
