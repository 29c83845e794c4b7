//! Events: written in the transaction that they tell of, read in one order that no reader can miss anything in.
//!
//! The order is by transaction and, within it, by number. Transactions end in another order than they begin in, so
//! that readers stop before the oldest that still runs ([`Batch::held_back`]): whatever is written later has a
//! higher place. On SQLite transactions take turns, and nothing is ever held back.
//!
//! Two events of one scenario come in the order in which they happened: whoever writes one has changed, and locked,
//! the scenario's row before.

use safire_domain::{
    ProjectId, RunId, ScenarioId, Timestamp, UserId,
    event::{Event, Kind, NewEvent, Place},
    lifecycle::StatusName,
    name::ZoneId,
    user::Access,
};
use serde_json::{Map, Value};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{Connection, Error, Result, access::visible_owners, connection::on};

const TABLE: &str = "events";

/// The writing transaction, and the next number of an event in it. SQLite has one long row of them.
macro_rules! place_postgres {
    () => {
        "pg_current_xact_id()::text::bigint,
         (SELECT COALESCE(MAX(e.n), 0) + 1 FROM events e WHERE e.tx = pg_current_xact_id()::text::bigint)"
    };
}
macro_rules! place_sqlite {
    () => {
        "0,
         (SELECT MAX(COALESCE((SELECT MAX(e.n) FROM events e WHERE e.tx = 0), 0),
                     (SELECT m.n FROM event_marks m WHERE m.name = 'removed')) + 1)"
    };
}

/// The transaction before which all have ended.
macro_rules! horizon_postgres {
    () => {
        "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    };
}
macro_rules! horizon_sqlite {
    () => {
        "1"
    };
}

mod append;

pub use append::{append, append_of_scenario};
pub(crate) use append::{append_completed, append_created, append_logged, append_of_project, append_stale};

#[derive(FromRow)]
struct Row {
    tx: i64,
    n: i64,
    settled: bool,
    at: Timestamp,
    kind: String,
    owner_id: Option<Uuid>,
    project_id: Option<Uuid>,
    scenario_id: Option<Uuid>,
    run_id: Option<Uuid>,
    operation_id: Option<Uuid>,
    status: Option<String>,
    version: Option<i64>,
    body: Json<Map<String, Value>>,
    trace: Option<String>,
    zone_id: Option<String>,
}

impl TryFrom<Row> for Event {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let status = row.status.map(|name| StatusName::from_name(&name).ok_or("unknown status")).transpose();
        let what = NewEvent {
            at: row.at,
            kind: Kind::from_name(&row.kind).ok_or_else(|| Error::corrupt(TABLE, "unknown kind"))?,
            owner: row.owner_id.map(UserId::from),
            project: row.project_id.map(ProjectId::from),
            scenario: row.scenario_id.map(ScenarioId::from),
            run: row.run_id.map(RunId::from),
            operation: row.operation_id,
            status: status.map_err(|e| Error::corrupt(TABLE, e))?,
            version: row.version,
            body: row.body.0,
        };
        let zone = row.zone_id.map(|id| id.parse::<ZoneId>()).transpose().map_err(|e| Error::corrupt(TABLE, e))?;
        let trace = row.trace.map(|text| text.parse()).transpose().map_err(|e| Error::corrupt(TABLE, e))?;
        Ok(Self { place: Place { tx: row.tx, n: row.n }, what, zone, trace })
    }
}

/// Events in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The events.
    pub events: Vec<Event>,
    /// Whether there are more that may not be read yet, because of a transaction that still runs.
    pub held_back: bool,
}

macro_rules! after_sql {
    ($horizon:expr) => {
        concat!(
            "SELECT e.tx, e.n, e.tx < ",
            $horizon,
            " AS settled, e.at, e.kind, e.owner_id, e.project_id, e.scenario_id,
                    e.run_id, e.operation_id, e.status, e.version, e.body, e.trace, u.zone_id
             FROM events e
             LEFT JOIN users u ON u.id = e.owner_id
             WHERE (e.tx, e.n) > ($3, $4) AND ($2 OR e.owner_id IS NULL OR e.owner_id IN ",
            visible_owners!(),
            ")
             ORDER BY e.tx, e.n
             LIMIT $5"
        )
    };
}

const AFTER_POSTGRES: &str = after_sql!(horizon_postgres!());
const AFTER_SQLITE: &str = after_sql!(horizon_sqlite!());

/// Up to `limit` events after a place that the user may see; all where no user is given.
pub async fn after(connection: &mut Connection, access: Option<Access>, place: Place, limit: i64) -> Result<Batch> {
    let sql = connection.sql(AFTER_POSTGRES, AFTER_SQLITE);
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(sql)
            .bind(access.map_or(Uuid::nil(), |access| access.user.uuid()))
            .bind(access.is_none_or(Access::is_admin))
            .bind(place.tx)
            .bind(place.n)
            .bind(limit)
            .fetch_all(c)
            .await
    })?;
    let settled = rows.iter().take_while(|row| row.settled).count();
    let held_back = settled < rows.len();
    let events = rows.into_iter().take(settled).map(Event::try_from).collect::<Result<_>>()?;
    Ok(Batch { events, held_back })
}

