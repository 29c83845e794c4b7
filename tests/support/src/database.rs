//! A database that one test has to itself.

use std::time::Duration;

use safire_domain::master_data::MasterData;
use safire_store::{Connection, Target, master_data, schema};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// A new, empty database; gone when dropped.
pub struct TestDatabase {
    url: String,
    _keep: Keep,
}

enum Keep {
    Directory { _files: TempDir },
    Postgres { server: String, name: String },
}

impl TestDatabase {
    /// A file of its own.
    pub fn sqlite() -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite://{}", files.path().join("safire.db").display());
        Self { url, _keep: Keep::Directory { _files: files } }
    }

    /// A database of its own on the server that `DATABASE_URL` names.
    #[expect(clippy::disallowed_methods, reason = "a name that no other test has")]
    pub async fn postgres() -> Self {
        let server = std::env::var("DATABASE_URL").expect("DATABASE_URL names a PostgreSQL server: run ./test");
        let name = format!("safire_{}", Uuid::new_v4().simple());
        execute(&server, format!("CREATE DATABASE {name}")).await.expect("the server makes a database");
        let (base, _) = server.rsplit_once('/').expect("DATABASE_URL ends with a database");
        Self { url: format!("{base}/{name}"), _keep: Keep::Postgres { server, name } }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How to open it.
    pub fn target(&self) -> Target {
        Target::parse(&self.url, Duration::from_secs(30)).expect("a well-formed URL")
    }

    /// A connection.
    pub async fn connect(&self) -> Connection {
        self.target().connect().await.expect("the database is there")
    }

    /// A connection to the database with schema and seed.
    pub async fn prepared(&self) -> Connection {
        let mut connection = self.connect().await;
        schema::migrate(&mut connection).await.expect("migrates");
        master_data::seed(&mut connection, MasterData::seed()).await.expect("seeds");
        connection
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Keep::Postgres { server, name } = &self._keep else { return };
        let (server, sql) = (server.clone(), format!("DROP DATABASE {name} WITH (FORCE)"));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(execute(&server, sql)).map_err(std::io::Error::other)
        })
        .join();
        if !matches!(dropped, Ok(Ok(()))) && !std::thread::panicking() {
            panic!("the test's database was not dropped: {dropped:?}");
        }
    }
}

async fn execute(server: &str, sql: String) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}
