//! The work on an operation, piece by piece.

use safire_domain::{
    OperationId, ProjectId, ScenarioId, Timestamp,
    event::About,
    operation::{Fault, Step},
    run::Advance,
    scenario::Scenario,
    user::{Access, Role},
};
use sqlx::FromRow;
use uuid::Uuid;

use super::{FollowedRow, Grip, TABLE, columns, followed};
use crate::{Connection, Error, Result, access::Right, connection::on, events, projects, scenarios};

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

/// What is to be done next, on whose behalf, and how far the operation is.
#[derive(Debug)]
pub struct Ahead {
    /// Whoever began it, and what they may do now.
    pub access: Access,
    /// What its progress is about.
    pub about: About,
    /// How far it is.
    pub advance: Option<Advance>,
    /// What to do.
    pub next: Next,
}

#[derive(FromRow)]
struct NextRow {
    #[sqlx(flatten)]
    followed: FollowedRow,
    role: String,
    position: i64,
    columns: String,
    calculated_line: i64,
}

/// What is to be done next: at most so many calculations at once. `None` when the operation is no longer this
/// attempt's: it was called off, taken over, or removed with its project.
pub async fn next(connection: &mut Connection, grip: Grip, calculations: i64) -> Result<Option<Ahead>> {
    let row: Option<NextRow> = on!(&mut *connection, c => {
        sqlx::query_as(concat!(
            followed!(", u.role, o.position, o.columns, o.calculated_line"),
            "WHERE o.id = $1 AND o.lease_owner = $2 AND o.attempt = $3 AND o.state = 'running'",
        ))
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .fetch_optional(c)
        .await
    })?;
    let Some(row) = row else { return Ok(None) };
    let role = Role::from_name(&row.role).ok_or_else(|| Error::corrupt("users", "unknown role"))?;
    let access = Access { user: row.followed.operation.user_id.into(), role };
    let next = next_of(connection, grip, &row, calculations).await?;
    let (about, advance) = row.followed.followed()?;
    Ok(Some(Ahead { access, about, advance, next }))
}

async fn next_of(connection: &mut Connection, grip: Grip, row: &NextRow, calculations: i64) -> Result<Next> {
    let content: Option<Vec<u8>> = on!(&mut *connection, c => {
        sqlx::query_scalar("SELECT content FROM operation_chunks WHERE operation_id = $1 AND position = $2")
            .bind(grip.operation.uuid())
            .bind(row.position)
            .fetch_optional(c)
            .await
    })?;
    let operation = &row.followed.operation;
    if let Some(content) = content {
        let columns = serde_json::from_str(&row.columns).map_err(|e| Error::corrupt(TABLE, e))?;
        let project = operation.project_id.into();
        return Ok(Next::Chunk(Chunk { position: row.position, content, project, columns }));
    }
    if !operation.calculate {
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
    /// Refused rows with what is wrong with them, in the order of their lines.
    pub refused: Vec<(i64, Vec<Fault>)>,
    /// When.
    pub at: Timestamp,
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
    let counted: Option<(i64, i64, bool)> = on!(&mut *connection, c => {
        sqlx::query_as(
            "UPDATE operations
             SET position = position + 1, created = created + $5, refused = refused + $6, stumbles = 0
             WHERE id = $1 AND lease_owner = $2 AND attempt = $3 AND state = 'running' AND position = $4
             RETURNING created, rows - created - refused, calculate",
        )
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .bind(made.position)
        .bind(count(&made.created))
        .bind(count(&made.refused))
        .fetch_optional(c)
        .await
    })?;
    let Some((created, left, calculate)) = counted else { return Ok(Advanced::Lost) };
    on!(&mut *connection, c => {
        sqlx::query("DELETE FROM operation_chunks WHERE operation_id = $1 AND position = $2")
            .bind(grip.operation.uuid())
            .bind(made.position)
            .execute(c)
            .await
            .map(drop)
    })?;
    record(connection, grip.operation, &made).await?;
    let refused = Step::of_refused(count(&made.created), &made.refused);
    let calculating = (calculate && left == 0 && created > 0).then_some(Step::Calculating { scenarios: created });
    let (operation, at) = (grip.operation, made.at);
    let scenarios: Vec<Scenario> = made.created.into_iter().map(|(_, scenario)| scenario).collect();
    scenarios::insert_all(connection, &scenarios).await?;
    for step in refused.iter().chain(&calculating) {
        events::append_logged(connection, operation, step, at).await?;
    }
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

/// Scenarios that have had their calculation.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// The line of the last of them.
    pub line: i64,
    /// Those whose calculation succeeded.
    pub calculated: i64,
    /// Those that could not be calculated.
    pub not_calculated: i64,
    /// When.
    pub at: Timestamp,
}

/// Stores that scenarios have had their calculation; `false` when the operation is no longer this attempt's.
pub async fn settle(connection: &mut Connection, grip: Grip, settled: Settled) -> Result<bool> {
    connection.transaction(move |c| Box::pin(settle_within(c, grip, settled))).await
}

async fn settle_within(connection: &mut Connection, grip: Grip, settled: Settled) -> Result<bool> {
    let counted: Option<(i64, i64, i64)> = on!(&mut *connection, c => {
        sqlx::query_as(
            "UPDATE operations
             SET calculated_line = $4, calculated = calculated + $5, not_calculated = not_calculated + $6, stumbles = 0
             WHERE id = $1 AND lease_owner = $2 AND attempt = $3 AND state = 'running' AND calculated_line < $4
             RETURNING calculated, not_calculated, created - calculated - not_calculated",
        )
        .bind(grip.operation.uuid())
        .bind(grip.owner.uuid())
        .bind(grip.attempt)
        .bind(settled.line)
        .bind(settled.calculated)
        .bind(settled.not_calculated)
        .fetch_optional(c)
        .await
    })?;
    let Some((calculated, not_calculated, left)) = counted else { return Ok(false) };
    if left == 0 {
        let step = Step::Calculated { calculated, not_calculated };
        events::append_logged(connection, grip.operation, &step, settled.at).await?;
    }
    Ok(true)
}
