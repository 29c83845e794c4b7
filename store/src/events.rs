//! Events: written in the transaction that they tell of, read in one order that no reader can miss anything in.
//!
//! The order is by transaction and, within it, by number. Transactions end in another order than they begin in, so
//! that readers stop before the oldest that still runs ([`Batch::held_back`]): whatever is written later has a
//! higher place. On SQLite transactions take turns, and nothing is ever held back.
//!
//! Two events of one scenario come in the order in which they happened: whoever writes one has changed, and locked,
//! the scenario's row before.

use safire_domain::{
    OperationId, ProjectId, RunId, ScenarioId, Timestamp, UserId,
    event::{Event, Kind, NewEvent, Place},
    lifecycle::StatusName,
    name::ZoneId,
    operation::State,
    scenario::{Pathway, Scenario},
    user::Access,
};
use serde_json::{Map, Value};
use sqlx::{FromRow, QueryBuilder, types::Json};
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

macro_rules! append_sql {
    ($place:expr) => {
        concat!(
            "INSERT INTO events (tx, n, at, kind, owner_id, project_id, scenario_id, run_id, operation_id,
                                 status, version, body)
             SELECT ",
            $place,
            ", $1, $2, $3, $4, $5, $6, $7, $8, $9, $10"
        )
    };
}

const APPEND_POSTGRES: &str = append_sql!(place_postgres!());
const APPEND_SQLITE: &str = append_sql!(place_sqlite!());

