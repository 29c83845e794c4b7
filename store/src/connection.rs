//! One connection to either database, and the macro that sends one SQL text to both.

use std::{path::Path, str::FromStr, time::Duration};

use futures::future::BoxFuture;
use sqlx::{
    ConnectOptions, Connection as _, PgConnection, SqliteConnection,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{Error, Result};

/// The database engines that the store speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A server that replicas share.
    Postgres,
    /// A file that one process owns.
    Sqlite,
}

impl Engine {
    /// The engine's name, for health reports and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Sqlite => "sqlite",
        }
    }
}

/// How long a transaction may wait for its own process before PostgreSQL ends it. No transaction here waits for
/// anything but the database; a process that was stopped, or cut off, would hold its locks for ever, and the other
/// replicas' requests are to be answered within two seconds.
const ABANDONED: Duration = Duration::from_millis(1500);

/// Where the database is and how to open it.
#[derive(Debug, Clone)]
pub struct Target(Options);

#[derive(Debug, Clone)]
enum Options {
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

impl Target {
    /// Reads a `postgres://…` or `sqlite://…` URL; a statement that takes longer than
    /// `statement_timeout` is ended by PostgreSQL.
    pub fn parse(url: &str, statement_timeout: Duration) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)?
                .application_name("safire")
                .options([
                    ("statement_timeout", statement_timeout.as_millis()),
                    ("idle_in_transaction_session_timeout", ABANDONED.as_millis()),
                ])
                .disable_statement_logging();
            return Ok(Self(Options::Postgres(Box::new(options))));
        }
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        Ok(Self(Options::Sqlite(Box::new(options))))
    }

    /// Which engine it names.
    pub fn engine(&self) -> Engine {
        match self.0 {
            Options::Postgres(_) => Engine::Postgres,
            Options::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// The file that it is, if it is SQLite and is kept in one.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Options::Postgres(_) => None,
            // A database in memory is named by a URI.
            Options::Sqlite(options) => {
                Some(options.get_filename()).filter(|name| !name.to_string_lossy().starts_with("file:"))
            }
        }
    }

    /// How to open it, if it is PostgreSQL.
    pub(crate) fn postgres(&self) -> Option<PgConnectOptions> {
        match &self.0 {
            Options::Postgres(options) => Some(PgConnectOptions::clone(options)),
            Options::Sqlite(_) => None,
        }
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Connection> {
        Ok(match &self.0 {
            Options::Postgres(options) => Connection::Postgres(PgConnection::connect_with(options).await?),
            Options::Sqlite(options) => Connection::Sqlite(SqliteConnection::connect_with(options).await?),
        })
    }
}

/// An open connection.
#[derive(Debug)]
pub enum Connection {
    /// To a PostgreSQL server.
    Postgres(PgConnection),
    /// To an SQLite file.
    Sqlite(SqliteConnection),
}

/// Sends one statement to whichever engine is connected: the body is compiled once for each.
macro_rules! on {
    ($connection:expr, $c:ident => $body:expr) => {
        match $connection {
            $crate::Connection::Postgres($c) => $body,
            $crate::Connection::Sqlite($c) => $body,
        }
    };
}
pub(crate) use on;

impl Connection {
    /// The text for the engine that is connected, where one text does not serve both.
    pub(crate) fn sql(&self, postgres: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::Postgres(_) => postgres,
            Self::Sqlite(_) => sqlite,
        }
    }

    /// Runs `work` in one transaction: committed when it returns `Ok`, undone otherwise.
    ///
    /// SQLite takes its write lock at once: a lock taken half-way fails with `SQLITE_BUSY` however
    /// long the timeout.
    pub async fn transaction<T, W>(&mut self, work: W) -> Result<T>
    where
        W: for<'c> FnOnce(&'c mut Self) -> BoxFuture<'c, Result<T>>,
    {
        match self {
            Self::Postgres(c) => sqlx::raw_sql("BEGIN").execute(c).await.map(drop)?,
            Self::Sqlite(c) => sqlx::raw_sql("BEGIN IMMEDIATE").execute(c).await.map(drop)?,
        }
        match work(self).await {
            Ok(value) => match on!(&mut *self, c => sqlx::raw_sql("COMMIT").execute(c).await.map(drop)) {
                Ok(()) => Ok(value),
                Err(error) => {
                    // PostgreSQL ends the transaction when it cannot commit it; SQLite may keep it.
                    if let Self::Sqlite(_) = self {
                        self.undo().await?;
                    }
                    Err(error.into())
                }
            },
            Err(error) => {
                if !error.breaks_connection() {
                    self.undo().await?;
                }
                Err(error)
            }
        }
    }

    /// Undoes a transaction. When its disk is full, SQLite has done so itself, and says that there is none.
    async fn undo(&mut self) -> Result<()> {
        match self {
            Self::Postgres(c) => Ok(sqlx::raw_sql("ROLLBACK").execute(c).await.map(drop)?),
            Self::Sqlite(c) => {
                let _ = sqlx::raw_sql("ROLLBACK").execute(c).await;
                Ok(())
            }
        }
    }

    /// Asks the database whether it is there.
    pub async fn ping(&mut self) -> Result<()> {
        on!(self, c => c.ping().await).map_err(Error::from)
    }

    /// Says goodbye; SQLite folds its log into the file.
    pub async fn close(self) -> Result<()> {
        match self {
            Self::Postgres(c) => c.close().await.map_err(Error::from),
            Self::Sqlite(c) => c.close().await.map_err(Error::from),
        }
    }
}
