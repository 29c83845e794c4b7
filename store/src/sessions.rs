//! Sessions: a sign-in, and the chain of refresh tokens that follow from it.
//!
//! A refresh token is used once and names its successor. Everything that changes a session first
//! writes its row, so that those who change it take turns: on PostgreSQL they wait for the row, on
//! SQLite for the file.

use safire_domain::{SessionId, Timestamp, UserId, user::User};
use uuid::Uuid;

use crate::{Connection, Error, Result, connection::on, users};

/// A refresh token, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The SHA-256 of the token.
    pub hash: String,
    /// From when on it is no longer taken.
    pub expires_at: Timestamp,
}

/// How a rotation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Rotation {
    /// The token was used now, and `successor` is stored.
    Rotated {
        /// Whose session it is.
        user: User,
        /// Which session.
        session: SessionId,
        /// The token that now stands.
        successor: Token,
    },
    /// The token was used a moment ago and its successor is still unused: the same one again.
    Repeated {
        /// Whose session it is.
        user: User,
        /// Which session.
        session: SessionId,
        /// The token that stood already.
        successor: Token,
    },
    /// The token had been used before: the session is revoked now.
    Reused {
        /// Whose session it was.
        user: UserId,
        /// Which session.
        session: SessionId,
    },
    /// No such token, or its session is over.
    Refused,
}

/// Stores a new session with its first token, and removes the user's sessions that are over.
pub async fn begin(
    connection: &mut Connection,
    user: UserId,
    session: SessionId,
    first: Token,
    now: Timestamp,
) -> Result<()> {
    connection
        .transaction(move |c| {
            Box::pin(async move {
                remove_expired(c, user, now).await?;
                on!(&mut *c, c => {
                    sqlx::query(
                        "INSERT INTO sessions (id, user_id, created_at, used_at, expires_at)
                         VALUES ($1, $2, $3, $3, $4)",
                    )
                    .bind(session.uuid())
                    .bind(user.uuid())
                    .bind(now)
                    .bind(first.expires_at)
                    .execute(c)
                    .await
                    .map(drop)
                })?;
                insert_token(c, session.uuid(), &first, now).await
            })
        })
        .await
}

