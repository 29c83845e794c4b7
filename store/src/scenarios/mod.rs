//! Scenarios: whoever may see or change their project may see or change them.

mod making;

use safire_domain::{
    ProjectId, RunId, ScenarioId, Timestamp,
    comparison::MOST,
    engine::InputDocument,
    event::{Kind, NewEvent},
    lifecycle::{Rest, Status, StatusName},
    name::Name,
    scenario::{Pathway, Scenario},
    user::Access,
};
use serde_json::{Map, Value, json};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{
    Connection, Error, Result, Window,
    access::{Removal, Right, Written, is_stale, readable, writable, writer},
    connection::on,
    events,
};

pub(crate) use making::insert_all;
pub use making::{insert, insert_batch};

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

/// A scenario with the user whose project it is in.
#[derive(FromRow)]
struct Owned {
    #[sqlx(flatten)]
    scenario: Row,
    owner_id: Uuid,
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

/// What is told of a scenario that was made or changed.
fn told(scenario: &Scenario) -> Map<String, Value> {
    let Pathway { process, feedstock, country } = &scenario.pathway;
    let told = [
        ("name", json!(scenario.name)),
        ("process", json!(process)),
        ("feedstock", json!(feedstock)),
        ("country", json!(country)),
        ("revision", json!(scenario.revision)),
    ];
    told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A scenario that the user may see.
pub async fn find(connection: &mut Connection, access: Access, id: ScenarioId) -> Result<Option<Scenario>> {
    Ok(find_with_right(connection, access, id).await?.map(|(scenario, _)| scenario))
}

/// A scenario that the user may see, and what they may do with it.
pub async fn find_with_right(
    connection: &mut Connection,
    access: Access,
    id: ScenarioId,
) -> Result<Option<(Scenario, Right)>> {
    let Some(Owned { scenario, owner_id }) = find_owned(connection, access, id).await? else { return Ok(None) };
    Ok(Some((scenario.try_into()?, Right::over(access, Some(owner_id)))))
}

async fn find_owned(connection: &mut Connection, access: Access, id: ScenarioId) -> Result<Option<Owned>> {
    Ok(on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT s.id, s.project_id, s.name, s.process, s.feedstock, s.country, s.inputs, s.revision,
                    s.status, s.run_id, s.rest_status, s.rest_run_id, s.version, s.created_at, s.updated_at,
                    p.owner_id
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.id = $3 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?)
}

/// What the user may do with a scenario.
async fn right(connection: &mut Connection, access: Access, id: ScenarioId) -> Result<Right> {
    Ok(find_with_right(connection, access, id).await?.map_or(Right::None, |(_, right)| right))
}

/// The scenarios of a project that the user may see, oldest first.
pub async fn list(
    connection: &mut Connection,
    access: Access,
    project: ProjectId,
    window: Window<ScenarioId>,
) -> Result<Vec<Scenario>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT s.id, s.project_id, s.name, s.process, s.feedstock, s.country, s.inputs, s.revision,
                    s.status, s.run_id, s.rest_status, s.rest_run_id, s.version, s.created_at, s.updated_at
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.project_id = $3 AND s.id > $6 AND ", readable!(), "
             ORDER BY s.id
             LIMIT $5 OFFSET $4",
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(project.uuid())
        .bind(window.skip)
        .bind(window.limit)
        .bind(window.above())
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Scenario::try_from).collect()
}

/// How many scenarios the project has.
pub async fn count(connection: &mut Connection, access: Access, project: ProjectId) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(concat!(
            "SELECT COUNT(*)
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.project_id = $3 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(project.uuid())
        .fetch_one(c)
        .await
    })?)
}

/// Writes a scenario's name, pathway, inputs and revision over version `scenario.version`, and tells of it.
pub async fn update(
    connection: &mut Connection,
    access: Access,
    scenario: &Scenario,
    now: Timestamp,
) -> Result<Written> {
    let scenario = scenario.clone();
    connection.transaction(move |c| Box::pin(async move { update_within(c, access, &scenario, now).await })).await
}

