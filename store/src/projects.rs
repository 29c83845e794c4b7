//! Projects. Every function takes the user who asks: another's project does not exist for them.

use safire_domain::{
    ProjectId, Timestamp, UserId,
    name::{Description, Name},
    project::Project,
};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Connection, Error, Result, connection::on};

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

/// One of the user's projects.
pub async fn find(connection: &mut Connection, user: UserId, id: ProjectId) -> Result<Option<Project>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT id, owner_id, name, description, version, created_at, updated_at
             FROM projects
             WHERE id = $1 AND owner_id = $2",
        )
        .bind(id.uuid())
        .bind(user.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Project::try_from).transpose()
}

/// The user's projects, newest first.
pub async fn list(connection: &mut Connection, user: UserId, skip: i64, limit: i64) -> Result<Vec<Project>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT id, owner_id, name, description, version, created_at, updated_at
             FROM projects
             WHERE owner_id = $1
             ORDER BY id DESC
             LIMIT $3 OFFSET $2",
        )
        .bind(user.uuid())
        .bind(skip)
        .bind(limit)
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Project::try_from).collect()
}

/// How many projects the user has.
pub async fn count(connection: &mut Connection, user: UserId) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM projects WHERE owner_id = $1")
            .bind(user.uuid())
            .fetch_one(c)
            .await
    })?)
}

/// Writes a project's name and description over version `project.version`; `false` when that
/// version is no longer there.
pub async fn update(connection: &mut Connection, user: UserId, project: &Project, now: Timestamp) -> Result<bool> {
    let changed = on!(connection, c => {
        sqlx::query(
            "UPDATE projects
             SET name = $1, description = $2, updated_at = $3, version = version + 1
             WHERE id = $4 AND owner_id = $5 AND version = $6",
        )
        .bind(project.name.as_str())
        .bind(project.description.as_str())
        .bind(now)
        .bind(project.id.uuid())
        .bind(user.uuid())
        .bind(project.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// How a removal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Gone, with everything below it.
    Removed,
    /// A calculation is in motion below it; nothing was removed.
    InMotion,
    /// There was nothing to remove.
    Unknown,
}

/// Removes a project with its scenarios and their runs, unless one of them is in motion.
pub async fn remove(connection: &mut Connection, user: UserId, id: ProjectId) -> Result<Removal> {
    let removed = on!(&mut *connection, c => {
        sqlx::query(
            "DELETE FROM projects
             WHERE id = $1 AND owner_id = $2
               AND NOT EXISTS (SELECT 1 FROM scenarios WHERE project_id = $1 AND status = 'calculating')",
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