const HEAD_POSTGRES: &str = concat!("SELECT ", horizon_postgres!(), " - 1, 9223372036854775807");
const HEAD_SQLITE: &str = concat!("SELECT ", place_sqlite!());

/// The place after which comes what happens from now on.
pub async fn head(connection: &mut Connection) -> Result<Place> {
    let (tx, n): (i64, i64) = match connection {
        Connection::Postgres(c) => sqlx::query_as(HEAD_POSTGRES).fetch_one(c).await?,
        Connection::Sqlite(c) => {
            let (tx, next): (i64, i64) = sqlx::query_as(HEAD_SQLITE).fetch_one(c).await?;
            (tx, next - 1)
        }
    };
    Ok(Place { tx, n })
}

/// A place up to which something was done with all events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// They were removed.
    Removed,
    /// They were published.
    Published,
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Published => "published",
        }
    }
}

/// Where a mark is.
pub async fn mark(connection: &mut Connection, mark: Mark) -> Result<Place> {
    let (tx, n): (i64, i64) = on!(connection, c => {
        sqlx::query_as("SELECT tx, n FROM event_marks WHERE name = $1").bind(mark.name()).fetch_one(c).await
    })?;
    Ok(Place { tx, n })
}

/// Moves a mark forward; one that is there or beyond already stays.
pub async fn move_mark(connection: &mut Connection, mark: Mark, to: Place) -> Result<()> {
    on!(connection, c => {
        sqlx::query("UPDATE event_marks SET tx = $2, n = $3 WHERE name = $1 AND (tx, n) < ($2, $3)")
            .bind(mark.name())
            .bind(to.tx)
            .bind(to.n)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Removes events that happened before `until`, as far as they were published where `published` asks for that;
/// returns how many. At most `limit` at once, so that nobody waits long.
pub async fn remove_until(connection: &mut Connection, until: Timestamp, published: bool, limit: i64) -> Result<u64> {
    connection
        .transaction(move |c| {
            Box::pin(async move {
                let bound = match published {
                    true => mark(c, Mark::Published).await?,
                    false => Place { tx: i64::MAX, n: i64::MAX },
                };
                let last: Option<(i64, i64)> = on!(&mut *c, c => {
                    sqlx::query_as(
                        "SELECT o.tx, o.n
                         FROM (SELECT tx, n FROM events WHERE at < $1 AND (tx, n) <= ($2, $3)
                               ORDER BY tx, n LIMIT $4) o
                         ORDER BY o.tx DESC, o.n DESC
                         LIMIT 1",
                    )
                    .bind(until)
                    .bind(bound.tx)
                    .bind(bound.n)
                    .bind(limit)
                    .fetch_optional(c)
                    .await
                })?;
                let Some((tx, n)) = last else { return Ok(0) };
                move_mark(c, Mark::Removed, Place { tx, n }).await?;
                Ok(on!(c, c => {
                    sqlx::query("DELETE FROM events WHERE (tx, n) <= ($1, $2)")
                        .bind(tx)
                        .bind(n)
                        .execute(c)
                        .await
                        .map(|done| done.rows_affected())
                })?)
            })
        })
        .await
}

/// How many events wait to be published, counted up to `most`.
pub async fn unpublished(connection: &mut Connection, most: i64) -> Result<i64> {
    let Place { tx, n } = mark(connection, Mark::Published).await?;
    Ok(on!(connection, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE (tx, n) > ($1, $2) LIMIT $3) waiting")
            .bind(tx)
            .bind(n)
            .bind(most)
            .fetch_one(c)
            .await
    })?)
}

/// Gives up the oldest events that wait to be published, where there are more than `most`; returns how many.
pub async fn bound_unpublished(connection: &mut Connection, most: i64) -> Result<u64> {
    connection.transaction(move |c| Box::pin(bound_unpublished_within(c, most))).await
}

async fn bound_unpublished_within(connection: &mut Connection, most: i64) -> Result<u64> {
    let published = mark(connection, Mark::Published).await?;
    let last: Option<(i64, i64)> = on!(&mut *connection, c => {
        sqlx::query_as("SELECT tx, n FROM events WHERE (tx, n) > ($1, $2) ORDER BY tx DESC, n DESC LIMIT 1 OFFSET $3")
            .bind(published.tx)
            .bind(published.n)
            .bind(most)
            .fetch_optional(c)
            .await
    })?;
    let Some((tx, n)) = last else { return Ok(0) };
    let given_up: i64 = on!(&mut *connection, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM events WHERE (tx, n) > ($1, $2) AND (tx, n) <= ($3, $4)")
            .bind(published.tx)
            .bind(published.n)
            .bind(tx)
            .bind(n)
            .fetch_one(c)
            .await
    })?;
    move_mark(connection, Mark::Published, Place { tx, n }).await?;
    Ok(given_up.unsigned_abs())
}