pub(crate) async fn update_within(
    connection: &mut Connection,
    access: Access,
    scenario: &Scenario,
    now: Timestamp,
) -> Result<Written> {
    let changed = on!(&mut *connection, c => {
        sqlx::query(concat!(
            "UPDATE scenarios
             SET name = $3, process = $4, feedstock = $5, country = $6, inputs = $7, revision = $8,
                 updated_at = $9, version = version + 1
             WHERE id = $10 AND version = $11
               AND EXISTS (SELECT 1 FROM projects p WHERE p.id = scenarios.project_id AND ", writable!(), ")",
        ))
        .bind(writer(access))
        .bind(access.is_admin())
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
    if changed == 1 {
        events::append_of_scenario(connection, Kind::Changed, scenario.id, None, told(scenario), now).await?;
        return Ok(Written::Yes);
    }
    Ok(Written::refused(right(connection, access, scenario.id).await?))
}

/// Removes a scenario with its runs, unless one of them is in motion, and tells of it; with `expected`, only one that has
/// one of these versions.
pub async fn remove(
    connection: &mut Connection,
    access: Access,
    id: ScenarioId,
    expected: Option<Vec<i64>>,
    now: Timestamp,
) -> Result<Removal> {
    connection.transaction(move |c| Box::pin(remove_within(c, access, id, expected, now))).await
}

async fn remove_within(
    connection: &mut Connection,
    access: Access,
    id: ScenarioId,
    expected: Option<Vec<i64>>,
    now: Timestamp,
) -> Result<Removal> {
    let right = right(connection, access, id).await?;
    if right != Right::Write {
        return Ok(Removal::refused(right));
    }
    // Whoever accepts a run of it waits, or is waited for: then that run is seen below.
    lock(connection, id).await?;
    let Some(Owned { scenario, owner_id }) = find_owned(connection, access, id).await? else {
        return Ok(Removal::Unknown);
    };
    if is_stale(expected.as_deref(), scenario.version) {
        return Ok(Removal::Stale);
    }
    let version: Option<i64> = on!(&mut *connection, c => {
        sqlx::query_scalar(concat!(
            "DELETE FROM scenarios
             WHERE id = $3
               AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.scenario_id = scenarios.id AND r.state IN ('queued', 'running'))
               AND EXISTS (SELECT 1 FROM projects p WHERE p.id = scenarios.project_id AND ", writable!(), ")
             RETURNING version",
        ))
        .bind(writer(access))
        .bind(access.is_admin())
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    if version.is_none() {
        return Ok(Removal::refused(right));
    }
    let removed = NewEvent {
        owner: Some(owner_id.into()),
        project: Some(scenario.project_id.into()),
        scenario: Some(id),
        version,
        ..NewEvent::new(Kind::Deleted, now)
    };
    events::append(connection, &removed).await?;
    Ok(Removal::Removed)
}

/// Keeps a scenario as it is until the transaction ends; `false` when it is no longer there.
pub(crate) async fn lock(connection: &mut Connection, id: ScenarioId) -> Result<bool> {
    let locked = on!(connection, c => {
        sqlx::query("UPDATE scenarios SET version = version WHERE id = $1")
            .bind(id.uuid())
            .execute(c)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(locked == 1)
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

/// Those of the scenarios that the user may see, in the order of `ids`; of more than [`MOST`] the rest is
/// left out.
pub(crate) async fn find_all(connection: &mut Connection, access: Access, ids: &[ScenarioId]) -> Result<Vec<Scenario>> {
    let Some(last) = ids.last() else { return Ok(Vec::new()) };
    let rows: Vec<Row> = on!(connection, c => {
        let mut query = sqlx::query_as(concat!(
            "SELECT s.id, s.project_id, s.name, s.process, s.feedstock, s.country, s.inputs, s.revision,
                    s.status, s.run_id, s.rest_status, s.rest_run_id, s.version, s.created_at, s.updated_at
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.id IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                            $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin());
        for place in 0..MOST {
            query = query.bind(ids.get(place).unwrap_or(last).uuid());
        }
        query.fetch_all(c).await
    })?;
    let mut found = rows.into_iter().map(Scenario::try_from).collect::<Result<Vec<_>>>()?;
    found.sort_by_key(|scenario| ids.iter().position(|id| *id == scenario.id));
    Ok(found)
}
