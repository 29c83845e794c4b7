//! Scenarios, seen by the user who owns their project.

use safire_domain::{
    ProjectId, RunId, ScenarioId, Timestamp, UserId,
    engine::InputDocument,
    lifecycle::{Rest, Status, StatusName},
    name::Name,
    scenario::{Pathway, Scenario},
};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{Connection, Error, Result, connection::on, projects::Removal};

const TABLE: &str = "scenarios";

#[derive(FromRow)]
struct Row {
    id: Uuid,
    project_id: Uuid,
    name: String,
    process: String,
    feedstock: String,
    country: String,
    inputs: Json<InputDocument>,
    revision: i64,
    #[sqlx(flatten)]
    status: StatusRow,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Scenario {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            name: Name::try_from(row.name).map_err(|e| Error::corrupt(TABLE, e))?,
            pathway: Pathway { process: row.process, feedstock: row.feedstock, country: row.country },
            inputs: row.inputs.0,
            revision: row.revision,
            status: row.status.read()?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// A status in four columns: the run that it speaks of and, while calculating, what it was before.
#[derive(FromRow)]
pub(crate) struct StatusRow {
    status: String,
    run_id: Option<Uuid>,
    rest_status: Option<String>,
    rest_run_id: Option<Uuid>,
}

impl StatusRow {
    pub(crate) fn read(self) -> Result<Status> {
        let run_id = self.run_id.map(RunId::from);
        match (StatusName::from_name(&self.status), run_id, self.rest_status) {
            (Some(StatusName::Calculating), Some(run), Some(before)) => {
                let before = rest(StatusName::from_name(&before), self.rest_run_id.map(RunId::from))?;
                Ok(Status::Calculating { run, before })
            }
            (name, run, None) => rest(name, run).map(Status::Resting),
            _ => Err(Error::corrupt(TABLE, "the status columns disagree")),
        }
    }

    fn write(status: Status) -> Self {
        let (run, before) = match status {
            Status::Resting(rest) => (rest.run(), None),
            Status::Calculating { run, before } => (Some(run), Some(before)),
        };
        Self {
            status: status.name().as_str().to_owned(),
            run_id: run.map(RunId::uuid),
            rest_status: before.map(|rest| rest.name().as_str().to_owned()),
            rest_run_id: before.and_then(Rest::run).map(RunId::uuid),
        }
    }
}

fn rest(name: Option<StatusName>, run: Option<RunId>) -> Result<Rest> {
    match (name, run) {
        (Some(StatusName::Draft), None) => Ok(Rest::Draft),
        (Some(StatusName::Calculated), Some(run)) => Ok(Rest::Calculated(run)),
        (Some(StatusName::Failed), Some(run)) => Ok(Rest::Failed(run)),
        _ => Err(Error::corrupt(TABLE, "the status columns disagree")),
    }
}

/// Stores a new scenario in one of the user's projects; `false` when there is no such project.
pub async fn insert(connection: &mut Connection, user: UserId, scenario: &Scenario) -> Result<bool> {
    let status = StatusRow::write(scenario.status);
    let inserted = on!(connection, c => {
        sqlx::query(
            "INSERT INTO scenarios (id, project_id, name, process, feedstock, country, inputs, revision,
                                    status, run_id, rest_status, rest_run_id, version, created_at, updated_at)
             SELECT $1, p.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
             FROM projects p
             WHERE p.id = $2 AND p.owner_id = $16",
        )
        .bind(scenario.id.uuid())
        .bind(scenario.project_id.uuid())
        .bind(scenario.name.as_str())
        .bind(&scenario.pathway.process)
        .bind(&scenario.pathway.feedstock)
        .bind(&scenario.pathway.country)
        .bind(Json(&scenario.inputs))
        .bind(scenario.revision)
        .bind(status.status)
        .bind(status.run_id)
        .bind(status.rest_status)
        .bind(status.rest_run_id)
        .bind(scenario.version)
        .bind(scenario.created_at)
        .bind(scenario.updated_at)
        .bind(user.uuid())
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(inserted == 1)
}

/// One of the user's scenarios.
pub async fn find(connection: &mut Connection, user: UserId, id: ScenarioId) -> Result<Option<Scenario>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT s.id, s.project_id, s.name, s.process, s.feedstock, s.country, s.inputs, s.revision,
                    s.status, s.run_id, s.rest_status, s.rest_run_id, s.version, s.created_at, s.updated_at
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.id = $1 AND p.owner_id = $2",
        )
        .bind(id.uuid())
        .bind(user.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Scenario::try_from).transpose()
}

/// The scenarios of one of the user's projects, oldest first.
pub async fn list(
    connection: &mut Connection,
    user: UserId,
    project: ProjectId,
    skip: i64,
    limit: i64,
) -> Result<Vec<Scenario>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT s.id, s.project_id, s.name, s.process, s.feedstock, s.country, s.inputs, s.revision,
                    s.status, s.run_id, s.rest_status, s.rest_run_id, s.version, s.created_at, s.updated_at
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.project_id = $1 AND p.owner_id = $2
             ORDER BY s.id
             LIMIT $4 OFFSET $3",
        )
        .bind(project.uuid())
        .bind(user.uuid())
        .bind(skip)
        .bind(limit)
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Scenario::try_from).collect()
}

