//! Rows that versions before this one wrote.

use safire_domain::{
    NodeId, RunId, ScenarioId,
    engine::{self, Analysis, Failure, Plain},
    lifecycle::{Rest, Status},
    run::{self, Findings},
    user::Access,
};
use safire_store::{
    Connection, projects,
    runs::{self, Accepted, Ask, Lease, Request},
    scenarios, users,
};
use safire_test_support::{analyst, now, on_both_engines, project, scenario};
use serde_json::json;
use sqlx::AssertSqlSafe;

const MIGRATION: &str = include_str!("../../migrations/0010_runs_beside.sql");

async fn execute(c: &mut Connection, sql: String) {
    match c {
        Connection::Postgres(c) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(c).await.map(drop),
        Connection::Sqlite(c) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(c).await.map(drop),
    }
    .expect("the statements are right");
}

/// The id as a literal of either engine.
fn literal(c: &Connection, id: uuid::Uuid) -> String {
    match c {
        Connection::Postgres(_) => format!("'{id}'"),
        Connection::Sqlite(_) => format!("x'{}'", id.simple()),
    }
}

fn tornado() -> Analysis {
    let input = json!({ "input": "/feedstocks/UCO/price", "unit": "USD/t", "low": 800, "high": 1000 });
    serde_json::from_value(json!({ "analysis": "tornado", "metrics": ["npv"], "inputs": [input] })).unwrap()
}

/// A scenario whose runs are accepted and ended one after the other.
struct Plant {
    access: Access,
    scenario: ScenarioId,
    node: NodeId,
}

impl Plant {
    async fn new(c: &mut Connection) -> Self {
        let user = analyst();
        let (access, project) = (Access::of(&user), project(&user));
        let scenario = scenario(&project);
        users::insert(c, &user, None).await.unwrap();
        projects::insert(c, &project).await.unwrap();
        scenarios::insert(c, access, &scenario).await.unwrap();
        Self { access, scenario: scenario.id, node: NodeId::new(now()) }
    }

    async fn run(&self, c: &mut Connection, analysis: Analysis, ends: Option<Result<(), Failure>>) -> RunId {
        let now = now();
        let lease = Lease { owner: self.node, length: std::time::Duration::from_secs(15) };
        let (ask, run) = (Ask::Analysis(Box::new(analysis)), RunId::new(now));
        let (access, scenario) = (self.access, self.scenario);
        let request = Request { access, key: None, scenario, ask, inputs: None, versions: None, run, lease, now };
        let Accepted::New(_, assignment) = runs::accept(c, request).await.unwrap() else { panic!("not a new run") };
        if let Some(outcome) = ends {
            let base = engine::analyse(&assignment.order.inputs, &mut Plain).unwrap();
            let outcome = outcome.map(|()| Findings { base, analysis: None });
            assert!(runs::settle(c, run, 1, self.node, outcome, now).await.unwrap());
        }
        run
    }

    /// Has the status speak of a run, as that of every run did.
    async fn speaks_of(&self, c: &mut Connection, status: &str, run: RunId) {
        let (run, scenario) = (literal(c, run.uuid()), literal(c, self.scenario.uuid()));
        let rest = if status == "calculating" { "status, rest_run_id = run_id" } else { "NULL" };
        let sql = format!(
            "UPDATE scenarios SET rest_status = {rest}, status = '{status}', run_id = {run} WHERE id = {scenario}"
        );
        execute(c, sql).await;
    }

    async fn status(&self, c: &mut Connection) -> Status {
        scenarios::find(c, self.access, self.scenario).await.unwrap().unwrap().status
    }
}

on_both_engines! {
    async fn a_scenario_whose_other_analysis_failed_or_is_in_motion_has_its_base_result_again(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let c = &mut c;
        let failure = || Err(Failure::new("run.deadline_exceeded", "it took too long"));
        let calculated = Plant::new(c).await;
        let base = calculated.run(c, run::base(), Some(Ok(()))).await;
        let late = calculated.run(c, tornado(), Some(failure())).await;
        calculated.speaks_of(c, "failed", late).await;

        let failed = Plant::new(c).await;
        let wrong = failed.run(c, run::base(), Some(failure())).await;
        let late = failed.run(c, tornado(), Some(failure())).await;
        failed.speaks_of(c, "failed", late).await;

        let draft = Plant::new(c).await;
        let late = draft.run(c, tornado(), Some(failure())).await;
        draft.speaks_of(c, "failed", late).await;

        let moving = Plant::new(c).await;
        let first = moving.run(c, run::base(), Some(Ok(()))).await;
        let motion = moving.run(c, tornado(), None).await;
        moving.speaks_of(c, "calculating", motion).await;

        execute(c, format!("DROP INDEX runs_by_analysis; {MIGRATION}")).await;
        assert_eq!(calculated.status(c).await, Status::Resting(Rest::Calculated(base)));
        assert_eq!(failed.status(c).await, Status::Resting(Rest::Failed(wrong)));
        assert_eq!(draft.status(c).await, Status::DRAFT);
        assert_eq!(moving.status(c).await, Status::Resting(Rest::Calculated(first)));
    }
}
