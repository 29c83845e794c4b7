//! A run ends, once: with a result, with a failure, or because it was called off.

use safire_domain::{
    NodeId, RunId, ScenarioId, Timestamp,
    engine::Failure,
    event,
    lifecycle::{Event, RunEvent, RunState},
    run::{Findings, Kind, Outcome},
    user::Access,
};
use serde_json::{Map, Value, json};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::{TABLE, base};
use crate::{Connection, Error, Result, access::Right, connection::on, events, scenarios};

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
    /// The scenario has no such run.
    UnknownRun,
}

/// How often a cancellation is tried again when the run changes hands meanwhile.
const TRIES: usize = 5;

/// Cancels a run in motion: the one that is named, else that of the base analysis, else the newest.
pub async fn cancel(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    run: Option<RunId>,
    now: Timestamp,
) -> Result<Cancelled> {
    for _ in 0..TRIES {
        match cancel_once(connection, access, scenario, run, now).await {
            Err(Error::Contended) => {}
            settled => return settled,
        }
    }
    Err(Error::Contended)
}

async fn cancel_once(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    run: Option<RunId>,
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
                let run = match run {
                    Some(run) => run,
                    None => match newest_in_motion(c, scenario.id).await? {
                        Some(run) => run,
                        None => return Ok(Cancelled::NotInMotion),
                    },
                };
                let Some(found) = motion(c, run).await?.filter(|found| found.scenario_id == scenario.id.uuid()) else {
                    return Ok(Cancelled::UnknownRun);
                };
                if found.state()?.has_ended() {
                    return Ok(Cancelled::NotInMotion);
                }
                match end(c, found, Ending::Cancelled, now).await? {
                    true => Ok(Cancelled::Yes(run)),
                    // It ended at this moment, or changed hands.
                    false => Err(Error::Contended),
                }
            })
        })
        .await
}

/// The run of the base analysis that is in motion, or else the newest in motion.
async fn newest_in_motion(connection: &mut Connection, scenario: ScenarioId) -> Result<Option<RunId>> {
    let run: Option<Uuid> = on!(connection, c => {
        sqlx::query_scalar(
            "SELECT id
             FROM runs
             WHERE scenario_id = $1 AND state IN ('queued', 'running')
             ORDER BY CASE WHEN analysis = 'base' THEN 0 ELSE 1 END, id DESC
             LIMIT 1",
        )
        .bind(scenario.uuid())
        .fetch_optional(c)
        .await
    })?;
    Ok(run.map(RunId::from))
}

pub(super) enum Ending {
    Succeeded(Box<Findings>),
    Failed(Failure),
    Cancelled,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(findings) => Self::Succeeded(Box::new(findings)),
            Err(failure) => Self::Failed(failure),
        }
    }
}

impl Ending {
    /// What is told of it.
    fn told(&self) -> (event::Kind, Map<String, Value>) {
        let (kind, told) = match self {
            Self::Succeeded(findings) => (event::Kind::Calculated, base::figures(&findings.base).to_vec()),
            Self::Failed(failure) => (event::Kind::Failed, vec![("failure", json!(failure))]),
            Self::Cancelled => (event::Kind::Cancelled, Vec::new()),
        };
        (kind, told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// A run and its scenario's status, as a decision needs them.
#[derive(FromRow)]
pub(super) struct Motion {
    id: Uuid,
    scenario_id: Uuid,
    analysis: String,
    state: String,
    attempt: i64,
    lease_owner: Option<Uuid>,
    #[sqlx(flatten)]
    status: scenarios::StatusRow,
}

impl Motion {
    fn state(&self) -> Result<RunState> {
        RunState::from_name(&self.state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))
    }

    fn kind(&self) -> Result<Kind> {
        Kind::from_name(&self.analysis).ok_or_else(|| Error::corrupt(TABLE, "unknown analysis"))
    }
}

pub(super) async fn motion(connection: &mut Connection, run: RunId) -> Result<Option<Motion>> {
    Ok(on!(connection, c => {
        sqlx::query_as(
            "SELECT r.id, r.scenario_id, r.analysis, r.state, r.attempt, r.lease_owner,
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

/// Ends a run, moves its scenario and tells of it, if both still stand where they were read: a run that was given back
/// and taken up meanwhile has the same attempt, but another owner.
pub(super) async fn end(connection: &mut Connection, found: Motion, ending: Ending, now: Timestamp) -> Result<bool> {
    let run = RunId::from(found.id);
    let (kind, (event_kind, mut told)) = (found.kind()?, ending.told());
    let (run_event, event, findings, failure) = match ending {
        Ending::Succeeded(findings) => (RunEvent::Succeeded, Event::Succeeded(run), Some(*findings), None),
        Ending::Failed(failure) => (RunEvent::Failed, Event::Failed(run), None, Some(failure)),
        Ending::Cancelled => (RunEvent::Cancelled, Event::Cancelled(run), None, None),
    };
    let (result, analysis) = findings.map_or((None, None), |found| (Some(found.base), found.analysis));
    let (Ok(state), status) = (found.state()?.after(run_event), found.status.read()?) else { return Ok(false) };
    // Other analyses are beside the scenario's status, unless a replica of an older version began this one.
    let status = match status.after(event) {
        Ok(status) => Some(status),
        Err(_) if kind == Kind::Base => return Ok(false),
        Err(_) => None,
    };
    let is_success = state == RunState::Succeeded;
    let changed = on!(&mut *connection, c => {
        sqlx::query(
            "UPDATE runs
             SET state = $1, result = $2, failure = $3, finished_at = $4, analysis_result = $7,
                 lease_owner = NULL, lease_until = NULL
             WHERE id = $5 AND attempt = $6 AND lease_owner IS NOT DISTINCT FROM $8
               AND state IN ('queued', 'running')",
        )
        .bind(state.as_str())
        .bind(result.map(Json))
        .bind(failure.map(Json))
        .bind(now)
        .bind(found.id)
        .bind(found.attempt)
        .bind(analysis.map(Json))
        .bind(found.lease_owner)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    if changed == 0 {
        return Ok(false);
    }
    let scenario = found.scenario_id.into();
    if let Some(status) = status
        && !scenarios::end(connection, scenario, run, status, now).await?
    {
        return Err(Error::corrupt(TABLE, "a run in motion whose scenario is at rest"));
    }
    told.insert("analysis".to_owned(), json!(kind));
    events::append_of_scenario(connection, event_kind, scenario, Some(run), told, now).await?;
    if is_success && status.is_none() {
        base::keep(connection, run, now).await?;
    }
    Ok(true)
}
