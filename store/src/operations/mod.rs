//! Operations: files of scenarios on their way into a project, chunk by chunk.
//!
//! What a chunk becomes and how far the operation is are written in one transaction, which is refused unless the
//! operation is still this process's, at this attempt and at this chunk: each row takes effect exactly once, whatever
//! dies in between.

mod accept;
mod end;
mod lease;
mod work;

use safire_domain::{
    OperationId, ScenarioId, Timestamp,
    engine::Failure,
    event::{About, Topic},
    operation::{Counts, Fault, Format, Operation, State},
    run::Advance,
    user::Access,
};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{Connection, Error, Result, Window, access::readable, connection::on, streams::zone_of};

pub use accept::{Accepted, New, accept};
pub use end::{Cancelled, cancel, finish, remove_until};
pub use lease::{Claim, Grip, claim, hand_back, renew};
pub use work::{Advanced, Ahead, Chunk, Made, Next, Settled, advance, calculated, next, settle};

const TABLE: &str = "operations";

#[derive(FromRow)]
struct Row {
    id: Uuid,
    project_id: Uuid,
    user_id: Uuid,
    file_name: String,
    format: String,
    calculate: bool,
    state: String,
    rows: i64,
    created: i64,
    refused: i64,
    calculated: i64,
    not_calculated: i64,
    failure: Option<Json<Failure>>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

/// The columns of a [`Row`], of the table `operations o`.
macro_rules! columns {
    () => {
        "o.id, o.project_id, o.user_id, o.file_name, o.format, o.calculate, o.state, o.rows, o.created, o.refused,
         o.calculated, o.not_calculated, o.failure, o.created_at, o.started_at, o.finished_at"
    };
}

/// A [`Row`] with whose project it is for.
#[derive(FromRow)]
struct FollowedRow {
    #[sqlx(flatten)]
    operation: Row,
    owner_id: Uuid,
    zone_id: Option<String>,
}

/// The columns of a [`FollowedRow`], and where they come from.
macro_rules! followed {
    ($($more:literal)?) => {
        concat!(
            "SELECT ", columns!(), ", p.owner_id, w.zone_id", $($more,)? "
             FROM operations o
             JOIN users u ON u.id = o.user_id
             JOIN projects p ON p.id = o.project_id
             JOIN users w ON w.id = p.owner_id "
        )
    };
}
use {columns, followed};

impl FollowedRow {
    /// What it is about, and how far it is, from when it was begun on.
    fn followed(self) -> Result<(About, Option<Advance>)> {
        let operation = Operation::try_from(self.operation)?;
        let about = About {
            topic: Some(Topic::ProgressUpdate),
            owner: Some(self.owner_id.into()),
            zone: zone_of(self.zone_id)?,
            project: Some(operation.project_id),
            operation: Some(operation.id.uuid()),
            ..About::default()
        };
        Ok((about, operation.advance()))
    }
}

/// How far the operations are that are being worked on, wherever that is; of more than `limit` the rest is left out.
pub async fn running(connection: &mut Connection, limit: i64) -> Result<Vec<(About, Advance)>> {
    let rows: Vec<FollowedRow> = on!(connection, c => {
        sqlx::query_as(concat!(followed!(), "WHERE o.state = 'running' LIMIT $1")).bind(limit).fetch_all(c).await
    })?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let (about, advance) = row.followed()?;
        all.extend(advance.map(|advance| (about, advance)));
    }
    Ok(all)
}

impl TryFrom<Row> for Operation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            user_id: row.user_id.into(),
            file_name: row.file_name,
            format: Format::from_name(&row.format).ok_or_else(|| Error::corrupt(TABLE, "unknown format"))?,
            calculate: row.calculate,
            state: State::from_name(&row.state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))?,
            counts: Counts {
                rows: row.rows,
                created: row.created,
                refused: row.refused,
                calculated: row.calculated,
                not_calculated: row.not_calculated,
            },
            failure: row.failure.map(|json| json.0),
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// An operation on a project that the user may see.
pub async fn find(connection: &mut Connection, access: Access, id: OperationId) -> Result<Option<Operation>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT ", columns!(), "
             FROM operations o
             JOIN projects p ON p.id = o.project_id
             WHERE o.id = $3 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Operation::try_from).transpose()
}

/// The operations on projects that the user may see, newest first.
pub async fn list(connection: &mut Connection, access: Access, window: Window<OperationId>) -> Result<Vec<Operation>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT ", columns!(), "
             FROM operations o
             JOIN projects p ON p.id = o.project_id
             WHERE o.id < $5 AND ", readable!(), "
             ORDER BY o.id DESC
             LIMIT $4 OFFSET $3",
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(window.skip)
        .bind(window.limit)
        .bind(window.below())
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// How many there are.
pub async fn total(connection: &mut Connection, access: Access) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(concat!(
            "SELECT COUNT(*)
             FROM operations o
             JOIN projects p ON p.id = o.project_id
             WHERE ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .fetch_one(c)
        .await
    })?)
}

macro_rules! rows_sql {
    ($which:literal) => {
        concat!(
            "SELECT line, scenario_id, faults
             FROM operation_rows
             WHERE operation_id = $1 AND line > $2 AND ",
            $which,
            " ORDER BY line
             LIMIT $3 OFFSET $4"
        )
    };
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A scenario, which may be gone by now.
    Created(ScenarioId),
    /// Nothing, for these reasons.
    Refused(Vec<Fault>),
}

/// What became of the rows of an operation, in the order of their lines: of all, of those that were refused, or of
/// those that became scenarios. The caller has made sure that the user may see the operation.
pub async fn rows(
    connection: &mut Connection,
    id: OperationId,
    refused: Option<bool>,
    window: Window<i64>,
) -> Result<Vec<(i64, Outcome)>> {
    let sql = match refused {
        None => rows_sql!("TRUE"),
        Some(true) => rows_sql!("faults IS NOT NULL"),
        Some(false) => rows_sql!("scenario_id IS NOT NULL"),
    };
    let found: Vec<(i64, Option<Uuid>, Option<String>)> = on!(connection, c => {
        sqlx::query_as(sql)
            .bind(id.uuid())
            .bind(window.after.unwrap_or(0))
            .bind(window.limit)
            .bind(window.skip)
            .fetch_all(c)
            .await
    })?;
    let outcome = |(line, scenario, faults): (i64, Option<Uuid>, Option<String>)| match (scenario, faults) {
        (Some(scenario), _) => Ok((line, Outcome::Created(scenario.into()))),
        (None, faults) => {
            let faults = serde_json::from_str(faults.as_deref().unwrap_or("[]"));
            Ok((line, Outcome::Refused(faults.map_err(|e| Error::corrupt("operation_rows", e))?)))
        }
    };
    found.into_iter().map(outcome).collect()
}
