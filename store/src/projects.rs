//! Projects. Every function takes the access of who asks: see [`crate::access`].

use safire_domain::{
    ProjectId, Timestamp,
    event::Kind,
    name::{Description, Name},
    project::Project,
    user::Access,
};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    Connection, Error, Result, Window,
    access::{Removal, Right, Written, is_stale, readable, visible_owners, writable, writer},
    connection::on,
    events,
};

const TABLE: &str = "projects";

#[derive(FromRow)]
struct Row {
    id: Uuid,
    owner_id: Uuid,
    name: String,
    description: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Project {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            owner_id: row.owner_id.into(),
            name: Name::try_from(row.name).map_err(|e| Error::corrupt(TABLE, e))?,
            description: Description::try_from(row.description).map_err(|e| Error::corrupt(TABLE, e))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores a new project.
pub async fn insert(connection: &mut Connection, project: &Project) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO projects (id, owner_id, name, description, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(project.id.uuid())
        .bind(project.owner_id.uuid())
        .bind(project.name.as_str())
        .bind(project.description.as_str())
        .bind(project.version)
        .bind(project.created_at)
        .bind(project.updated_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// A project that the user may see.
pub async fn find(connection: &mut Connection, access: Access, id: ProjectId) -> Result<Option<Project>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT p.id, p.owner_id, p.name, p.description, p.version, p.created_at, p.updated_at
             FROM projects p
             WHERE p.id = $3 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Project::try_from).transpose()
}

/// What the user may do with a project.
pub async fn right(connection: &mut Connection, access: Access, id: ProjectId) -> Result<Right> {
    let owner: Option<Uuid> = on!(connection, c => {
        sqlx::query_scalar(concat!("SELECT p.owner_id FROM projects p WHERE p.id = $3 AND ", readable!()))
            .bind(access.user.uuid())
            .bind(access.is_admin())
            .bind(id.uuid())
            .fetch_optional(c)
            .await
    })?;
    Ok(Right::over(access, owner))
}

/// The same, and the project stays until the transaction ends.
pub(crate) async fn right_for_share(connection: &mut Connection, access: Access, id: ProjectId) -> Result<Right> {
    if let Connection::Postgres(c) = connection {
        // SQLite's transactions take turns already.
        sqlx::query("SELECT 1 FROM projects WHERE id = $1 FOR KEY SHARE").bind(id.uuid()).execute(c).await?;
    }
    right(connection, access, id).await
}

/// The texts of lists: one for administrators, who see everything, and one for others on each engine.
/// PostgreSQL takes an average zone's projects for too many to look up one by one and reads the whole
/// table, unless the owners come as an array.
struct Texts {
    all: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

macro_rules! texts {
    ($select:literal, $rest:literal) => {
        Texts {
            all: concat!($select, " WHERE $1 IS NOT NULL", $rest),
            postgres: concat!($select, " WHERE owner_id = ANY (ARRAY ", visible_owners!(), ")", $rest),
            sqlite: concat!($select, " WHERE owner_id IN ", visible_owners!(), $rest),
        }
    };
}

impl Texts {
    fn of(&self, connection: &Connection, access: Access) -> &'static str {
        match connection {
            _ if access.is_admin() => self.all,
            Connection::Postgres(_) => self.postgres,
            Connection::Sqlite(_) => self.sqlite,
        }
    }
}

const LIST: Texts = texts!(
    "SELECT id, owner_id, name, description, version, created_at, updated_at
     FROM projects",
    " AND id < $4
     ORDER BY id DESC
     LIMIT $3 OFFSET $2"
);
const COUNT: Texts = texts!("SELECT COUNT(*) FROM projects", "");

/// The projects that the user may see, newest first.
pub async fn list(connection: &mut Connection, access: Access, window: Window<ProjectId>) -> Result<Vec<Project>> {
    let sql = LIST.of(connection, access);
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(sql)
            .bind(access.user.uuid())
            .bind(window.skip)
            .bind(window.limit)
            .bind(window.below())
            .fetch_all(c)
            .await
    })?;
    rows.into_iter().map(Project::try_from).collect()
}

