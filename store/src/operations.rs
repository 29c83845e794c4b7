//! Operations: files of scenarios on their way into a project, chunk by chunk.
//!
//! What a chunk becomes and how far the operation is are written in one transaction, which is refused unless the
//! operation is still this process's, at this attempt and at this chunk: each row takes effect exactly once, whatever
//! dies in between.

use safire_domain::{
    NodeId, OperationId, ProjectId, ScenarioId, Timestamp,
    engine::Failure,
    operation::{Counts, Fault, Format, MAX_STUMBLES, Operation, State},
    scenario::Scenario,
    user::{Access, Role},
};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{
    Connection, Error, Result, Window,
    access::{Right, Written, readable},
    connection::on,
    idempotency::{self, Key, Once},
    projects,
    runs::{Lease, lease_until_postgres},
    scenarios,
};

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
             RETURNING id, attempt, stumbles"
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

async fn claim_within(connection: &mut Connection, claim: Claim) -> Result<Vec<Grip>> {
    let sql = match connection {
        Connection::Postgres(_) => CLAIM_POSTGRES,
        Connection::Sqlite(_) => CLAIM_SQLITE,
    };
    let mut rows: Vec<(Uuid, i64, i64)> = on!(&mut *connection, c => {
        sqlx::query_as(sql)
            .bind(claim.lease.owner.uuid())
            .bind(claim.lease.length.as_secs_f64())
            .bind(claim.abandoned)
            .bind(claim.now)
            .bind(claim.limit)
            .fetch_all(c)
            .await
    })?;
    rows.sort_by_key(|(id, ..)| *id);
    let mut grips = Vec::with_capacity(rows.len());
    for (id, attempt, stumbles) in rows {
        let grip = Grip { operation: id.into(), owner: claim.lease.owner, attempt };
        if stumbles > MAX_STUMBLES {
            let message = format!("it was taken up {MAX_STUMBLES} times and got no further");
            end(connection, grip, Err(Failure::new("operation.attempts_exhausted", message)), claim.now).await?;
        } else {
            grips.push(grip);
        }
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

/// What there is to do next.
#[derive(Debug)]
pub enum Next {
    /// To look at these rows.
    Chunk(Chunk),
    /// To calculate these scenarios, in the order of their lines.
    Scenarios(Vec<(i64, ScenarioId)>),
    /// Nothing: the operation can be ended.
    Nothing,
}

/// Rows, compressed.
#[derive(Debug)]
pub struct Chunk {
    /// Its place among the chunks.
    pub position: i64,
    /// The rows, as they were accepted.
    pub content: Vec<u8>,
    /// The project that they are for.
    pub project: ProjectId,
    /// The headers of the file's columns by the places in a scenario that they fill.
    pub columns: Vec<(String, String)>,
}

#[derive(FromRow)]
struct NextRow {
    project_id: Uuid,
    user_id: Uuid,
    role: String,
    position: i64,
    columns: String,
    calculate: bool,
    calculated_line: i64,
}

/// What is to be done next, and on whose behalf: at most so many calculations at once. `None` when the operation is no
/// longer this attempt's: it was called off, taken over, or removed with its project.
pub async fn next(connection: &mut Connection, grip: Grip, calculations: i64) -> Result<Option<(Access, Next)>> {
    let row: Option<NextRow> = on!(&mut *connection, c => {
        sqlx::query_as(
            "SELECT o.project_id, o.user_id, u.role, o.position, o.columns, o.calculate, o.calculated_line
             FROM operations o
             JOIN users u ON u.id = o.user_id
             WHERE o.id = $1 AND o.lease_owner = $2 AND o.attempt = $3 AND o.state = 'running'",
        )
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .fetch_optional(c)
        .await
    })?;
    let Some(row) = row else { return Ok(None) };
    let role = Role::from_name(&row.role).ok_or_else(|| Error::corrupt("users", "unknown role"))?;
    let access = Access { user: row.user_id.into(), role };
    Ok(Some((access, next_of(connection, grip, row, calculations).await?)))
}

async fn next_of(connection: &mut Connection, grip: Grip, row: NextRow, calculations: i64) -> Result<Next> {
    let content: Option<Vec<u8>> = on!(&mut *connection, c => {
        sqlx::query_scalar("SELECT content FROM operation_chunks WHERE operation_id = $1 AND position = $2")
            .bind(grip.operation.uuid())
            .bind(row.position)
            .fetch_optional(c)
            .await
    })?;
    if let Some(content) = content {
        let columns = serde_json::from_str(&row.columns).map_err(|e| Error::corrupt(TABLE, e))?;
        let project = row.project_id.into();
        return Ok(Next::Chunk(Chunk { position: row.position, content, project, columns }));
    }
    if !row.calculate {
        return Ok(Next::Nothing);
    }
    let rows: Vec<(i64, Uuid)> = on!(connection, c => {
        sqlx::query_as(
            "SELECT line, scenario_id
             FROM operation_rows
             WHERE operation_id = $1 AND line > $2 AND scenario_id IS NOT NULL
             ORDER BY line
             LIMIT $3",
        )
        .bind(grip.operation.uuid())
        .bind(row.calculated_line)
        .bind(calculations)
        .fetch_all(c)
        .await
    })?;
    if rows.is_empty() {
        return Ok(Next::Nothing);
    }
    Ok(Next::Scenarios(rows.into_iter().map(|(line, id)| (line, id.into())).collect()))
}

/// What a chunk has become.
#[derive(Debug)]
pub struct Made {
    /// The chunk's place.
    pub position: i64,
    /// New scenarios with their lines.
    pub created: Vec<(i64, Scenario)>,
    /// Refused rows with what is wrong with them.
    pub refused: Vec<(i64, Vec<Fault>)>,
}

/// Stores what a chunk has become, and that it has: both or nothing.
pub async fn advance(connection: &mut Connection, grip: Grip, access: Access, made: Made) -> Result<Advanced> {
    connection.transaction(|c| Box::pin(advance_within(c, grip, access, made))).await
}

/// How the storing of a chunk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// It is stored.
    Yes,
    /// The operation is no longer this attempt's, or not at this chunk; nothing is stored.
    Lost,
    /// The user may no longer change the project; nothing is stored.
    Forbidden,
}

async fn advance_within(connection: &mut Connection, grip: Grip, access: Access, made: Made) -> Result<Advanced> {
    let project: Option<Uuid> = on!(&mut *connection, c => {
        sqlx::query_scalar("SELECT project_id FROM operations WHERE id = $1")
            .bind(grip.operation.uuid())
            .fetch_optional(c)
            .await
    })?;
    let Some(project) = project else { return Ok(Advanced::Lost) };
    if projects::right_for_share(connection, access, project.into()).await? != Right::Write {
        return Ok(Advanced::Forbidden);
    }
    let changed = on!(&mut *connection, c => {
        sqlx::query(
            "UPDATE operations
             SET position = position + 1, created = created + $5, refused = refused + $6, stumbles = 0
             WHERE id = $1 AND lease_owner = $2 AND attempt = $3 AND state = 'running' AND position = $4",
        )
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .bind(made.position)
        .bind(count(&made.created))
        .bind(count(&made.refused))
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    if changed != 1 {
        return Ok(Advanced::Lost);
    }
    on!(&mut *connection, c => {
        sqlx::query("DELETE FROM operation_chunks WHERE operation_id = $1 AND position = $2")
            .bind(grip.operation.uuid())
            .bind(made.position)
            .execute(c)
            .await
            .map(drop)
    })?;
    record(connection, grip.operation, &made).await?;
    let scenarios: Vec<Scenario> = made.created.into_iter().map(|(_, scenario)| scenario).collect();
    scenarios::insert_all(connection, &scenarios).await?;
    Ok(Advanced::Yes)
}

fn count<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap_or(i64::MAX)
}

async fn record(connection: &mut Connection, operation: OperationId, made: &Made) -> Result<()> {
    let mut rows: Vec<(i64, Option<Uuid>, Option<String>)> = Vec::new();
    rows.extend(made.created.iter().map(|(line, scenario)| (*line, Some(scenario.id.uuid()), None)));
    for (line, faults) in &made.refused {
        let faults = serde_json::to_string(faults).map_err(|e| Error::corrupt("operation_rows", e))?;
        rows.push((*line, None, Some(faults)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    on!(connection, c => {
        let mut query =
            sqlx::QueryBuilder::new("INSERT INTO operation_rows (operation_id, line, scenario_id, faults) ");
        query.push_values(rows, |mut row, (line, scenario, faults)| {
            row.push_bind(operation.uuid()).push_bind(line).push_bind(scenario).push_bind(faults);
        });
        query.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// How many of some scenarios are calculated, and how many are being calculated.
pub async fn calculated(connection: &mut Connection, scenarios: &[ScenarioId]) -> Result<(i64, i64)> {
    Ok(on!(connection, c => {
        let mut query = sqlx::QueryBuilder::new(
            "SELECT COUNT(*) FILTER (WHERE status = 'calculated'), COUNT(*) FILTER (WHERE status = 'calculating')
             FROM scenarios
             WHERE id IN (",
        );
        let mut list = query.separated(", ");
        for scenario in scenarios {
            list.push_bind(scenario.uuid());
        }
        query.push(")");
        query.build_query_as().fetch_one(c).await
    })?)
}

/// Stores that the scenarios up to a line have had their calculation; `false` when the operation is no longer this
/// attempt's.
pub async fn settle(
    connection: &mut Connection,
    grip: Grip,
    line: i64,
    calculated: i64,
    not_calculated: i64,
) -> Result<bool> {
    let changed = on!(connection, c => {
        sqlx::query(
            "UPDATE operations
             SET calculated_line = $4, calculated = calculated + $5, not_calculated = not_calculated + $6, stumbles = 0
             WHERE id = $1 AND lease_owner = $2 AND attempt = $3 AND state = 'running' AND calculated_line < $4",
        )
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .bind(line)
        .bind(calculated)
        .bind(not_calculated)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Ends an operation; `false` when it is no longer this attempt's.
pub async fn finish(
    connection: &mut Connection,
    grip: Grip,
    outcome: std::result::Result<(), Failure>,
    now: Timestamp,
) -> Result<bool> {
    connection.transaction(move |c| Box::pin(end(c, grip, outcome, now))).await
}

async fn end(
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
    forget_chunks(connection, grip.operation, changed).await
}

async fn forget_chunks(connection: &mut Connection, operation: OperationId, changed: u64) -> Result<bool> {
    if changed == 1 {
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
                match forget_chunks(c, id, changed).await? {
                    true => Ok(Cancelled::Yes),
                    false => Ok(Cancelled::Ended(operation.state)),
                }
            })
        })
        .await
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
