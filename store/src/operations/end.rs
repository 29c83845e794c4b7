//! How an operation ends.

use safire_domain::{OperationId, Timestamp, engine::Failure, operation::State, user::Access};
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
    let state = if outcome.is_ok() { State::Succeeded } else { State::Failed };
    let changed = on!(&mut *connection, c => {
        sqlx::query(
            "UPDATE operations
             SET state = $4, failure = $5, finished_at = $6, lease_owner = NULL, lease_until = NULL
             WHERE id = $1 AND lease_owner = $2 AND attempt = $3 AND state = 'running'",
        )
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .bind(state.as_str())
        .bind(outcome.err().map(Json))
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    ended(connection, grip.operation, changed, state, now).await
}

/// Tells that an operation has ended, if it has, and forgets its rows.
async fn ended(
    connection: &mut Connection,
    operation: OperationId,
    changed: u64,
    state: State,
    now: Timestamp,
) -> Result<bool> {
    if changed == 1 {
        events::append_completed(connection, operation, state, now).await?;
        on!(connection, c => {
            sqlx::query("DELETE FROM operation_chunks WHERE operation_id = $1")
                .bind(operation.uuid())
                .execute(c)
                .await
                .map(drop)
        })?;
    }
    Ok(changed == 1)
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
                let changed = on!(&mut *c, c => {
                    sqlx::query(
                        "UPDATE operations
                         SET state = 'cancelled', finished_at = $2, lease_owner = NULL, lease_until = NULL
                         WHERE id = $1 AND state IN ('queued', 'running')",
                    )
                    .bind(id.uuid())
                    .bind(now)
                    .execute(c)
                    .await
                    .map(|done| done.rows_affected())
                })?;
                match ended(c, id, changed, State::Cancelled, now).await? {
                    true => Ok(Cancelled::Yes),
                    false => Ok(Cancelled::Ended(operation.state)),
                }
            })
        })
        .await
}
