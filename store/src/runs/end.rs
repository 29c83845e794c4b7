//! A run ends, once: with a result, with a failure, or because it was called off.

use safire_domain::{
    NodeId, RunId, ScenarioId, Timestamp,
    engine::Failure,
    event,
    lifecycle::{Event, RunEvent, RunState},
    run::{Findings, Outcome},
    user::Access,
};
use serde_json::{Map, Value, json};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::TABLE;
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
}

/// How often a cancellation is tried again when the run changes hands meanwhile.
const TRIES: usize = 5;

/// Calls off the run in motion; the scenario returns to where it was.
pub async fn cancel(
    connection: &mut Connection,
    access: Access,
    scenario: ScenarioId,
    now: Timestamp,
) -> Result<Cancelled> {
    for _ in 0..TRIES {
        match cancel_once(connection, access, scenario, now).await {
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
                match end(c, found, Ending::Cancelled, now).await? {
                    true => Ok(Cancelled::Yes(run)),
                    // It ended at this moment, or changed hands.
                    false => Err(Error::Contended),
                }
            })
        })
        .await
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
            Self::Succeeded(findings) => {
                let base = &findings.base;
                let figures = vec![("lcop_usd_per_t", json!(base.lcop_usd_per_t)), ("npv_usd", json!(base.npv_usd))];
                (event::Kind::Calculated, figures)
            }
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
    state: String,
    attempt: i64,
    lease_owner: Option<Uuid>,
    #[sqlx(flatten)]
    status: scenarios::StatusRow,
}

pub(super) async fn motion(connection: &mut Connection, run: RunId) -> Result<Option<Motion>> {
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

/// Ends a run, moves its scenario and tells of it, if both still stand where they were read: a run that was given back
/// and taken up meanwhile has the same attempt, but another owner.
pub(super) async fn end(connection: &mut Connection, found: Motion, ending: Ending, now: Timestamp) -> Result<bool> {
    let run = RunId::from(found.id);
    let (kind, told) = ending.told();
    let (run_event, event, findings, failure) = match ending {
        Ending::Succeeded(findings) => (RunEvent::Succeeded, Event::Succeeded(run), Some(*findings), None),
        Ending::Failed(failure) => (RunEvent::Failed, Event::Failed(run), None, Some(failure)),
        Ending::Cancelled => (RunEvent::Cancelled, Event::Cancelled(run), None, None),
    };
    let (result, analysis) = findings.map_or((None, None), |found| (Some(found.base), found.analysis));
    let state = RunState::from_name(&found.state).ok_or_else(|| Error::corrupt(TABLE, "unknown state"))?;
    let (Ok(state), Ok(status)) = (state.after(run_event), found.status.read()?.after(event)) else {
        return Ok(false);
    };
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
    if !scenarios::end(connection, scenario, run, status, now).await? {
        return Err(Error::corrupt(TABLE, "a run in motion whose scenario is at rest"));
    }
    events::append_of_scenario(connection, kind, scenario, Some(run), told, now).await?;
    Ok(true)
}
