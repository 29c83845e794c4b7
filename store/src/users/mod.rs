//! Users and their credentials.

mod making;

use safire_domain::{
    Timestamp, UserId,
    name::{Email, GlobalId, Name, ZoneId},
    user::{Access, Role, User},
};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    Connection, Error, Result, Window,
    access::{is_stale, visible_user},
    connection::on,
    obstacles::{Obstacle, clashes},
};

pub use making::{NewUser, create, insert};

const TABLE: &str = "users";

/// How often a write is tried again when another took the same address or id at that moment.
const TRIES: usize = 3;

#[derive(FromRow)]
pub(crate) struct Row {
    pub id: Uuid,
    pub global_id: String,
    pub name: String,
    pub email: Option<String>,
    pub role: String,
    pub zone_id: Option<String>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            global_id: GlobalId::try_from(row.global_id).map_err(|e| Error::corrupt(TABLE, e))?,
            name: Name::try_from(row.name).map_err(|e| Error::corrupt(TABLE, e))?,
            email: row.email.map(Email::try_from).transpose().map_err(|e| Error::corrupt(TABLE, e))?,
            role: role(&row.role)?,
            zone_id: row.zone_id.map(ZoneId::try_from).transpose().map_err(|e| Error::corrupt(TABLE, e))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn role(name: &str) -> Result<Role> {
    Role::from_name(name).ok_or_else(|| Error::corrupt(TABLE, "unknown role"))
}

/// The user with that id.
pub async fn find(connection: &mut Connection, id: UserId) -> Result<Option<User>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT id, global_id, name, email, role, zone_id, version, created_at, updated_at
             FROM users
             WHERE id = $1",
        )
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(User::try_from).transpose()
}

/// The role that the user has now; `None` when there is no such user.
pub async fn find_role(connection: &mut Connection, id: UserId) -> Result<Option<Role>> {
    let name: Option<String> = on!(connection, c => {
        sqlx::query_scalar("SELECT role FROM users WHERE id = $1").bind(id.uuid()).fetch_optional(c).await
    })?;
    name.as_deref().map(role).transpose()
}

/// A user whom the one who asks may see.
pub async fn find_visible(connection: &mut Connection, access: Access, id: UserId) -> Result<Option<User>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT u.id, u.global_id, u.name, u.email, u.role, u.zone_id, u.version, u.created_at, u.updated_at
             FROM users u
             WHERE u.id = $3 AND ", visible_user!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(User::try_from).transpose()
}

/// The users whom the one who asks may see, oldest first; with a zone, its members among them.
pub async fn list(
    connection: &mut Connection,
    access: Access,
    zone: Option<&ZoneId>,
    window: Window<UserId>,
) -> Result<Vec<User>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT u.id, u.global_id, u.name, u.email, u.role, u.zone_id, u.version, u.created_at, u.updated_at
             FROM users u
             WHERE ($3 IS NULL OR u.zone_id = $3) AND u.id > $6 AND ", visible_user!(), "
             ORDER BY u.id
             LIMIT $5 OFFSET $4",
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(zone.map(ZoneId::as_str))
        .bind(window.skip)
        .bind(window.limit)
        .bind(window.above())
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(User::try_from).collect()
}

/// How many users the one who asks may see.
pub async fn count(connection: &mut Connection, access: Access, zone: Option<&ZoneId>) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(concat!(
            "SELECT COUNT(*)
             FROM users u
             WHERE ($3 IS NULL OR u.zone_id = $3) AND ", visible_user!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(zone.map(ZoneId::as_str))
        .fetch_one(c)
        .await
    })?)
}

/// How a change of a user ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    /// It is stored.
    Yes,
    /// The version that was read is no longer there; nothing was written.
    Stale,
    /// Something stands in the way; nothing was written.
    No(Obstacle),
}

/// Writes a user over version `user.version`; credentials stay as they are.
pub async fn update(connection: &mut Connection, user: &User, now: Timestamp) -> Result<Updated> {
    for _ in 0..TRIES {
        let new = user.clone();
        let updated = connection.transaction(|c| Box::pin(try_update(c, new, now))).await;
        match updated {
            Err(Error::Duplicate(_) | Error::Dangling(_)) => {}
            settled => return settled,
        }
    }
    Err(Error::Contended)
}

