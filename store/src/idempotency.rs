//! What requests with an Idempotency-Key made: kept in the transaction that made it, for a day.

use chrono::TimeDelta;
use futures::future::BoxFuture;
use safire_domain::{Timestamp, UserId};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::FromRow;

use crate::{Connection, Error, Result, connection::on};

/// How long a key is remembered.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// A request that its sender named, so as to send it again if the answer is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Who sent it; another user's key of the same name is another key.
    pub user: UserId,
    /// The name that the sender gave.
    pub name: String,
    /// Tells the same request from another under the same name.
    pub digest: String,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// Nothing: it is to be done.
    New,
    /// What it made.
    Done(T),
    /// Another request had this key.
    Other,
    /// It is being done at this moment, in another process.
    InProgress,
}

#[derive(FromRow)]
struct Row {
    digest: String,
    answer: String,
    created_at: Timestamp,
}

/// Looks a request up, and keeps others of the same key out until the transaction ends.
pub async fn look_up<T: DeserializeOwned>(
    connection: &mut Connection,
    key: Option<&Key>,
    now: Timestamp,
) -> Result<Known<T>> {
    let Some(key) = key else { return Ok(Known::New) };
    if !lock(connection, key).await? {
        return Ok(Known::InProgress);
    }
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as("SELECT digest, answer, created_at FROM idempotency_keys WHERE user_id = $1 AND key = $2")
            .bind(key.user.uuid())
            .bind(&key.name)
            .fetch_optional(c)
            .await
    })?;
    match row {
        Some(row) if row.created_at > now - KEPT => {
            if row.digest != key.digest {
                return Ok(Known::Other);
            }
            let answer = serde_json::from_str(&row.answer).map_err(|e| Error::corrupt("idempotency_keys", e))?;
            Ok(Known::Done(answer))
        }
        _ => Ok(Known::New),
    }
}

/// SQLite's transactions take turns already.
async fn lock(connection: &mut Connection, key: &Key) -> Result<bool> {
    match connection {
        Connection::Sqlite(_) => Ok(true),
        Connection::Postgres(c) => {
            let name = format!("{}/{}", key.user, key.name);
            let locked = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))");
            Ok(locked.bind(name).fetch_one(c).await?)
        }
    }
}

/// Remembers what a request made, and forgets the user's requests of the day before.
pub async fn remember<T: Serialize>(
    connection: &mut Connection,
    key: Option<&Key>,
    made: &T,
    now: Timestamp,
) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    let answer = serde_json::to_string(made).map_err(|e| Error::corrupt("idempotency_keys", e))?;
    on!(&mut *connection, c => {
        sqlx::query("DELETE FROM idempotency_keys WHERE user_id = $1 AND created_at <= $2")
            .bind(key.user.uuid())
            .bind(now - KEPT)
            .execute(c)
            .await
            .map(drop)
    })?;
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO idempotency_keys (user_id, key, digest, answer, created_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(key.user.uuid())
        .bind(&key.name)
        .bind(&key.digest)
        .bind(&answer)
        .bind(now)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// How a request ended that is done at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once<T, R> {
    /// What it made, now or when it was first sent.
    Made(T),
    /// Nothing was made, nor remembered.
    Refused(R),
    /// Another request had this key; nothing was made.
    Other,
    /// It is being done at this moment; nothing was made by this one.
    InProgress,
}

/// Does `work` in one transaction, unless the key says that it was done: then it gives what it gave.
pub async fn once<T, R, W>(connection: &mut Connection, key: Option<Key>, now: Timestamp, work: W) -> Result<Once<T, R>>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    R: Send + 'static,
    W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<std::result::Result<T, R>>> + Send + 'static,
{
    connection
        .transaction(move |c| {
            Box::pin(async move {
                match look_up(c, key.as_ref(), now).await? {
                    Known::New => {}
                    Known::Done(made) => return Ok(Once::Made(made)),
                    Known::Other => return Ok(Once::Other),
                    Known::InProgress => return Ok(Once::InProgress),
                }
                match work(c).await? {
                    Ok(made) => {
                        remember(c, key.as_ref(), &made, now).await?;
                        Ok(Once::Made(made))
                    }
                    Err(refused) => Ok(Once::Refused(refused)),
                }
            })
        })
        .await
}
