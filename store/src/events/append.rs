//! How events are stored: always in the transaction that they tell of.

use safire_domain::{
    OperationId, ProjectId, RunId, ScenarioId, Timestamp, UserId,
    event::{Kind, NewEvent},
    lifecycle::StatusName,
    operation::{State, Step},
    scenario::{Pathway, Scenario},
};
use serde_json::{Map, Value};
use sqlx::{QueryBuilder, types::Json};

use crate::{Connection, Result, cause::cause, connection::on};

/// The statement that stores these columns of events, selected so, at the transaction's next places.
macro_rules! append_sql {
    ($connection:expr, $columns:literal, $selected:literal) => {
        $connection.sql(
            concat!("INSERT INTO events (tx, n, ", $columns, ") SELECT ", place_postgres!(), $selected),
            concat!("INSERT INTO events (tx, n, ", $columns, ") SELECT ", place_sqlite!(), $selected),
        )
    };
}

/// Stores an event; call it in the transaction that it tells of.
pub async fn append(connection: &mut Connection, event: &NewEvent) -> Result<()> {
    let sql = append_sql!(
        connection,
        "at, kind, owner_id, project_id, scenario_id, run_id, operation_id, status, version, body, trace",
        ", $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11"
    );
    on!(connection, c => {
        sqlx::query(sql)
            .bind(event.at)
            .bind(event.kind.as_str())
            .bind(event.owner.map(UserId::uuid))
            .bind(event.project.map(ProjectId::uuid))
            .bind(event.scenario.map(ScenarioId::uuid))
            .bind(event.run.map(RunId::uuid))
            .bind(event.operation)
            .bind(event.status.map(StatusName::as_str))
            .bind(event.version)
            .bind(Json(&event.body))
            .bind(cause())
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Stores an event of a scenario, as the transaction leaves its row: with owner, project, status and version.
pub async fn append_of_scenario(
    connection: &mut Connection,
    kind: Kind,
    scenario: ScenarioId,
    run: Option<RunId>,
    body: Map<String, Value>,
    at: Timestamp,
) -> Result<()> {
    let sql = append_sql!(
        connection,
        "at, kind, owner_id, project_id, scenario_id, run_id, operation_id, status, version, body, trace",
        ", $1, $2, p.owner_id, p.id, s.id, $4, $4, s.status, s.version, $5, $6
         FROM scenarios s
         JOIN projects p ON p.id = s.project_id
         WHERE s.id = $3"
    );
    on!(connection, c => {
        sqlx::query(sql)
            .bind(at)
            .bind(kind.as_str())
            .bind(scenario.uuid())
            .bind(run.map(RunId::uuid))
            .bind(Json(&body))
            .bind(cause())
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Stores that scenarios were made, with what is told of each.
pub(crate) async fn append_created(
    connection: &mut Connection,
    created: &[(&Scenario, Map<String, Value>)],
) -> Result<()> {
    let place = connection.sql(concat!(place_postgres!(), " + "), concat!(place_sqlite!(), " + "));
    on!(connection, c => {
        let mut query = QueryBuilder::new(
            "INSERT INTO events (tx, n, at, kind, owner_id, project_id, scenario_id, status, version, body, trace) ",
        );
        query.push_values(created.iter().enumerate(), |mut row, (n, (scenario, told))| {
            row.push(place)
                .push_unseparated(n)
                .push_bind(scenario.created_at)
                .push_bind(Kind::Created.as_str())
                .push("(SELECT p.owner_id FROM projects p WHERE p.id = ")
                .push_bind_unseparated(scenario.project_id.uuid())
                .push_unseparated(")")
                .push_bind(scenario.project_id.uuid())
                .push_bind(scenario.id.uuid())
                .push_bind(scenario.status.name().as_str())
                .push_bind(scenario.version)
                .push_bind(Json(told))
                .push_bind(cause());
        });
        query.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Stores the same event of every scenario of a project.
pub(crate) async fn append_of_project(
    connection: &mut Connection,
    kind: Kind,
    project: ProjectId,
    at: Timestamp,
) -> Result<()> {
    let sql = append_sql!(
        connection,
        "at, kind, owner_id, project_id, scenario_id, status, version, body, trace",
        " - 1 + ROW_NUMBER() OVER (ORDER BY s.id), $1, $2, p.owner_id, p.id, s.id, s.status, s.version, $4, $5
         FROM scenarios s
         JOIN projects p ON p.id = s.project_id
         WHERE p.id = $3"
    );
    let nothing = Json(Map::<String, Value>::new());
    on!(connection, c => {
        sqlx::query(sql)
            .bind(at)
            .bind(kind.as_str())
            .bind(project.uuid())
            .bind(nothing)
            .bind(cause())
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Stores that an operation has ended, and in which state.
pub(crate) async fn append_completed(
    connection: &mut Connection,
    operation: OperationId,
    state: State,
    at: Timestamp,
) -> Result<()> {
    let told = Map::from_iter([("state".to_owned(), Value::from(state.as_str()))]);
    append_of_operation(connection, Kind::Completed, operation, told, at).await
}

/// Stores a line of an operation's log.
pub(crate) async fn append_logged(
    connection: &mut Connection,
    operation: OperationId,
    step: &Step,
    at: Timestamp,
) -> Result<()> {
    append_of_operation(connection, Kind::Logged, operation, step.told(), at).await
}

async fn append_of_operation(
    connection: &mut Connection,
    kind: Kind,
    operation: OperationId,
    told: Map<String, Value>,
    at: Timestamp,
) -> Result<()> {
    let sql = append_sql!(
        connection,
        "at, kind, owner_id, project_id, operation_id, body, trace",
        ", $1, $2, p.owner_id, p.id, o.id, $3, $5
         FROM operations o
         JOIN projects p ON p.id = o.project_id
         WHERE o.id = $4"
    );
    on!(connection, c => {
        let query = sqlx::query(sql).bind(at).bind(kind.as_str()).bind(Json(told)).bind(operation.uuid());
        query.bind(cause()).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Tells, once for each result, that the defaults have changed from which it was calculated.
pub(crate) async fn append_stale(connection: &mut Connection, pathway: &Pathway, at: Timestamp) -> Result<()> {
    let sql = append_sql!(
        connection,
        "at, kind, owner_id, project_id, scenario_id, run_id, status, version, body, trace",
        " - 1 + ROW_NUMBER() OVER (ORDER BY s.id),
                $1, 'stale', p.owner_id, p.id, s.id, s.run_id, s.status, s.version, $2, $6
         FROM scenarios s
         JOIN projects p ON p.id = s.project_id
         WHERE s.status = 'calculated' AND s.process = $3 AND s.feedstock = $4 AND s.country = $5
           AND NOT EXISTS (
               SELECT 1 FROM events e
               WHERE e.kind = 'stale' AND e.scenario_id = s.id AND e.run_id = s.run_id)"
    );
    on!(connection, c => {
        sqlx::query(sql)
            .bind(at)
            .bind(Json(Map::<String, Value>::new()))
            .bind(&pathway.process)
            .bind(&pathway.feedstock)
            .bind(&pathway.country)
            .bind(cause())
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}
