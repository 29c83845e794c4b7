//! The schema and its versions.

use sqlx::{
    Connection as _,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::{Connection, Error, Result, connection::on};

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration::new(
            decimal($version),
            $name.into(),
            MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(include_str!(concat!("../../migrations/", $version, "_", $name, ".sql"))),
            false,
        )
    };
}

/// The number that a migration's file name begins with.
const fn decimal(digits: &str) -> i64 {
    let (bytes, mut at, mut number) = (digits.as_bytes(), 0, 0);
    while at < bytes.len() {
        assert!(bytes[at].is_ascii_digit(), "a migration's file name begins with digits");
        number = number * 10 + (bytes[at] - b'0') as i64;
        at += 1;
    }
    number
}

fn migrator() -> Migrator {
    Migrator::with_migrations(vec![
        migration!("0001", "foundation"),
        migration!("0002", "zones"),
        migration!("0003", "sessions"),
        migration!("0004", "idempotency"),
        migration!("0005", "feedstocks"),
        migration!("0006", "analyses"),
        migration!("0007", "events"),
        migration!("0008", "operations"),
        migration!("0009", "traces"),
        migration!("0010", "runs_beside"),
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_migration_file_is_applied_in_the_order_of_its_number() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let files: BTreeSet<_> = fs::read_dir(directory)
            .expect("the migrations")
            .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"))
            .collect();
        let migrator = migrator();
        let applied: Vec<_> = migrator.iter().map(|m| format!("{:04}_{}.sql", m.version, m.description)).collect();
        assert_eq!(applied, files.into_iter().collect::<Vec<_>>());
    }
}
