//! Where scenarios stand: the run whose result counts, and whether it still does.

use std::collections::HashMap;

use safire_domain::{
    RunId, ScenarioId,
    comparison::MOST,
    engine::{BaseAnalysis, InputDocument},
    run::{Run, Snapshot},
    scenario::{Pathway, Scenario},
    user::Access,
};
use sqlx::{FromRow, types::Json};

use super::{Row, columns};
use crate::{Connection, Result, connection::on, master_data, scenarios};

/// Whether the scenario would now compute something else than its run did: because its inputs have
/// changed, or the defaults that fill them up.
pub async fn is_stale(connection: &mut Connection, scenario: &Scenario, run: &Run) -> Result<bool> {
    if run.revision != scenario.revision {
        return Ok(true);
    }
    let (edition, defaults) = master_data::defaults_of(connection, &scenario.pathway).await?;
    if run.edition == edition {
        return Ok(false);
    }
    let snapshot: Json<Snapshot> = on!(connection, c => {
        sqlx::query_scalar("SELECT snapshot FROM runs WHERE id = $1").bind(run.id.uuid()).fetch_one(c).await
    })?;
    let now = Snapshot::base(scenario.inputs.clone(), defaults.map(|set| set.inputs));
    Ok(!snapshot.0.computes_like(&now))
}

/// A scenario, its defaults, and the run that stands.
#[derive(Debug)]
pub struct Standing {
    /// The scenario.
    pub scenario: Scenario,
    /// The defaults of its pathway as they are now.
    pub defaults: Option<InputDocument>,
    /// The run that ended last, or the one before while another is in motion.
    pub ended: Option<Ended>,
    /// The edition of the defaults.
    edition: i64,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The run.
    pub run: Run,
    /// What it computed from.
    pub snapshot: Snapshot,
    /// What it found; `None` when it failed.
    pub result: Option<BaseAnalysis>,
}

impl Standing {
    /// The same as [`is_stale`], of the run that stands.
    pub fn is_stale(&self) -> bool {
        let Some(Ended { run, snapshot, .. }) = &self.ended else { return false };
        let now = || Snapshot::base(self.scenario.inputs.clone(), self.defaults.clone());
        run.revision != self.scenario.revision || run.edition != self.edition && !snapshot.computes_like(&now())
    }
}

/// Where scenarios stand that the user may see, in the order of `ids`; of more than [`MOST`] the rest is
/// left out.
pub async fn standing(connection: &mut Connection, access: Access, ids: &[ScenarioId]) -> Result<Vec<Standing>> {
    let scenarios = scenarios::find_all(connection, access, ids).await?;
    let runs: Vec<RunId> = scenarios.iter().filter_map(|scenario| scenario.status.rest().run()).collect();
    let mut ended = ended(connection, &runs).await?;
    let mut defaults: HashMap<Pathway, (i64, Option<InputDocument>)> = HashMap::new();
    let mut found = Vec::new();
    for scenario in scenarios {
        if !defaults.contains_key(&scenario.pathway) {
            let (edition, set) = master_data::defaults_of(connection, &scenario.pathway).await?;
            defaults.insert(scenario.pathway.clone(), (edition, set.map(|set| set.inputs)));
        }
        let (edition, defaults) = defaults[&scenario.pathway].clone();
        let ended = scenario.status.rest().run().and_then(|run| ended.remove(&run));
        found.push(Standing { scenario, defaults, ended, edition });
    }
    Ok(found)
}

#[derive(FromRow)]
struct EndedRow {
    #[sqlx(flatten)]
    run: Row,
    snapshot: Json<Snapshot>,
    result: Option<Json<BaseAnalysis>>,
}

async fn ended(connection: &mut Connection, runs: &[RunId]) -> Result<HashMap<RunId, Ended>> {
    let Some(last) = runs.last() else { return Ok(HashMap::new()) };
    let rows: Vec<EndedRow> = on!(connection, c => {
        let mut query = sqlx::query_as(
            concat!("SELECT ", columns!(), ", r.snapshot, r.result
             FROM runs r
             WHERE r.id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"),
        );
        for place in 0..MOST {
            query = query.bind(runs.get(place).unwrap_or(last).uuid());
        }
        query.fetch_all(c).await
    })?;
    let read = |row: EndedRow| -> Result<(RunId, Ended)> {
        let run = Run::try_from(row.run)?;
        let (snapshot, result) = (row.snapshot.0, row.result.map(|json| json.0));
        Ok((run.id, Ended { run, snapshot, result }))
    };
    rows.into_iter().map(read).collect()
}
