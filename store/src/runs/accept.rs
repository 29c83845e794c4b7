//! A run begins: stored, and its scenario moved, in one transaction.

use safire_domain::{
    RunId, ScenarioId, Timestamp,
    engine::{Analysis, ENGINE_VERSION, InputDocument, Invalid},
    event,
    lifecycle::{Event, Refused, Rest, RunState, Status},
    run::{Kind, Order, Run, Snapshot, fingerprint},
    scenario::Scenario,
    user::Access,
};
use serde_json::{Map, json};
use sqlx::types::Json;

use super::{Assignment, Lease, Row, TABLE, by_id, columns, lease_until_postgres};
use crate::{
    Connection, Error, Result,
    access::{Right, Written},
    connection::on,
    events,
    idempotency::{self, Key, Known},
    master_data, scenarios,
};

/// How often an acceptance is tried again when others change the scenario meanwhile.
const TRIES: usize = 5;

/// What a calculation is to find out.
#[derive(Debug, Clone)]
pub enum Ask {
    /// This of the scenario as it is.
    Analysis(Box<Analysis>),
    /// What a failed run was to find out, as it was then.
    Again(RunId),
}

/// A request for a calculation.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub access: Access,
    /// The name that they gave the request, if they did.
    pub key: Option<Key>,
    /// Which scenario.
    pub scenario: ScenarioId,
    /// What is asked for.
    pub ask: Ask,
    /// The scenario's inputs that are to be stored and calculated, instead of those that it has.
    pub inputs: Option<Box<InputDocument>>,
    /// The versions of the scenario of which the request may be; of any when there are none.
    pub versions: Option<Vec<i64>>,
    /// The id that a new run gets.
    pub run: RunId,
    /// Who will calculate it.
    pub lease: Lease,
    /// The present.
    pub now: Timestamp,
}

/// The answer to a request for a calculation.
#[derive(Debug)]
pub enum Accepted {
    /// A new run, stored.
    New(Run, Box<Assignment>),
    /// The run that computes, or has computed, just that.
    Same(Run),
    /// A run of the same kind with other inputs is in motion.
    Busy(RunId),
    /// The scenario has none of the versions that the request may be of.
    Changed,
    /// The scenario's inputs cannot be calculated.
    Invalid(Invalid),
    /// What was asked cannot be answered for these inputs.
    InvalidAnalysis(Invalid),
    /// The user may see the scenario but not change it.
    Forbidden,
    /// For the user there is no such scenario.
    Unknown,
    /// The scenario has no such run.
    UnknownRun,
    /// The run that is to be tried again has not failed.
    NotFailed(RunState),
    /// The user sent another request under this key.
    OtherRequest,
    /// The same request is being accepted at this moment, by another process.
    InProgress,
}

/// Accepts a calculation, in one transaction that stores the run and moves the scenario.
pub async fn accept(connection: &mut Connection, request: Request) -> Result<Accepted> {
    for _ in 0..TRIES {
        let request = request.clone();
        let answer = connection.transaction(|c| Box::pin(accept_once(c, request))).await;
        match answer {
            Err(Error::Contended) => {}
            settled => return settled,
        }
    }
    Err(Error::Contended)
}

/// A request that was accepted under this key gets the run that it got then, as that is now.
async fn accept_once(connection: &mut Connection, request: Request) -> Result<Accepted> {
    match idempotency::look_up(connection, request.key.as_ref(), request.now).await? {
        Known::New => {}
        Known::Done(run) => return Ok(by_id(connection, run).await?.map_or(Accepted::Unknown, Accepted::Same)),
        Known::Other => return Ok(Accepted::OtherRequest),
        Known::InProgress => return Ok(Accepted::InProgress),
    }
    let accepted = try_accept(connection, &request).await?;
    if let Accepted::New(run, _) | Accepted::Same(run) = &accepted {
        idempotency::remember(connection, request.key.as_ref(), &run.id, request.now).await?;
    }
    Ok(accepted)
}

