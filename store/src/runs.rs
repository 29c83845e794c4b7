//! Runs: accepted in one transaction, owned under a lease, ended exactly once.
//!
//! Every change is a compare-and-set on id, state and attempt. What may change into what is decided
//! by [`safire_domain::lifecycle`]; a change that comes too late writes nothing.

use safire_domain::{
    NodeId, RunId, ScenarioId, Timestamp,
    engine::{BaseAnalysis, ENGINE_VERSION, Failure, Inputs, Invalid},
    lifecycle::{Event, Refused, Rest, RunEvent, RunState, Status},
    run::{MAX_ATTEMPTS, Outcome, Run, Snapshot, fingerprint},
    user::Access,
};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{
    Connection, Error, Result,
    access::{Right, readable},
    connection::on,
    master_data, scenarios,
};

const TABLE: &str = "runs";

/// How often an acceptance is tried again when others change the scenario meanwhile.
const TRIES: usize = 5;

#[derive(FromRow)]
struct Row {
    id: Uuid,
    scenario_id: Uuid,
    revision: i64,
    fingerprint: String,
    engine_version: String,
    edition: i64,
    state: String,
    attempt: i64,
    failure: Option<Json<Failure>>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

impl TryFrom<Row> for Run {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            scenario_id: row.scenario_id.into(),
            revision: row.revision,
            state: RunState::from_name(&row.state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))?,
            attempt: row.attempt,
            fingerprint: row.fingerprint,
            engine_version: row.engine_version,
            edition: row.edition,
            failure: row.failure.map(|json| json.0),
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// A process's hold on the runs that it works on.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// Who holds it.
    pub owner: NodeId,
    /// Until when, unless it is renewed.
    pub until: Timestamp,
}

/// A request for a calculation.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Who asks.
    pub access: Access,
    /// Which scenario.
    pub scenario: ScenarioId,
    /// The id that a new run gets.
    pub run: RunId,
    /// Who will calculate it.
    pub lease: Lease,
    /// The present.
    pub now: Timestamp,
}

/// A run that this process is to calculate.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The run.
    pub run: RunId,
    /// Its scenario.
    pub scenario: ScenarioId,
    /// Which attempt this is; a result of another attempt is refused.
    pub attempt: i64,
    /// What to calculate.
    pub inputs: Inputs,
}

/// The answer to a request for a calculation.
#[derive(Debug)]
pub enum Accepted {
    /// A new run, stored.
    New(Run, Box<Assignment>),
    /// The run that computes, or has computed, just that.
    Same(Run),
    /// A run with other inputs is in motion.
    Busy(RunId),
    /// The scenario's inputs cannot be calculated.
    Invalid(Invalid),
    /// The user may see the scenario but not change it.
    Forbidden,
    /// For the user there is no such scenario.
    Unknown,
}

/// Accepts a calculation, in one transaction that stores the run and moves the scenario.
pub async fn accept(connection: &mut Connection, request: Request) -> Result<Accepted> {
    for _ in 0..TRIES {
        let answer = connection.transaction(|c| Box::pin(try_accept(c, request))).await;
        match answer {
            Err(Error::Contended) => {}
            settled => return settled,
        }
    }
    Err(Error::Contended)
}

async fn try_accept(connection: &mut Connection, request: Request) -> Result<Accepted> {
    let Some((scenario, right)) = scenarios::find_with_right(connection, request.access, request.scenario).await?
    else {
        return Ok(Accepted::Unknown);
    };
    if right != Right::Write {
        return Ok(Accepted::Forbidden);
    }
    let edition = master_data::edition(connection).await?;
    let defaults = master_data::default_set(connection, &scenario.pathway).await?;
    let snapshot = Snapshot { given: scenario.inputs, defaults };
    let inputs = match snapshot.resolve() {
        Ok(resolved) => resolved.inputs,
        Err(invalid) => return Ok(Accepted::Invalid(invalid)),
    };
    let fingerprint = fingerprint(&inputs, edition);
    if let Some(run) = same(connection, scenario.status, &fingerprint).await? {
        return adopt(connection, run, scenario.revision).await.map(Accepted::Same);
    }
    let status = match scenario.status.after(Event::Accepted(request.run)) {
        Ok(status) => status,
        Err(Refused::Busy(run) | Refused::Stale(run)) => return Ok(Accepted::Busy(run)),
    };
    if !scenarios::begin(connection, scenario.id, scenario.version, status, request.now).await? {
        return Err(Error::Contended);
    }
    let run = Run {
        id: request.run,
        scenario_id: scenario.id,
        revision: scenario.revision,
        state: RunState::Queued,
        attempt: 1,
        fingerprint,
        engine_version: ENGINE_VERSION.to_owned(),
        edition,
        failure: None,
        created_at: request.now,
        finished_at: None,
    };
    insert(connection, &run, &snapshot, request.lease).await?;
    let assignment = Assignment { run: run.id, scenario: scenario.id, attempt: run.attempt, inputs };
    Ok(Accepted::New(run, Box::new(assignment)))
}

