//! The schema and its versions.

use sqlx::{
    Connection as _,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::{Connection, Error, Result, connection::on};

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration::new(
            $version,
            $name.into(),
            MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(include_str!(concat!("../../migrations/000", $version, "_", $name, ".sql"))),
            false,
        )
    };
}

fn migrator() -> Migrator {
    Migrator::with_migrations(vec![
        migration!(1, "foundation"),
        migration!(2, "zones"),
        migration!(3, "sessions"),
        migration!(4, "idempotency"),
        migration!(5, "feedstocks"),
        migration!(6, "analyses"),
        migration!(7, "events"),
        migration!(8, "operations"),
        migration!(9, "traces"),
    ])
}

/// Brings the schema up to date; processes that start together take turns.
pub async fn migrate(connection: &mut Connection) -> Result<()> {
    let migrator = migrator();
    match connection {
        Connection::Postgres(c) => migrator.run(c).await.map_err(Error::Schema),
        // The migrator's own lock does nothing on SQLite; the write lock, taken first, does.
        Connection::Sqlite(c) => {
            let mut transaction = c.begin_with("BEGIN IMMEDIATE").await?;
            migrator.run(&mut *transaction).await.map_err(Error::Schema)?;
            Ok(transaction.commit().await?)
        }
    }
}

/// The newest schema version that this program knows.
pub fn latest_version() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The schema version that the database has.
pub async fn current_version(connection: &mut Connection) -> Result<i64> {
    let version: Option<i64> = on!(connection, c => {
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success").fetch_one(c).await
    })?;
    Ok(version.unwrap_or(0))
}
