//! A file's way in: accepted with all its rows, or not at all.

use safire_domain::{OperationId, operation::Operation, user::Access};

use super::TABLE;
use crate::{
    Connection, Error, Result,
    access::{Right, Written},
    connection::on,
    idempotency::{self, Key, Once},
    projects,
};

/// A file that was read, to be imported.
pub struct New {
    /// The operation, queued.
    pub operation: Operation,
    /// The headers of the file's columns by the places in a scenario that they fill.
    pub columns: Vec<(String, String)>,
    /// The rows, chunk by chunk: given one at a time, so that they need not be in memory together.
    pub chunks: Box<dyn Iterator<Item = std::io::Result<Vec<u8>>> + Send>,
}

/// How a file was taken.
#[derive(Debug)]
pub enum Accepted {
    /// It will be imported.
    Yes,
    /// The user may not change the project, or there is none.
    Refused(Written),
    /// The file could not be read back.
    Unread(std::io::Error),
}

/// Takes a file, once, in one transaction: afterwards it is imported whatever happens.
pub async fn accept(
    connection: &mut Connection,
    access: Access,
    key: Option<Key>,
    new: New,
) -> Result<Once<OperationId, Accepted>> {
    let now = new.operation.created_at;
    idempotency::once(connection, key, now, move |c| {
        Box::pin(async move {
            let id = new.operation.id;
            Ok(match insert(c, access, new).await? {
                Accepted::Yes => Ok(id),
                refused => Err(refused),
            })
        })
    })
    .await
}

async fn insert(connection: &mut Connection, access: Access, new: New) -> Result<Accepted> {
    let operation = &new.operation;
    match projects::right_for_share(connection, access, operation.project_id).await? {
        Right::Write => {}
        right => return Ok(Accepted::Refused(Written::refused(right))),
    }
    let columns = serde_json::to_string(&new.columns).map_err(|e| Error::corrupt(TABLE, e))?;
    on!(&mut *connection, c => {
        sqlx::query(
            "INSERT INTO operations (id, project_id, user_id, file_name, format, columns, calculate, state, rows,
                                     created, refused, calculated, not_calculated, position, calculated_line, attempt,
                                     stumbles, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, 0, 0, 0, 0, 0, $10)",
        )
        .bind(operation.id.uuid())
        .bind(operation.project_id.uuid())
        .bind(operation.user_id.uuid())
        .bind(&operation.file_name)
        .bind(operation.format.as_str())
        .bind(&columns)
        .bind(operation.calculate)
        .bind(operation.state.as_str())
        .bind(operation.counts.rows)
        .bind(operation.created_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    for (position, content) in (0_i64..).zip(new.chunks) {
        let content = match content {
            Ok(content) => content,
            Err(error) => return Ok(Accepted::Unread(error)),
        };
        on!(&mut *connection, c => {
            sqlx::query("INSERT INTO operation_chunks (operation_id, position, content) VALUES ($1, $2, $3)")
                .bind(operation.id.uuid())
                .bind(position)
                .bind(content)
                .execute(c)
                .await
                .map(drop)
        })?;
    }
    Ok(Accepted::Yes)
}