async fn remove_expired(connection: &mut Connection, user: UserId, now: Timestamp) -> Result<()> {
    on!(connection, c => {
        sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND expires_at <= $2")
            .bind(user.uuid())
            .bind(now)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

async fn insert_token(connection: &mut Connection, session: Uuid, token: &Token, now: Timestamp) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO refresh_tokens (hash, session_id, created_at, expires_at)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(&token.hash)
        .bind(session)
        .bind(now)
        .bind(token.expires_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// Uses the token with that hash and puts `successor` in its place.
///
/// A token that was used at `retry_since` or later, and whose successor is unused, is taken for the
/// retry of a client that never saw the answer. Any other second use revokes the session.
pub async fn rotate(
    connection: &mut Connection,
    hash: String,
    successor: Token,
    retry_since: Timestamp,
    now: Timestamp,
) -> Result<Rotation> {
    connection
        .transaction(move |c| {
            Box::pin(async move {
                let session = lock(c, &hash, now).await?.filter(|session| !session.is_over(now));
                let Some(session) = session else { return Ok(Rotation::Refused) };
                if use_once(c, &hash, &successor, now).await? {
                    forget_expired(c, session.id, now).await?;
                    insert_token(c, session.id, &successor, now).await?;
                    extend(c, session.id, successor.expires_at).await?;
                    let user = session.user(c).await?;
                    return Ok(Rotation::Rotated { user, session: session.id.into(), successor });
                }
                settle(c, session, &hash, retry_since, now).await
            })
        })
        .await
}

struct Locked {
    id: Uuid,
    user: Uuid,
    expires_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

impl Locked {
    fn is_over(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.expires_at <= now
    }

    async fn user(&self, connection: &mut Connection) -> Result<User> {
        let user = users::find(connection, self.user.into()).await?;
        user.ok_or_else(|| Error::corrupt("sessions", "its user is gone"))
    }
}

/// The session of the token, which nobody else changes until the transaction ends.
async fn lock(connection: &mut Connection, hash: &str, now: Timestamp) -> Result<Option<Locked>> {
    let row: Option<(Uuid, Uuid, Timestamp, Option<Timestamp>)> = on!(connection, c => {
        sqlx::query_as(
            "UPDATE sessions
             SET used_at = $2
             WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1)
             RETURNING id, user_id, expires_at, revoked_at",
        )
        .bind(hash)
        .bind(now)
        .fetch_optional(c)
        .await
    })?;
    Ok(row.map(|(id, user, expires_at, revoked_at)| Locked { id, user, expires_at, revoked_at }))
}

async fn use_once(connection: &mut Connection, hash: &str, successor: &Token, now: Timestamp) -> Result<bool> {
    let used = on!(connection, c => {
        sqlx::query(
            "UPDATE refresh_tokens
             SET used_at = $2, successor = $3
             WHERE hash = $1 AND used_at IS NULL",
        )
        .bind(hash)
        .bind(now)
        .bind(&successor.hash)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(used == 1)
}

/// Removes the tokens that nobody would take any more, so that a session that lives long stays small.
async fn forget_expired(connection: &mut Connection, session: Uuid, now: Timestamp) -> Result<()> {
    on!(connection, c => {
        sqlx::query("DELETE FROM refresh_tokens WHERE session_id = $1 AND expires_at <= $2")
            .bind(session)
            .bind(now)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

async fn extend(connection: &mut Connection, session: Uuid, until: Timestamp) -> Result<()> {
    on!(connection, c => {
        sqlx::query("UPDATE sessions SET expires_at = $2 WHERE id = $1")
            .bind(session)
            .bind(until)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// What the second use of a token means.
async fn settle(
    connection: &mut Connection,
    session: Locked,
    hash: &str,
    retry_since: Timestamp,
    now: Timestamp,
) -> Result<Rotation> {
    let unused: Option<(String, Timestamp)> = on!(&mut *connection, c => {
        sqlx::query_as(
            "SELECT next.hash, next.expires_at
             FROM refresh_tokens old
             JOIN refresh_tokens next ON next.hash = old.successor
             WHERE old.hash = $1 AND old.used_at >= $2 AND next.used_at IS NULL",
        )
        .bind(hash)
        .bind(retry_since)
        .fetch_optional(c)
        .await
    })?;
    if let Some((hash, expires_at)) = unused {
        let user = session.user(connection).await?;
        let successor = Token { hash, expires_at };
        return Ok(Rotation::Repeated { user, session: session.id.into(), successor });
    }
    revoke(connection, session.id.into(), now).await?;
    Ok(Rotation::Reused { user: session.user.into(), session: session.id.into() })
}

/// Ends a session; `false` when it had ended or never was.
pub async fn revoke(connection: &mut Connection, session: SessionId, now: Timestamp) -> Result<bool> {
    let revoked = on!(connection, c => {
        sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(session.uuid())
            .bind(now)
            .execute(c)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(revoked == 1)
}

/// Ends all of a user's sessions, as after a new password; returns how many had not ended.
pub async fn revoke_all(connection: &mut Connection, user: UserId, now: Timestamp) -> Result<u64> {
    Ok(on!(connection, c => {
        sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL")
            .bind(user.uuid())
            .bind(now)
            .execute(c)
            .await
            .map(|done| done.rows_affected())
    })?)
}

/// Ends the session of a token, used or not; `false` when it had ended or never was.
pub async fn revoke_by_token(connection: &mut Connection, hash: &str, now: Timestamp) -> Result<bool> {
    let revoked = on!(connection, c => {
        sqlx::query(
            "UPDATE sessions
             SET revoked_at = $2
             WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1) AND revoked_at IS NULL",
        )
        .bind(hash)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(revoked == 1)
}
