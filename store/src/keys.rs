//! Personal API keys. A key is known by its hash; revoked keys are kept, and found no more.

use safire_domain::{KeyId, Timestamp, UserId, key::ApiKey, name::Name, user::User};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Connection, Error, Result, connection::on, users};

#[derive(FromRow)]
struct Row {
    id: Uuid,
    name: String,
    prefix: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

impl TryFrom<Row> for ApiKey {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            name: Name::try_from(row.name).map_err(|e| Error::corrupt("api_keys", e))?,
            prefix: row.prefix,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// Stores a new key; `false` when the user has `most` of them already.
///
/// The user's row is written first, so that keys made at once take turns and each counts the others.
pub async fn insert(connection: &mut Connection, user: UserId, key: &ApiKey, hash: &str, most: i64) -> Result<bool> {
    let (key, hash) = (key.clone(), hash.to_owned());
    connection
        .transaction(move |c| {
            Box::pin(async move {
                lock(c, user).await?;
                insert_below(c, user, &key, &hash, most).await
            })
        })
        .await
}

async fn lock(connection: &mut Connection, user: UserId) -> Result<()> {
    on!(connection, c => {
        sqlx::query("UPDATE users SET name = name WHERE id = $1").bind(user.uuid()).execute(c).await.map(drop)
    })?;
    Ok(())
}

async fn insert_below(connection: &mut Connection, user: UserId, key: &ApiKey, hash: &str, most: i64) -> Result<bool> {
    let inserted = on!(connection, c => {
        sqlx::query(
            "INSERT INTO api_keys (id, user_id, name, prefix, hash, created_at)
             SELECT $1, $2, $3, $4, $5, $6
             WHERE (SELECT COUNT(*) FROM api_keys WHERE user_id = $2 AND revoked_at IS NULL) < $7",
        )
        .bind(key.id.uuid())
        .bind(user.uuid())
        .bind(key.name.as_str())
        .bind(&key.prefix)
        .bind(hash)
        .bind(key.created_at)
        .bind(most)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(inserted == 1)
}

/// The user's keys that are not revoked, newest first.
pub async fn list(connection: &mut Connection, user: UserId) -> Result<Vec<ApiKey>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT id, name, prefix, created_at, last_used_at
             FROM api_keys
             WHERE user_id = $1 AND revoked_at IS NULL
             ORDER BY id DESC",
        )
        .bind(user.uuid())
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// Whose key it is, and when it was last seen in use.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// The user.
    pub user: User,
    /// The key.
    pub key: KeyId,
    /// When it was last recorded as used.
    pub last_used_at: Option<Timestamp>,
}

/// Who holds the key with that hash.
pub async fn holder(connection: &mut Connection, hash: &str) -> Result<Option<Holder>> {
    let row: Option<(Uuid, Uuid, Option<Timestamp>)> = on!(&mut *connection, c => {
        sqlx::query_as("SELECT id, user_id, last_used_at FROM api_keys WHERE hash = $1 AND revoked_at IS NULL")
            .bind(hash)
            .fetch_optional(c)
            .await
    })?;
    let Some((key, user, last_used_at)) = row else { return Ok(None) };
    let user = users::find(connection, user.into()).await?;
    Ok(user.map(|user| Holder { user, key: key.into(), last_used_at }))
}

/// Records that a key was used.
pub async fn touch(connection: &mut Connection, key: KeyId, now: Timestamp) -> Result<()> {
    on!(connection, c => {
        sqlx::query("UPDATE api_keys SET last_used_at = $2 WHERE id = $1")
            .bind(key.uuid())
            .bind(now)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Revokes one of the user's keys; `false` when there is no such key any more.
pub async fn revoke(connection: &mut Connection, user: UserId, key: KeyId, now: Timestamp) -> Result<bool> {
    let revoked = on!(connection, c => {
        sqlx::query("UPDATE api_keys SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL")
            .bind(key.uuid())
            .bind(user.uuid())
            .bind(now)
            .execute(c)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(revoked == 1)
}
