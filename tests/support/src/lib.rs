//! What the test suites share: a database of one's own on either engine, and a few values.

mod database;
mod dose;
mod fixtures;
mod kafka;
mod postgres;
mod redis;
mod time;

pub use database::TestDatabase;
pub use dose::{dose, full};
pub use fixtures::{analyst, now, project, scenario, zone};
pub use kafka::{KafkaSender, TestKafka};
pub use postgres::{Ending, TestPostgres};
pub use redis::{TestRedis, free_port};
pub use time::{BUSY, PATIENCE, promised};

/// Makes each test two: one on SQLite, one on PostgreSQL. The PostgreSQL server is the one that
/// `DATABASE_URL` names; without it the test fails, so that `cargo test` leaves it out, and `./test` does not. What needs
/// more than that says so before it: `needs "needs Python: run ./test"`.
#[macro_export]
macro_rules! on_both_engines {
    ($($(#[$doc:meta])* $(needs $why:literal)? async fn $name:ident($database:ident: &TestDatabase) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all of them")]
            use super::*;

            async fn run($database: &$crate::TestDatabase) $body

            #[tokio::test(flavor = "multi_thread")]
            $(#[ignore = $why])?
            async fn on_sqlite() {
                run(&$crate::TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs PostgreSQL: run ./test"]
            async fn on_postgres() {
                run(&$crate::TestDatabase::postgres().await).await;
            }
        }
    )+};
}