/// The run in motion, or the one whose result stands, if it computes the same.
async fn same(connection: &mut Connection, status: Status, fingerprint: &str) -> Result<Option<Run>> {
    let (Status::Calculating { run, .. } | Status::Resting(Rest::Calculated(run))) = status else { return Ok(None) };
    Ok(by_id(connection, run).await?.filter(|run| run.fingerprint == fingerprint))
}

/// The run computes this revision too: say so, lest its result be called stale.
async fn adopt(connection: &mut Connection, run: Run, revision: i64) -> Result<Run> {
    if run.revision != revision {
        on!(connection, c => {
            sqlx::query("UPDATE runs SET revision = $1 WHERE id = $2")
                .bind(revision)
                .bind(run.id.uuid())
                .execute(c)
                .await
                .map(drop)
        })?;
    }
    Ok(Run { revision, ..run })
}

async fn insert(connection: &mut Connection, run: &Run, snapshot: &Snapshot, lease: Lease) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO runs (id, scenario_id, revision, fingerprint, engine_version, edition, snapshot, state,
                               attempt, lease_owner, lease_until, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(run.id.uuid())
        .bind(run.scenario_id.uuid())
        .bind(run.revision)
        .bind(&run.fingerprint)
        .bind(&run.engine_version)
        .bind(run.edition)
        .bind(Json(snapshot))
        .bind(run.state.as_str())
        .bind(run.attempt)
        .bind(lease.owner.uuid())
        .bind(lease.until)
        .bind(run.created_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

async fn by_id(connection: &mut Connection, id: RunId) -> Result<Option<Run>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT id, scenario_id, revision, fingerprint, engine_version, edition, state, attempt, failure,
                    created_at, finished_at
             FROM runs
             WHERE id = $1",
        )
        .bind(id.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Run::try_from).transpose()
}

/// Records that a thread has taken the run up.
pub async fn start(connection: &mut Connection, run: RunId, attempt: i64, owner: NodeId) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "UPDATE runs
             SET state = 'running'
             WHERE id = $1 AND attempt = $2 AND lease_owner = $3 AND state = 'queued'",
        )
        .bind(run.uuid())
        .bind(attempt)
        .bind(owner.uuid())
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// Commits how an attempt ended; `false` when the run is no longer that attempt of that owner, and
/// nothing was written.
pub async fn settle(
    connection: &mut Connection,
    run: RunId,
    attempt: i64,
    owner: NodeId,
    outcome: Outcome,
    now: Timestamp,
) -> Result<bool> {
    connection
        .transaction(|c| {
            Box::pin(async move {
                let Some(found) = motion(c, run).await? else { return Ok(false) };
                if (found.attempt, found.lease_owner) != (attempt, Some(owner.uuid())) {
                    return Ok(false);
                }
                end(c, found, Ending::from(outcome), now).await
            })
        })
        .await
}

/// The answer to a request to call a calculation off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The run ended as cancelled.
    Yes(RunId),
    /// Nothing was in motion.
    NotInMotion,
    /// The user may see the scenario but not change it.
    Forbidden,
    /// For the user there is no such scenario.
    Unknown,
}

/// Calls off the run in motion; the scenario returns to where it was.
pub async fn cancel(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    now: Timestamp,
) -> Result<Cancelled> {
    connection
        .transaction(|c| {
            Box::pin(async move {
                let Some((scenario, right)) = scenarios::find_with_right(c, access, scenario).await? else {
                    return Ok(Cancelled::Unknown);
                };
                if right != Right::Write {
                    return Ok(Cancelled::Forbidden);
                }
                let Some(run) = scenario.status.in_motion() else { return Ok(Cancelled::NotInMotion) };
                let Some(found) = motion(c, run).await? else { return Ok(Cancelled::NotInMotion) };
                let ended = end(c, found, Ending::Cancelled, now).await?;
                Ok(if ended { Cancelled::Yes(run) } else { Cancelled::NotInMotion })
            })
        })
        .await
}