async fn try_accept(connection: &mut Connection, request: &Request) -> Result<Accepted> {
    let Some((stored, right)) = scenarios::find_with_right(connection, request.access, request.scenario).await? else {
        return Ok(Accepted::Unknown);
    };
    if right != Right::Write {
        return Ok(Accepted::Forbidden);
    }
    if request.versions.as_ref().is_some_and(|versions| !versions.contains(&stored.version)) {
        return Ok(Accepted::Changed);
    }
    let scenario = edited(&stored, request.inputs.as_deref());
    let (revision, edition, snapshot) = match &request.ask {
        Ask::Analysis(analysis) => {
            let (edition, defaults) = master_data::defaults_of(connection, &scenario.pathway).await?;
            let (defaults, analysis) = (defaults.map(|set| set.inputs), (**analysis).clone());
            (scenario.revision, edition, Snapshot { given: scenario.inputs.clone(), defaults, analysis })
        }
        Ask::Again(run) => match failed(connection, scenario.id, *run).await? {
            Failed::Yes(revision, edition, snapshot) => (revision, edition, *snapshot),
            Failed::No(state) => return Ok(Accepted::NotFailed(state)),
            Failed::Unknown => return Ok(Accepted::UnknownRun),
        },
    };
    let inputs = match snapshot.resolve() {
        Ok(resolved) => resolved.inputs,
        Err(invalid) => return Ok(Accepted::Invalid(invalid)),
    };
    let order = Order { inputs, analysis: snapshot.analysis.clone() };
    if let Err(invalid) = order.analysis.start(&order.inputs) {
        return Ok(Accepted::InvalidAnalysis(invalid));
    }
    let (fingerprint, kind) = (fingerprint(&order), Kind::of(&order.analysis));
    let current = current(connection, &scenario, kind).await?;
    if matches!(request.ask, Ask::Analysis(_))
        && let Some(run) = current.as_ref().filter(|run| run.fingerprint == fingerprint)
    {
        keep(connection, request, &stored, &scenario).await?;
        return adopt(connection, run.clone(), scenario.revision, edition).await.map(Accepted::Same);
    }
    if let Some(run) = current.filter(|run| !run.state.has_ended()) {
        return Ok(Accepted::Busy(run.id));
    }
    // Other analyses are beside the scenario's status.
    let status = match scenario.status.after(Event::Accepted(request.run)) {
        _ if kind != Kind::Base => scenario.status,
        Ok(status) => status,
        Err(Refused::Busy(run) | Refused::Stale(run)) => return Ok(Accepted::Busy(run)),
    };
    let version = keep(connection, request, &stored, &scenario).await?;
    let begun = match kind {
        Kind::Base => scenarios::begin(connection, scenario.id, version, status, request.now).await?,
        _ => scenarios::lock(connection, scenario.id).await?,
    };
    if !begun {
        return Err(Error::Contended);
    }
    let run = Run {
        id: request.run,
        scenario_id: scenario.id,
        revision,
        analysis: kind,
        state: RunState::Queued,
        attempt: 1,
        advance: None,
        fingerprint,
        engine_version: ENGINE_VERSION.to_owned(),
        edition,
        failure: None,
        created_at: request.now,
        finished_at: None,
    };
    insert(connection, &run, &snapshot, request.lease).await?;
    let told = Map::from_iter([("analysis".to_owned(), json!(run.analysis))]);
    let calculating = event::Kind::Calculating;
    events::append_of_scenario(connection, calculating, scenario.id, Some(run.id), told, request.now).await?;
    let assignment = Assignment { run: run.id, scenario: scenario.id, attempt: run.attempt, order };
    Ok(Accepted::New(run, Box::new(assignment)))
}

/// The scenario with the inputs of the request.
fn edited(scenario: &Scenario, inputs: Option<&InputDocument>) -> Scenario {
    let scenario = scenario.clone();
    let Some(inputs) = inputs else { return scenario };
    let pathway = scenario.pathway.clone();
    scenario.revised(pathway, inputs.clone())
}

