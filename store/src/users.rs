//! Users and their credentials.

use safire_domain::{
    Timestamp, UserId,
    name::{Email, Name},
    user::{Role, User},
};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Connection, Error, Result, connection::on};

const TABLE: &str = "users";

#[derive(FromRow)]
struct Row {
    id: Uuid,
    global_id: String,
    name: String,
    email: Option<String>,
    role: String,
    created_at: Timestamp,
}

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            global_id: row.global_id,
            name: Name::try_from(row.name).map_err(|e| Error::corrupt(TABLE, e))?,
            email: row.email.map(Email::try_from).transpose().map_err(|e| Error::corrupt(TABLE, e))?,
            role: Role::from_name(&row.role).ok_or_else(|| Error::corrupt(TABLE, "unknown role"))?,
            created_at: row.created_at,
        })
    }
}

/// Stores a new user; the e-mail address and the global id must be free.
pub async fn insert(connection: &mut Connection, user: &User, password_hash: Option<&str>) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO users (id, global_id, name, email, password_hash, role, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(user.id.uuid())
        .bind(&user.global_id)
        .bind(user.name.as_str())
        .bind(user.email.as_ref().map(Email::as_str))
        .bind(password_hash)
        .bind(user.role.as_str())
        .bind(user.created_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// The user with that id.
pub async fn find(connection: &mut Connection, id: UserId) -> Result<Option<User>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT id, global_id, name, email, role, created_at
             FROM users
             WHERE id = $1",
        )
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(User::try_from).transpose()
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
