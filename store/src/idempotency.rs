//! Requests that are done once, however often they arrive.
//!
//! The key is stored in the transaction that does the work: either both are there or neither is.

use chrono::TimeDelta;
use futures::future::BoxFuture;
use safire_domain::{Timestamp, UserId};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::types::Json;

use crate::{Connection, Error, Result, connection::on};

/// How long a request is remembered.
pub const MEMORY: TimeDelta = TimeDelta::hours(24);

/// What tells one request from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Who asks.
    pub user: UserId,
    /// The key that the client chose.
    pub key: String,
    /// A digest of method, path and body.
    pub digest: String,
}

/// How a request with a key was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once<T> {
    /// It was new, and was done.
    First(T),
    /// It had been done; this is what it gave then.
    Again(T),
    /// The key belongs to another request; nothing was done.
    Other,
}

/// Does `work` in one transaction, or finds what it gave before. Without a key it is always done.
pub async fn once<T, W>(connection: &mut Connection, key: Option<Key>, now: Timestamp, work: W) -> Result<Once<T>>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T>> + Send + 'static,
{
    connection.transaction(move |c| Box::pin(once_within(c, key, now, work))).await
}

async fn once_within<T, W>(connection: &mut Connection, key: Option<Key>, now: Timestamp, work: W) -> Result<Once<T>>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T>> + Send + 'static,
{
    let Some(key) = key else { return work(connection).await.map(Once::First) };
    forget(connection, now).await?;
    if !claim(connection, &key, now).await? {
        return recall(connection, &key).await;
    }
    let answer = work(connection).await?;
    remember(connection, &key, &answer).await?;
    Ok(Once::First(answer))
}

async fn forget(connection: &mut Connection, now: Timestamp) -> Result<()> {
    on!(connection, c => {
        sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1").bind(now - MEMORY).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Writes the key; `false` when it is there. PostgreSQL waits here for whoever is writing it now.
async fn claim(connection: &mut Connection, key: &Key, now: Timestamp) -> Result<bool> {
    let claimed = on!(connection, c => {
        sqlx::query(
            "INSERT INTO idempotency_keys (user_id, key, digest, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(key.user.uuid())
        .bind(&key.key)
        .bind(&key.digest)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(claimed == 1)
}

/// A value in an object of its own: JSONB columns hold objects.
#[derive(Serialize, serde::Deserialize)]
struct Answer<T> {
    value: T,
}

async fn remember<T: Serialize + Send>(connection: &mut Connection, key: &Key, value: &T) -> Result<()> {
    let answer = serde_json::to_value(Answer { value }).map_err(|e| Error::corrupt("idempotency_keys", e))?;
    on!(connection, c => {
        sqlx::query("UPDATE idempotency_keys SET answer = $1 WHERE user_id = $2 AND key = $3")
            .bind(Json(answer))
            .bind(key.user.uuid())
            .bind(&key.key)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

async fn recall<T: DeserializeOwned>(connection: &mut Connection, key: &Key) -> Result<Once<T>> {
    let found: Option<(String, Option<Json<serde_json::Value>>)> = on!(connection, c => {
        sqlx::query_as("SELECT digest, answer FROM idempotency_keys WHERE user_id = $1 AND key = $2")
            .bind(key.user.uuid())
            .bind(&key.key)
            .fetch_optional(c)
            .await
    })?;
    let Some((digest, answer)) = found else { return Err(Error::Contended) };
    if digest != key.digest {
        return Ok(Once::Other);
    }
    let Some(Json(answer)) = answer else { return Err(Error::Contended) };
    let answer: Answer<T> = serde_json::from_value(answer).map_err(|e| Error::corrupt("idempotency_keys", e))?;
    Ok(Once::Again(answer.value))
}