/// Stores the inputs of the request, if they are others; returns the scenario's version then.
async fn keep(connection: &mut Connection, request: &Request, stored: &Scenario, edited: &Scenario) -> Result<i64> {
    if edited == stored {
        return Ok(stored.version);
    }
    match scenarios::update_within(connection, request.access, edited, request.now).await? {
        Written::Yes => Ok(stored.version + 1),
        _ => Err(Error::Contended),
    }
}

/// What a run was to compute, if it has failed.
enum Failed {
    Yes(i64, i64, Box<Snapshot>),
    No(RunState),
    Unknown,
}

async fn failed(connection: &mut Connection, scenario: ScenarioId, run: RunId) -> Result<Failed> {
    let row: Option<(String, i64, i64, Json<Snapshot>)> = on!(connection, c => {
        sqlx::query_as("SELECT state, revision, edition, snapshot FROM runs WHERE id = $1 AND scenario_id = $2")
            .bind(run.uuid())
            .bind(scenario.uuid())
            .fetch_optional(c)
            .await
    })?;
    let Some((state, revision, edition, snapshot)) = row else { return Ok(Failed::Unknown) };
    match RunState::from_name(&state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))? {
        RunState::Failed => Ok(Failed::Yes(revision, edition, Box::new(snapshot.0))),
        state => Ok(Failed::No(state)),
    }
}

/// The scenario's run of that kind that is in motion, or whose result stands.
async fn current(connection: &mut Connection, scenario: &Scenario, kind: Kind) -> Result<Option<Run>> {
    if kind == Kind::Base {
        return match scenario.status {
            Status::Calculating { run, .. } | Status::Resting(Rest::Calculated(run)) => by_id(connection, run).await,
            Status::Resting(Rest::Draft | Rest::Failed(_)) => Ok(None),
        };
    }
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(concat!(
            "SELECT ", columns!(), "
             FROM runs r
             WHERE r.scenario_id = $1 AND r.analysis = $2 AND r.state IN ('queued', 'running', 'succeeded')
             ORDER BY CASE WHEN r.state = 'succeeded' THEN 1 ELSE 0 END, r.id DESC
             LIMIT 1",
        ))
        .bind(scenario.id.uuid())
        .bind(kind.as_str())
        .fetch_optional(c)
        .await
    })?;
    row.map(Run::try_from).transpose()
}

/// The run computes this revision with this edition too: say so, lest its result be called stale.
async fn adopt(connection: &mut Connection, run: Run, revision: i64, edition: i64) -> Result<Run> {
    if (run.revision, run.edition) != (revision, edition) {
        on!(connection, c => {
            sqlx::query("UPDATE runs SET revision = $1, edition = $2 WHERE id = $3")
                .bind(revision)
                .bind(edition)
                .bind(run.id.uuid())
                .execute(c)
                .await
                .map(drop)
        })?;
    }
    Ok(Run { revision, edition, ..run })
}

macro_rules! insert_sql {
    ($until:expr) => {
        concat!(
            "INSERT INTO runs (id, scenario_id, revision, fingerprint, engine_version, edition, snapshot, state,
                               attempt, lease_owner, lease_until, created_at, analysis)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, ",
            $until,
            ", $12, $13)"
        )
    };
}

const INSERT_POSTGRES: &str = insert_sql!(lease_until_postgres!("$11"));
const INSERT_SQLITE: &str = insert_sql!("NULL");

/// Another process may have accepted one of the same kind at this moment.
async fn insert(connection: &mut Connection, run: &Run, snapshot: &Snapshot, lease: Lease) -> Result<()> {
    let sql = connection.sql(INSERT_POSTGRES, INSERT_SQLITE);
    let inserted = on!(connection, c => {
        sqlx::query(sql)
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
        .bind(lease.length.as_secs_f64())
        .bind(run.created_at)
        .bind(run.analysis.as_str())
        .execute(c)
        .await
        .map(drop)
    });
    inserted.map_err(|error| match error.into() {
        Error::Duplicate(_) => Error::Contended,
        error => error,
    })
}
