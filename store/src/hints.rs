//! Hints between processes: there may be runs to take over, or events to tell. Whoever misses one looks by the clock
//! anyway.

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::{Connection, Result, Target};

/// What other processes may want to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Runs wait for a process.
    Runs,
    /// There are new events.
    Events,
}

impl Hint {
    fn channel(self) -> &'static str {
        match self {
            Self::Runs => "safire_runs",
            Self::Events => "safire_events",
        }
    }
}

/// Sends a hint to all processes. On SQLite there is nobody else.
///
/// PostgreSQL commits transactions that do so one after the other: not a part of those that have to be fast.
pub async fn send(connection: &mut Connection, hint: Hint) -> Result<()> {
    if let Connection::Postgres(c) = connection {
        sqlx::query("SELECT pg_notify($1, '')").bind(hint.channel()).execute(c).await?;
    }
    Ok(())
}

/// A connection to PostgreSQL on which hints arrive.
#[derive(Debug)]
pub struct Hints(PgListener);

impl Hints {
    /// Connects and listens; `None` on SQLite, where nobody sends any.
    pub async fn listen(target: &Target) -> Result<Option<Self>> {
        let Some(options) = target.postgres() else { return Ok(None) };
        let one = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let mut listener = PgListener::connect_with(&one.connect_lazy_with(options)).await?;
        listener.listen_all([Hint::Runs.channel(), Hint::Events.channel()]).await?;
        Ok(Some(Self(listener)))
    }

    /// Returns when there may be something to look at; fails when the connection broke.
    pub async fn next(&mut self) -> Result<Hint> {
        match self.0.try_recv().await? {
            Some(notice) if notice.channel() == Hint::Events.channel() => Ok(Hint::Events),
            Some(_) => Ok(Hint::Runs),
            None => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }
}
