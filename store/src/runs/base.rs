//! The base analysis that every other analysis contains: kept where the scenario has none of these inputs.

use safire_domain::{
    RunId, Timestamp,
    engine::{BaseAnalysis, ENGINE_VERSION},
    event,
    lifecycle::{Rest, RunState, Status},
    run::{Kind, Order, Run, Snapshot, base, fingerprint},
};
use serde_json::{Value, json};
use sqlx::{FromRow, types::Json};

use super::{Row, by_id, columns};
use crate::{Connection, Error, Result, connection::on, events, scenarios};

#[derive(FromRow)]
struct Found {
    #[sqlx(flatten)]
    run: Row,
    snapshot: Json<Snapshot>,
    result: Json<BaseAnalysis>,
    scenario_revision: i64,
    version: i64,
    status: String,
    run_id: Option<uuid::Uuid>,
}

/// Stores the base result of an analysis that has succeeded as a run of its own, and moves the scenario to it: unless
/// its base analysis is in motion, or has given the result of these inputs or of newer ones.
pub(super) async fn keep(connection: &mut Connection, analysis: RunId, now: Timestamp) -> Result<()> {
    let found: Found = on!(&mut *connection, c => {
        sqlx::query_as(concat!(
            "SELECT ", columns!(), ", r.snapshot, r.result, s.revision AS scenario_revision, s.version, s.status, s.run_id
             FROM runs r
             JOIN scenarios s ON s.id = r.scenario_id
             WHERE r.id = $1",
        ))
        .bind(analysis.uuid())
        .fetch_one(c)
        .await
    })?;
    let (analysed, snapshot) = (Run::try_from(found.run)?, found.snapshot.0);
    let snapshot = Snapshot { analysis: base(), ..snapshot };
    let Ok(resolved) = snapshot.resolve() else { return Ok(()) };
    let fingerprint = fingerprint(&Order { inputs: resolved.inputs, analysis: base() });
    let is_current = analysed.revision == found.scenario_revision && analysed.engine_version == ENGINE_VERSION;
    let standing = match (found.status.as_str(), found.run_id) {
        ("calculated", Some(run)) => by_id(connection, run.into()).await?,
        _ => None,
    };
    let is_known = standing.is_some_and(|run| {
        run.fingerprint == fingerprint || (run.revision, run.edition) >= (analysed.revision, analysed.edition)
    });
    if !is_current || is_known || found.status == "calculating" {
        return Ok(());
    }
    let run = Run {
        id: RunId::new(now),
        analysis: Kind::Base,
        state: RunState::Succeeded,
        attempt: 1,
        advance: None,
        fingerprint,
        created_at: now,
        finished_at: Some(now),
        ..analysed
    };
    let status = Status::Resting(Rest::Calculated(run.id));
    if !scenarios::begin(connection, run.scenario_id, found.version, status, now).await? {
        return Err(Error::Contended);
    }
    insert(connection, &run, &snapshot, &found.result.0).await?;
    let told = figures(&found.result.0).into_iter().chain([("analysis", json!(Kind::Base))]);
    let told = told.map(|(name, value)| (name.to_owned(), value)).collect();
    let calculated = event::Kind::Calculated;
    events::append_of_scenario(connection, calculated, run.scenario_id, Some(run.id), told, now).await?;
    Ok(())
}

/// The figures of a base analysis that its event tells.
pub(super) fn figures(base: &BaseAnalysis) -> [(&'static str, Value); 2] {
    [("lcop_usd_per_t", json!(base.lcop_usd_per_t)), ("npv_usd", json!(base.npv_usd))]
}

async fn insert(connection: &mut Connection, run: &Run, snapshot: &Snapshot, result: &BaseAnalysis) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO runs (id, scenario_id, revision, fingerprint, engine_version, edition, snapshot, state,
                               attempt, created_at, finished_at, analysis, result)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12)",
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
        .bind(run.created_at)
        .bind(run.analysis.as_str())
        .bind(Json(result))
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}