enum Ending {
    Succeeded(Box<BaseAnalysis>),
    Failed(Failure),
    Cancelled,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(result) => Self::Succeeded(Box::new(result)),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// A run and its scenario's status, as a decision needs them.
#[derive(FromRow)]
struct Motion {
    id: Uuid,
    scenario_id: Uuid,
    state: String,
    attempt: i64,
    lease_owner: Option<Uuid>,
    #[sqlx(flatten)]
    status: scenarios::StatusRow,
}

async fn motion(connection: &mut Connection, run: RunId) -> Result<Option<Motion>> {
    Ok(on!(connection, c => {
        sqlx::query_as(
            "SELECT r.id, r.scenario_id, r.state, r.attempt, r.lease_owner,
                    s.status, s.run_id, s.rest_status, s.rest_run_id
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             WHERE r.id = $1",
        )
        .bind(run.uuid())
        .fetch_optional(c)
        .await
    })?)
}

/// Ends a run and moves its scenario, if both still stand where they were read.
async fn end(connection: &mut Connection, found: Motion, ending: Ending, now: Timestamp) -> Result<bool> {
    let run = RunId::from(found.id);
    let (run_event, event, result, failure) = match ending {
        Ending::Succeeded(result) => (RunEvent::Succeeded, Event::Succeeded(run), Some(Json(result)), None),
        Ending::Failed(failure) => (RunEvent::Failed, Event::Failed(run), None, Some(Json(failure))),
        Ending::Cancelled => (RunEvent::Cancelled, Event::Cancelled(run), None, None),
    };
    let state = RunState::from_name(&found.state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))?;
    let (Ok(state), Ok(status)) = (state.after(run_event), found.status.read()?.after(event)) else {
        return Ok(false);
    };
    let changed = on!(&mut *connection, c => {
        sqlx::query(
            "UPDATE runs
             SET state = $1, result = $2, failure = $3, finished_at = $4, lease_owner = NULL, lease_until = NULL
             WHERE id = $5 AND attempt = $6 AND state IN ('queued', 'running')",
        )
        .bind(state.as_str())
        .bind(result)
        .bind(failure)
        .bind(now)
        .bind(found.id)
        .bind(found.attempt)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    if changed == 0 {
        return Ok(false);
    }
    if !scenarios::end(connection, found.scenario_id.into(), run, status, now).await? {
        return Err(Error::corrupt(TABLE, "a run in motion whose scenario is at rest"));
    }
    Ok(true)
}

/// Which runs in motion to take over.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The new hold on them.
    pub lease: Lease,
    /// Runs of others whose lease ended before this are abandoned.
    pub abandoned_before: Timestamp,
    /// Whether to begin this process's own runs again as well: its memory of them is gone.
    pub own: bool,
    /// Only this scenario's: its actor failed, perhaps because of the run, so that this costs the run
    /// an attempt. Own runs of all scenarios are begun again at no cost, for they did nothing wrong.
    pub scenario: Option<ScenarioId>,
    /// At most so many.
    pub limit: i64,
    /// The present.
    pub now: Timestamp,
}

#[derive(FromRow)]
struct ClaimedRow {
    id: Uuid,
    scenario_id: Uuid,
    attempt: i64,
    snapshot: Json<Snapshot>,
}

macro_rules! claim_sql {
    ($lock:literal) => {
        concat!(
            "UPDATE runs
             SET lease_owner = $1,
                 lease_until = $2,
                 attempt = attempt + CASE WHEN lease_owner = $1 AND $5 IS NULL THEN 0 ELSE 1 END,
                 state = 'queued'
             WHERE id IN (
                 SELECT id
                 FROM runs
                 WHERE state IN ('queued', 'running')
                   AND (lease_owner IS NULL OR (lease_owner = $1 AND $4) OR (lease_owner <> $1 AND lease_until < $3))
                   AND ($5 IS NULL OR scenario_id = $5)
                 ORDER BY id
                 LIMIT $6 ",
            $lock,
            ")
             RETURNING id, scenario_id, attempt, snapshot"
        )
    };
}

/// Replicas must not wait for each other's claims; SQLite has one writer and knows no row locks.
const CLAIM_POSTGRES: &str = claim_sql!("FOR UPDATE SKIP LOCKED");
const CLAIM_SQLITE: &str = claim_sql!("");

/// Takes over runs that nobody works on. One that has been begun too often is ended as failed.
pub async fn claim(connection: &mut Connection, claim: Claim) -> Result<Vec<Assignment>> {
    connection.transaction(|c| Box::pin(claim_within(c, claim))).await
}

async fn claim_within(connection: &mut Connection, claim: Claim) -> Result<Vec<Assignment>> {
    let sql = match connection {
        Connection::Postgres(_) => CLAIM_POSTGRES,
        Connection::Sqlite(_) => CLAIM_SQLITE,
    };
    let mut rows: Vec<ClaimedRow> = on!(&mut *connection, c => {
        sqlx::query_as(sql)
            .bind(claim.lease.owner.uuid())
            .bind(claim.lease.until)
            .bind(claim.abandoned_before)
            .bind(claim.own)
            .bind(claim.scenario.map(ScenarioId::uuid))
            .bind(claim.limit)
            .fetch_all(c)
            .await
    })?;
    rows.sort_by_key(|row| row.id);
    let mut assignments = Vec::with_capacity(rows.len());
    for row in rows {
        match assign(&row) {
            Ok(assignment) => assignments.push(assignment),
            Err(failure) => {
                let Some(found) = motion(connection, row.id.into()).await? else { continue };
                end(connection, found, Ending::Failed(failure), claim.now).await?;
            }
        }
    }
    Ok(assignments)
}

fn assign(row: &ClaimedRow) -> std::result::Result<Assignment, Failure> {
    if row.attempt > MAX_ATTEMPTS {
        let message = format!("the run was begun {MAX_ATTEMPTS} times and never ended");
        return Err(Failure::new("run.attempts_exhausted", message));
    }
    let resolved = row.snapshot.0.resolve().map_err(|e| Failure::new("run.inputs_invalid", e.to_string()))?;
    Ok(Assignment {
        run: row.id.into(),
        scenario: row.scenario_id.into(),
        attempt: row.attempt,
        inputs: resolved.inputs,
    })
}

/// Prolongs the hold on all runs of a process.
pub async fn renew(connection: &mut Connection, lease: Lease) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "UPDATE runs
             SET lease_until = $2
             WHERE lease_owner = $1 AND state IN ('queued', 'running')",
        )
        .bind(lease.owner.uuid())
        .bind(lease.until)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// The scenarios whose runs in motion a process holds.
pub async fn held(connection: &mut Connection, owner: NodeId) -> Result<Vec<ScenarioId>> {
    let ids: Vec<Uuid> = on!(connection, c => {
        sqlx::query_scalar("SELECT scenario_id FROM runs WHERE lease_owner = $1 AND state IN ('queued', 'running')")
            .bind(owner.uuid())
            .fetch_all(c)
            .await
    })?;
    Ok(ids.into_iter().map(ScenarioId::from).collect())
}

/// Gives back every run that a process has not finished, without costing it an attempt; returns how
/// many.
pub async fn hand_back(connection: &mut Connection, owner: NodeId) -> Result<u64> {
    Ok(on!(connection, c => {
        sqlx::query(
            "UPDATE runs
             SET state = 'queued', attempt = attempt - 1, lease_owner = NULL, lease_until = NULL
             WHERE lease_owner = $1 AND state IN ('queued', 'running')",
        )
        .bind(owner.uuid())
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?)
}

/// A run of a scenario that the user may see.
pub async fn find(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    run: RunId,
) -> Result<Option<Run>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT r.id, r.scenario_id, r.revision, r.fingerprint, r.engine_version, r.edition, r.state, r.attempt,
                    r.failure, r.created_at, r.finished_at
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.id = $3 AND r.scenario_id = $4 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(run.uuid())
        .bind(scenario.uuid())
        .fetch_optional(c)
        .await
    })?;
    row.map(Run::try_from).transpose()
}

