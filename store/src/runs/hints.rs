//! Hints between processes: there may be runs to take over. Whoever misses one looks by the clock anyway.

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::{Connection, Result, Target};

const CHANNEL: &str = "safire_runs";

/// Tells all processes that runs wait for one. On SQLite there is nobody else.
pub(super) async fn send(connection: &mut Connection) -> Result<()> {
    if let Connection::Postgres(c) = connection {
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(c).await?;
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
        listener.listen(CHANNEL).await?;
        Ok(Some(Self(listener)))
    }

    /// Returns when there may be runs to take over; fails when the connection broke.
    pub async fn next(&mut self) -> Result<()> {
        match self.0.try_recv().await? {
            Some(_) => Ok(()),
            None => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }
}