async fn try_update(connection: &mut Connection, user: User, now: Timestamp) -> Result<Updated> {
    if let Some(clash) = clashes(connection, &[&user]).await?.first() {
        return Ok(Updated::No(clash.obstacle));
    }
    let changed = on!(connection, c => {
        sqlx::query(
            "UPDATE users
             SET global_id = $1, name = $2, email = $3, role = $4, zone_id = $5, updated_at = $6,
                 version = version + 1
             WHERE id = $7 AND version = $8",
        )
        .bind(user.global_id.as_str())
        .bind(user.name.as_str())
        .bind(user.email.as_ref().map(Email::as_str))
        .bind(user.role.as_str())
        .bind(user.zone_id.as_ref().map(ZoneId::as_str))
        .bind(now)
        .bind(user.id.uuid())
        .bind(user.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(if changed == 1 { Updated::Yes } else { Updated::Stale })
}

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Transferred {
    /// The user, now in the zone.
    Yes(Box<User>),
    /// There is no such zone; the user stays where they were.
    NoSuchZone,
    /// There is no such user.
    Unknown,
}

/// Moves a user to a zone, or out of all zones.
pub async fn transfer(
    connection: &mut Connection,
    id: UserId,
    zone: Option<ZoneId>,
    now: Timestamp,
) -> Result<Transferred> {
    let moved = connection.transaction(|c| Box::pin(try_transfer(c, id, zone, now))).await;
    match moved {
        Err(Error::Dangling(_)) => Ok(Transferred::NoSuchZone),
        settled => settled,
    }
}

async fn try_transfer(
    connection: &mut Connection,
    id: UserId,
    zone: Option<ZoneId>,
    now: Timestamp,
) -> Result<Transferred> {
    on!(&mut *connection, c => {
        sqlx::query(
            "UPDATE users
             SET zone_id = $1, updated_at = $2, version = version + 1
             WHERE id = $3",
        )
        .bind(zone.as_ref().map(ZoneId::as_str))
        .bind(now)
        .bind(id.uuid())
        .execute(c)
        .await
        .map(drop)
    })?;
    let user = find(connection, id).await?;
    Ok(user.map_or(Transferred::Unknown, |user| Transferred::Yes(Box::new(user))))
}

/// How the removal of a user ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRemoval {
    /// Gone.
    Removed,
    /// The user has none of the versions that were expected; nothing was removed.
    Stale,
    /// The user owns projects; nothing was removed.
    OwnsProjects,
    /// There was no such user.
    Unknown,
}

/// Removes a user who owns no projects; with `expected`, only one who has one of these versions.
pub async fn remove(connection: &mut Connection, id: UserId, expected: Option<Vec<i64>>) -> Result<UserRemoval> {
    match connection.transaction(move |c| Box::pin(try_to_remove(c, id, expected))).await {
        // A project that was made at that moment.
        Err(Error::Dangling(_)) => Ok(UserRemoval::OwnsProjects),
        settled => settled,
    }
}

async fn try_to_remove(connection: &mut Connection, id: UserId, expected: Option<Vec<i64>>) -> Result<UserRemoval> {
    let version: Option<i64> = on!(&mut *connection, c => {
        sqlx::query_scalar("UPDATE users SET version = version WHERE id = $1 RETURNING version")
            .bind(id.uuid())
            .fetch_optional(c)
            .await
    })?;
    let Some(version) = version else { return Ok(UserRemoval::Unknown) };
    if is_stale(expected.as_deref(), version) {
        return Ok(UserRemoval::Stale);
    }
    let removed = on!(connection, c => {
        sqlx::query(
            "DELETE FROM users
             WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM projects WHERE owner_id = $1)",
        )
        .bind(id.uuid())
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(if removed == 1 { UserRemoval::Removed } else { UserRemoval::OwnsProjects })
}

/// The user who signs in with `email`, and the hash of the password.
pub async fn credentials(connection: &mut Connection, email: &Email) -> Result<Option<(User, String)>> {
    let row: Option<(Uuid, Option<String>)> = on!(connection, c => {
        sqlx::query_as("SELECT id, password_hash FROM users WHERE email = $1")
            .bind(email.as_str())
            .fetch_optional(c)
            .await
    })?;
    let Some((id, Some(hash))) = row else { return Ok(None) };
    Ok(find(connection, id.into()).await?.map(|user| (user, hash)))
}

/// Whether there is an administrator.
pub async fn has_admin(connection: &mut Connection) -> Result<bool> {
    let admins: i64 = on!(connection, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE role = 'admin'").fetch_one(c).await
    })?;
    Ok(admins > 0)
}

/// Global id and name of the users whom the one who asks may see.
pub async fn names(connection: &mut Connection, access: Access) -> Result<Vec<(String, String)>> {
    Ok(on!(connection, c => {
        sqlx::query_as(concat!("SELECT u.global_id, u.name FROM users u WHERE ", visible_user!(), " ORDER BY u.global_id"))
            .bind(access.user.uuid())
            .bind(access.is_admin())
            .fetch_all(c)
            .await
    })?)
}

/// Users of one role in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their role.
    pub role: Role,
    /// Their zone.
    pub zone_id: Option<String>,
    /// How many they are.
    pub users: i64,
    /// How many of them can sign in.
    pub with_credentials: i64,
}

/// The users whom the one who asks may see, counted by role and zone.
pub async fn groups(connection: &mut Connection, access: Access) -> Result<Vec<Group>> {
    let rows: Vec<(String, Option<String>, i64, i64)> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT u.role, u.zone_id, COUNT(*), COUNT(u.password_hash)
             FROM users u
             WHERE ", visible_user!(), "
             GROUP BY u.role, u.zone_id
             ORDER BY u.role, u.zone_id",
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .fetch_all(c)
        .await
    })?;
    let group = |(name, zone_id, users, with_credentials): (String, _, _, _)| {
        Ok(Group { role: role(&name)?, zone_id, users, with_credentials })
    };
    rows.into_iter().map(group).collect()
}