/// Stores an event; call it in the transaction that it tells of.
pub async fn append(connection: &mut Connection, event: &NewEvent) -> Result<()> {
    let sql = match connection {
        Connection::Postgres(_) => APPEND_POSTGRES,
        Connection::Sqlite(_) => APPEND_SQLITE,
    };
    on!(connection, c => {
        sqlx::query(sql)
            .bind(event.at)
            .bind(event.kind.as_str())
            .bind(event.owner.map(UserId::uuid))
            .bind(event.project.map(ProjectId::uuid))
            .bind(event.scenario.map(ScenarioId::uuid))
            .bind(event.run.map(RunId::uuid))
            .bind(event.operation)
            .bind(event.status.map(StatusName::as_str))
            .bind(event.version)
            .bind(Json(&event.body))
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

macro_rules! append_of_scenario_sql {
    ($place:expr) => {
        concat!(
            "INSERT INTO events (tx, n, at, kind, owner_id, project_id, scenario_id, run_id, operation_id,
                                 status, version, body)
             SELECT ",
            $place,
            ", $1, $2, p.owner_id, p.id, s.id, $4, $4, s.status, s.version, $5
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.id = $3"
        )
    };
}

const APPEND_OF_SCENARIO_POSTGRES: &str = append_of_scenario_sql!(place_postgres!());
const APPEND_OF_SCENARIO_SQLITE: &str = append_of_scenario_sql!(place_sqlite!());

/// Stores an event of a scenario, as the transaction leaves its row: with owner, project, status and version.
pub async fn append_of_scenario(
    connection: &mut Connection,
    kind: Kind,
    scenario: ScenarioId,
    run: Option<RunId>,
    body: Map<String, Value>,
    at: Timestamp,
) -> Result<()> {
    let sql = match connection {
        Connection::Postgres(_) => APPEND_OF_SCENARIO_POSTGRES,
        Connection::Sqlite(_) => APPEND_OF_SCENARIO_SQLITE,
    };
    on!(connection, c => {
        sqlx::query(sql)
            .bind(at)
            .bind(kind.as_str())
            .bind(scenario.uuid())
            .bind(run.map(RunId::uuid))
            .bind(Json(&body))
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Stores that scenarios were made, with what is told of each.
pub(crate) async fn append_created(
    connection: &mut Connection,
    created: &[(&Scenario, Map<String, Value>)],
) -> Result<()> {
    let place = match connection {
        Connection::Postgres(_) => concat!(place_postgres!(), " + "),
        Connection::Sqlite(_) => concat!(place_sqlite!(), " + "),
    };
    on!(connection, c => {
        let mut query = QueryBuilder::new(
            "INSERT INTO events (tx, n, at, kind, owner_id, project_id, scenario_id, status, version, body) ",
        );
        query.push_values(created.iter().enumerate(), |mut row, (n, (scenario, told))| {
            row.push(place)
                .push_unseparated(n)
                .push_bind(scenario.created_at)
                .push_bind(Kind::Created.as_str())
                .push("(SELECT p.owner_id FROM projects p WHERE p.id = ")
                .push_bind_unseparated(scenario.project_id.uuid())
                .push_unseparated(")")
                .push_bind(scenario.project_id.uuid())
                .push_bind(scenario.id.uuid())
                .push_bind(scenario.status.name().as_str())
                .push_bind(scenario.version)
                .push_bind(Json(told));
        });
        query.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

macro_rules! append_of_project_sql {
    ($place:expr) => {
        concat!(
            "INSERT INTO events (tx, n, at, kind, owner_id, project_id, scenario_id, status, version, body)
             SELECT ",
            $place,
            " - 1 + ROW_NUMBER() OVER (ORDER BY s.id), $1, $2, p.owner_id, p.id, s.id, s.status, s.version, $4
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE p.id = $3"
        )
    };
}

const APPEND_OF_PROJECT_POSTGRES: &str = append_of_project_sql!(place_postgres!());
const APPEND_OF_PROJECT_SQLITE: &str = append_of_project_sql!(place_sqlite!());

/// Stores the same event of every scenario of a project.
pub(crate) async fn append_of_project(
    connection: &mut Connection,
    kind: Kind,
    project: ProjectId,
    at: Timestamp,
) -> Result<()> {
    let sql = match connection {
        Connection::Postgres(_) => APPEND_OF_PROJECT_POSTGRES,
        Connection::Sqlite(_) => APPEND_OF_PROJECT_SQLITE,
    };
    on!(connection, c => {
        sqlx::query(sql)
            .bind(at)
            .bind(kind.as_str())
            .bind(project.uuid())
            .bind(Json(Map::<String, Value>::new()))
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

macro_rules! append_completed_sql {
    ($place:expr) => {
        concat!(
            "INSERT INTO events (tx, n, at, kind, owner_id, project_id, operation_id, body)
             SELECT ",
            $place,
            ", $1, 'completed', p.owner_id, p.id, o.id, $2
             FROM operations o
             JOIN projects p ON p.id = o.project_id
             WHERE o.id = $3"
        )
    };
}

const APPEND_COMPLETED_POSTGRES: &str = append_completed_sql!(place_postgres!());
const APPEND_COMPLETED_SQLITE: &str = append_completed_sql!(place_sqlite!());

/// Stores that an operation has ended, and in which state.
pub(crate) async fn append_completed(
    connection: &mut Connection,
    operation: OperationId,
    state: State,
    at: Timestamp,
) -> Result<()> {
    let sql = match connection {
        Connection::Postgres(_) => APPEND_COMPLETED_POSTGRES,
        Connection::Sqlite(_) => APPEND_COMPLETED_SQLITE,
    };
    let told = Map::from_iter([("state".to_owned(), Value::from(state.as_str()))]);
    on!(connection, c => {
        sqlx::query(sql).bind(at).bind(Json(told)).bind(operation.uuid()).execute(c).await.map(drop)
    })?;
    Ok(())
}

macro_rules! append_stale_sql {
    ($place:expr) => {
        concat!(
            "INSERT INTO events (tx, n, at, kind, owner_id, project_id, scenario_id, run_id, status, version, body)
             SELECT ",
            $place,
            " - 1 + ROW_NUMBER() OVER (ORDER BY s.id),
                    $1, 'stale', p.owner_id, p.id, s.id, s.run_id, s.status, s.version, $2
             FROM scenarios s
             JOIN projects p ON p.id = s.project_id
             WHERE s.status = 'calculated' AND s.process = $3 AND s.feedstock = $4 AND s.country = $5
               AND NOT EXISTS (
                   SELECT 1 FROM events e
                   WHERE e.kind = 'stale' AND e.scenario_id = s.id AND e.run_id = s.run_id)"
        )
    };
}

const APPEND_STALE_POSTGRES: &str = append_stale_sql!(place_postgres!());
const APPEND_STALE_SQLITE: &str = append_stale_sql!(place_sqlite!());

/// Tells, once for each result, that the defaults have changed from which it was calculated.
pub(crate) async fn append_stale(connection: &mut Connection, pathway: &Pathway, at: Timestamp) -> Result<()> {
    let sql = match connection {
        Connection::Postgres(_) => APPEND_STALE_POSTGRES,
        Connection::Sqlite(_) => APPEND_STALE_SQLITE,
    };
    on!(connection, c => {
        sqlx::query(sql)
            .bind(at)
            .bind(Json(Map::<String, Value>::new()))
            .bind(&pathway.process)
            .bind(&pathway.feedstock)
            .bind(&pathway.country)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

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
        Ok(Self { place: Place { tx: row.tx, n: row.n }, what, zone })
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
                    e.run_id, e.operation_id, e.status, e.version, e.body, u.zone_id
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
    let sql = match connection {
        Connection::Postgres(_) => AFTER_POSTGRES,
        Connection::Sqlite(_) => AFTER_SQLITE,
    };
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

/// Gives up the oldest events that wait to be published, where there are more than `most`; returns whether there were.
pub async fn bound_unpublished(connection: &mut Connection, most: i64) -> Result<bool> {
    let Place { tx, n } = mark(connection, Mark::Published).await?;
    let last: Option<(i64, i64)> = on!(&mut *connection, c => {
        sqlx::query_as("SELECT tx, n FROM events WHERE (tx, n) > ($1, $2) ORDER BY tx DESC, n DESC LIMIT 1 OFFSET $3")
            .bind(tx)
            .bind(n)
            .bind(most)
            .fetch_optional(c)
            .await
    })?;
    let Some((tx, n)) = last else { return Ok(false) };
    move_mark(connection, Mark::Published, Place { tx, n }).await?;
    Ok(true)
}