/// How many projects the user may see.
pub async fn count(connection: &mut Connection, access: Access) -> Result<i64> {
    let sql = COUNT.of(connection, access);
    Ok(on!(connection, c => sqlx::query_scalar(sql).bind(access.user.uuid()).fetch_one(c).await)?)
}

/// Writes a project's name and description over version `project.version`.
pub async fn update(connection: &mut Connection, access: Access, project: &Project, now: Timestamp) -> Result<Written> {
    let changed = on!(&mut *connection, c => {
        sqlx::query(concat!(
            "UPDATE projects AS p
             SET name = $3, description = $4, updated_at = $5, version = version + 1
             WHERE p.id = $6 AND p.version = $7 AND ", writable!(),
        ))
        .bind(writer(access))
        .bind(access.is_admin())
        .bind(project.name.as_str())
        .bind(project.description.as_str())
        .bind(now)
        .bind(project.id.uuid())
        .bind(project.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    if changed == 1 {
        return Ok(Written::Yes);
    }
    Ok(Written::refused(right(connection, access, project.id).await?))
}

/// Removes a project with its scenarios and their runs, unless one of them is in motion, and tells of it; with
/// `expected`, only one that has one of these versions.
pub async fn remove(
    connection: &mut Connection,
    access: Access,
    id: ProjectId,
    expected: Option<Vec<i64>>,
    now: Timestamp,
) -> Result<Removal> {
    connection.transaction(move |c| Box::pin(remove_within(c, access, id, expected, now))).await
}

async fn remove_within(
    connection: &mut Connection,
    access: Access,
    id: ProjectId,
    expected: Option<Vec<i64>>,
    now: Timestamp,
) -> Result<Removal> {
    let right = right(connection, access, id).await?;
    if right != Right::Write {
        return Ok(Removal::refused(right));
    }
    let Some(version) = lock(connection, id).await? else { return Ok(Removal::Unknown) };
    if is_stale(expected.as_deref(), version) {
        return Ok(Removal::Stale);
    }
    if is_in_motion(connection, id).await? {
        return Ok(Removal::InMotion);
    }
    events::append_of_project(connection, Kind::Deleted, id, now).await?;
    let removed = on!(connection, c => {
        sqlx::query(concat!(
            "DELETE FROM projects AS p
             WHERE p.id = $3
               AND NOT EXISTS (
                   SELECT 1
                   FROM runs r
                   JOIN scenarios s ON s.id = r.scenario_id
                   WHERE s.project_id = p.id AND r.state IN ('queued', 'running'))
               AND ", writable!(),
        ))
        .bind(writer(access))
        .bind(access.is_admin())
        .bind(id.uuid())
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    match removed {
        1 => Ok(Removal::Removed),
        // A calculation was accepted at this moment, or somebody else removed it: nothing was told.
        _ => Err(Error::Contended),
    }
}

/// The version of a project, which nobody else changes until the transaction ends.
async fn lock(connection: &mut Connection, id: ProjectId) -> Result<Option<i64>> {
    Ok(on!(connection, c => {
        sqlx::query_scalar("UPDATE projects SET version = version WHERE id = $1 RETURNING version")
            .bind(id.uuid())
            .fetch_optional(c)
            .await
    })?)
}

async fn is_in_motion(connection: &mut Connection, id: ProjectId) -> Result<bool> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(
            "SELECT EXISTS (
                 SELECT 1
                 FROM runs r
                 JOIN scenarios s ON s.id = r.scenario_id
                 WHERE s.project_id = $1 AND r.state IN ('queued', 'running'))",
        )
        .bind(id.uuid())
        .fetch_one(c)
        .await
    })?)
}
