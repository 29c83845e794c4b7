//! Who follows events: until when, with which rights, and by which ticket.

use safire_domain::{
    KeyId, SessionId, Timestamp, UserId,
    event::{About, Topic, Viewer},
    name::ZoneId,
    run::Advance,
    user::Role,
};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Connection, Error, Result, connection::on};

/// What a user showed to follow events: they are told no more when it is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// An access token of a session.
    Session(SessionId),
    /// An API key.
    Key(KeyId),
    /// An access token that names no session.
    Token,
}

impl Credential {
    fn session(self) -> Option<Uuid> {
        match self {
            Self::Session(session) => Some(session.uuid()),
            Self::Key(_) | Self::Token => None,
        }
    }

    fn key(self) -> Option<Uuid> {
        match self {
            Self::Key(key) => Some(key.uuid()),
            Self::Session(_) | Self::Token => None,
        }
    }
}

/// What the user may see now; `None` when they, their session or their key are no more.
pub async fn viewer(
    connection: &mut Connection,
    user: UserId,
    credential: Credential,
    now: Timestamp,
) -> Result<Option<Viewer>> {
    let row: Option<(String, Option<String>)> = on!(connection, c => {
        sqlx::query_as(
            "SELECT u.role, u.zone_id
             FROM users u
             WHERE u.id = $1
               AND ($2 IS NULL OR EXISTS (
                   SELECT 1 FROM sessions s WHERE s.id = $2 AND s.revoked_at IS NULL AND s.expires_at > $4))
               AND ($3 IS NULL OR EXISTS (
                   SELECT 1 FROM api_keys k WHERE k.id = $3 AND k.revoked_at IS NULL))",
        )
        .bind(user.uuid())
        .bind(credential.session())
        .bind(credential.key())
        .bind(now)
        .fetch_optional(c)
        .await
    })?;
    let Some((role, zone)) = row else { return Ok(None) };
    let role = Role::from_name(&role).ok_or_else(|| Error::corrupt("users", "unknown role"))?;
    Ok(Some(Viewer { user, role, zone: zone_of(zone)? }))
}

pub(crate) fn zone_of(id: Option<String>) -> Result<Option<ZoneId>> {
    id.map(|id| id.parse()).transpose().map_err(|e| Error::corrupt("users", e))
}

/// What lets somebody follow events once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who.
    pub user: UserId,
    /// What they showed to get it.
    pub credential: Credential,
    /// When what they showed ends, if it does.
    pub ends_at: Option<Timestamp>,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Stores a ticket by its hash, and removes those that were not used in time.
pub async fn issue(connection: &mut Connection, hash: &str, ticket: &Ticket, now: Timestamp) -> Result<()> {
    on!(&mut *connection, c => {
        sqlx::query("DELETE FROM event_tickets WHERE expires_at <= $1").bind(now).execute(c).await.map(drop)
    })?;
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO event_tickets (hash, user_id, session_id, key_id, ends_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(hash)
        .bind(ticket.user.uuid())
        .bind(ticket.credential.session())
        .bind(ticket.credential.key())
        .bind(ticket.ends_at)
        .bind(ticket.expires_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

#[derive(FromRow)]
struct TicketRow {
    user_id: Uuid,
    session_id: Option<Uuid>,
    key_id: Option<Uuid>,
    ends_at: Option<Timestamp>,
    expires_at: Timestamp,
}

/// Takes a ticket: nobody can take it again.
pub async fn redeem(connection: &mut Connection, hash: &str, now: Timestamp) -> Result<Option<Ticket>> {
    let row: Option<TicketRow> = on!(connection, c => {
        sqlx::query_as(
            "DELETE FROM event_tickets
             WHERE hash = $1
             RETURNING user_id, session_id, key_id, ends_at, expires_at",
        )
        .bind(hash)
        .fetch_optional(c)
        .await
    })?;
    let ticket = row.map(|row| Ticket {
        user: row.user_id.into(),
        credential: match (row.session_id, row.key_id) {
            (Some(session), _) => Credential::Session(session.into()),
            (None, Some(key)) => Credential::Key(key.into()),
            (None, None) => Credential::Token,
        },
        ends_at: row.ends_at,
        expires_at: row.expires_at,
    });
    Ok(ticket.filter(|ticket| ticket.expires_at > now))
}

#[derive(FromRow)]
struct RunningRow {
    run_id: Uuid,
    scenario_id: Uuid,
    project_id: Uuid,
    owner_id: Uuid,
    zone_id: Option<String>,
    stage: String,
    done: i64,
    total: i64,
    started_at: Timestamp,
}

/// How far the runs are that are being calculated, wherever that is; of more than `limit` the rest is left out.
pub async fn running(connection: &mut Connection, limit: i64) -> Result<Vec<(About, Advance)>> {
    let rows: Vec<RunningRow> = on!(connection, c => {
        sqlx::query_as(
            "SELECT r.id AS run_id, s.id AS scenario_id, p.id AS project_id, p.owner_id, u.zone_id,
                    r.stage, r.done, r.total, r.started_at
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             JOIN users u ON u.id = p.owner_id
             WHERE r.state = 'running' AND r.stage IS NOT NULL AND r.started_at IS NOT NULL
             LIMIT $1",
        )
        .bind(limit)
        .fetch_all(c)
        .await
    })?;
    rows.into_iter()
        .map(|row| {
            let about = About {
                topic: Some(Topic::ProgressUpdate),
                owner: Some(row.owner_id.into()),
                zone: zone_of(row.zone_id)?,
                project: Some(row.project_id.into()),
                scenario: Some(row.scenario_id.into()),
                run: Some(row.run_id.into()),
                operation: Some(row.run_id),
            };
            let RunningRow { stage, done, total, started_at, .. } = row;
            Ok((about, Advance { stage, done, total, started_at }))
        })
        .collect()
}