/// How many scenarios the project has.
pub async fn count(connection: &mut Connection, user: UserId, project: ProjectId) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(
            "SELECT COUNT(*)
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.project_id = $1 AND p.owner_id = $2",
        )
        .bind(project.uuid())
        .bind(user.uuid())
        .fetch_one(c)
        .await
    })?)
}

/// Writes a scenario's name, pathway, inputs and revision over version `scenario.version`; `false`
/// when that version is no longer there.
pub async fn update(connection: &mut Connection, scenario: &Scenario, now: Timestamp) -> Result<bool> {
    let changed = on!(connection, c => {
        sqlx::query(
            "UPDATE scenarios
             SET name = $1, process = $2, feedstock = $3, country = $4, inputs = $5, revision = $6,
                 updated_at = $7, version = version + 1
             WHERE id = $8 AND version = $9",
        )
        .bind(scenario.name.as_str())
        .bind(&scenario.pathway.process)
        .bind(&scenario.pathway.feedstock)
        .bind(&scenario.pathway.country)
        .bind(Json(&scenario.inputs))
        .bind(scenario.revision)
        .bind(now)
        .bind(scenario.id.uuid())
        .bind(scenario.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Removes a scenario with its runs, unless one of them is in motion.
pub async fn remove(connection: &mut Connection, user: UserId, id: ScenarioId) -> Result<Removal> {
    let removed = on!(&mut *connection, c => {
        sqlx::query(
            "DELETE FROM scenarios
             WHERE id = $1 AND status <> 'calculating'
               AND project_id IN (SELECT id FROM projects WHERE owner_id = $2)",
        )
        .bind(id.uuid())
        .bind(user.uuid())
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    if removed == 1 {
        return Ok(Removal::Removed);
    }
    let there = find(connection, user, id).await?.is_some();
    Ok(if there { Removal::InMotion } else { Removal::Unknown })
}

/// Moves a scenario of version `version` to `status`; `false` when that version is no longer there.
pub(crate) async fn begin(
    connection: &mut Connection,
    id: ScenarioId,
    version: i64,
    status: Status,
    now: Timestamp,
) -> Result<bool> {
    let status = StatusRow::write(status);
    let changed = on!(connection, c => {
        sqlx::query(
            "UPDATE scenarios
             SET status = $1, run_id = $2, rest_status = $3, rest_run_id = $4, updated_at = $5, version = version + 1
             WHERE id = $6 AND version = $7",
        )
        .bind(status.status)
        .bind(status.run_id)
        .bind(status.rest_status)
        .bind(status.rest_run_id)
        .bind(now)
        .bind(id.uuid())
        .bind(version)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Moves a scenario whose run `run` is in motion to rest; `false` when that run is not in motion.
pub(crate) async fn end(
    connection: &mut Connection,
    id: ScenarioId,
    run: RunId,
    status: Status,
    now: Timestamp,
) -> Result<bool> {
    let status = StatusRow::write(status);
    let changed = on!(connection, c => {
        sqlx::query(
            "UPDATE scenarios
             SET status = $1, run_id = $2, rest_status = NULL, rest_run_id = NULL, updated_at = $3,
                 version = version + 1
             WHERE id = $4 AND run_id = $5 AND status = 'calculating'",
        )
        .bind(status.status)
        .bind(status.run_id)
        .bind(now)
        .bind(id.uuid())
        .bind(run.uuid())
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}