/// The runs of a scenario that the user may see, newest first.
pub async fn list(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    skip: i64,
    limit: i64,
) -> Result<Vec<Run>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT r.id, r.scenario_id, r.revision, r.fingerprint, r.engine_version, r.edition, r.state, r.attempt,
                    r.failure, r.created_at, r.finished_at
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.scenario_id = $3 AND ", readable!(), "
             ORDER BY r.id DESC
             LIMIT $5 OFFSET $4",
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(scenario.uuid())
        .bind(skip)
        .bind(limit)
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Run::try_from).collect()
}

/// How many runs the scenario has had.
pub async fn count(connection: &mut Connection, access: Access, scenario: ScenarioId) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(concat!(
            "SELECT COUNT(*)
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             JOIN projects p ON p.id = s.project_id
             WHERE r.scenario_id = $3 AND ", readable!(),
        ))
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(scenario.uuid())
        .fetch_one(c)
        .await
    })?)
}

/// A run's result with the inputs that gave it; `None` while there is none. The caller has made sure
/// that the user may see the run.
pub async fn result(connection: &mut Connection, run: RunId) -> Result<Option<(BaseAnalysis, Snapshot)>> {
    let row: Option<(Json<BaseAnalysis>, Json<Snapshot>)> = on!(connection, c => {
        sqlx::query_as("SELECT result, snapshot FROM runs WHERE id = $1 AND state = 'succeeded'")
            .bind(run.uuid())
            .fetch_optional(c)
            .await
    })?;
    Ok(row.map(|(result, snapshot)| (result.0, snapshot.0)))
}
