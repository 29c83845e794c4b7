//! What can go wrong between the service and its database.

use thiserror::Error;

/// A failed statement.
#[derive(Debug, Error)]
pub enum Error {
    /// The database is away, or the connection broke: try again later, on a new one.
    #[error("the database cannot be reached")]
    Offline(#[source] sqlx::Error),
    /// A row with that key exists.
    #[error("a row with that key exists")]
    Duplicate(#[source] sqlx::Error),
    /// The row refers to one that does not exist, or is itself referred to.
    #[error("a row that is referred to is missing")]
    Dangling(#[source] sqlx::Error),
    /// There is no room for what was to be written; nothing was.
    #[error("the database has no room left")]
    Full(#[source] sqlx::Error),
    /// Others kept changing the row; nothing was written.
    #[error("the row kept changing")]
    Contended,
    /// A stored row cannot be read back.
    #[error("{table} holds a row that cannot be read: {reason}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        reason: String,
    },
    /// Any other refusal by the database.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema cannot be brought up to date")]
    Schema(#[source] sqlx::migrate::MigrateError),
}

/// What a statement gave.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the connection that met this error is of no more use.
    pub fn breaks_connection(&self) -> bool {
        matches!(self, Self::Offline(_))
    }

    pub(crate) fn corrupt(table: &'static str, reason: impl ToString) -> Self {
        Self::Corrupt { table, reason: reason.to_string() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind::{ForeignKeyViolation, UniqueViolation};
        match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::Offline(error)
            }
            sqlx::Error::Database(database) => match database.kind() {
                UniqueViolation => Self::Duplicate(error),
                ForeignKeyViolation => Self::Dangling(error),
                _ if is_going_away(database.code().as_deref()) => Self::Offline(error),
                _ if is_full(database.code().as_deref()) => Self::Full(error),
                _ if is_contention(database.code().as_deref()) => Self::Contended,
                _ => Self::Database(error),
            },
            _ => Self::Database(error),
        }
    }
}

/// PostgreSQL's classes 57P (shutting down, starting up), 25P03 (a transaction that waited too long for its
/// process) and 53300 (too many connections), and SQLite's `SQLITE_BUSY`.
fn is_going_away(code: Option<&str>) -> bool {
    matches!(code, Some("57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300" | "5"))
}

/// PostgreSQL's `disk_full`; SQLite's `SQLITE_FULL`, and its failed writes, syncs and extensions of files, which
/// is how it meets a quota or a limit on the size of files.
fn is_full(code: Option<&str>) -> bool {
    matches!(code, Some("53100" | "13" | "778" | "1034" | "1546" | "4874"))
}

/// PostgreSQL's `serialization_failure`, `deadlock_detected` and `lock_not_available`.
fn is_contention(code: Option<&str>) -> bool {
    matches!(code, Some("40001" | "40P01" | "55P03"))
}
