//! What the previous version wrote is read by this one.

use std::borrow::Cow;

use safire_domain::{ProjectId, RunId, ScenarioId, UserId, master_data::MasterData};
use safire_store::{Connection, master_data};
use safire_test_support::{now, on_both_engines};
use serde_json::{Value, json};
use sqlx::{
    migrate::{Migration, MigrationType, Migrator},
    types::Json,
};

use crate::{
    app::TestApp,
    calculation::{assert_close, assert_worked_case},
};

/// Snapshot and result of the worked case, as they were stored before there were switches of finance.
const STORED: &str = include_str!("run-of-schema-5.json");

/// The migrations that the previous version knew.
const MIGRATIONS: [(i64, &str, &str); 5] = [
    (1, "foundation", include_str!("../../migrations/0001_foundation.sql")),
    (2, "zones", include_str!("../../migrations/0002_zones.sql")),
    (3, "sessions", include_str!("../../migrations/0003_sessions.sql")),
    (4, "idempotency", include_str!("../../migrations/0004_idempotency.sql")),
    (5, "feedstocks", include_str!("../../migrations/0005_feedstocks.sql")),
];

/// Executes one statement on either engine.
macro_rules! execute {
    ($connection:expr, $sql:literal $(, $value:expr)*) => {
        match $connection {
            Connection::Postgres(c) => sqlx::query($sql)$(.bind($value))*.execute(c).await.map(drop),
            Connection::Sqlite(c) => sqlx::query($sql)$(.bind($value))*.execute(c).await.map(drop),
        }
        .expect("the statement is right")
    };
}

async fn schema_of_the_previous_version(connection: &mut Connection) {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(sql);
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql, false)
    };
    let migrator = Migrator::with_migrations(MIGRATIONS.map(migration).to_vec());
    match connection {
        Connection::Postgres(c) => migrator.run(c).await,
        Connection::Sqlite(c) => migrator.run(c).await,
    }
    .expect("migrates");
    master_data::seed(connection, MasterData::seed()).await.expect("seeds");
}

/// A calculated scenario, as the previous version left it.
async fn rows_of_the_previous_version(c: &mut Connection) -> ScenarioId {
    let now = now();
    let (user, project, scenario) = (UserId::new(now), ProjectId::new(now), ScenarioId::new(now));
    let run = RunId::new(now);
    let stored: Value = serde_json::from_str(STORED).expect("JSON");
    let (snapshot, result) = (&stored["snapshot"], &stored["result"]);
    execute!(
        c,
        "INSERT INTO users (id, global_id, name, role, created_at, updated_at)
         VALUES ($1, 'ldap:1', 'Ana', 'analyst', $2, $2)",
        user.uuid(),
        now
    );
    execute!(
        c,
        "INSERT INTO projects (id, owner_id, name, description, version, created_at, updated_at)
         VALUES ($1, $2, 'Plants', '', 1, $3, $3)",
        project.uuid(),
        user.uuid(),
        now
    );
    execute!(
        c,
        "INSERT INTO scenarios (id, project_id, name, process, feedstock, country, inputs, revision, status, run_id,
                                version, created_at, updated_at)
         VALUES ($1, $2, 'A plant', 'HEFA', 'UCO', 'USA', $3, 1, 'calculated', $4, 1, $5, $5)",
        scenario.uuid(),
        project.uuid(),
        Json(&snapshot["given"]),
        run.uuid(),
        now
    );
    execute!(
        c,
        "INSERT INTO runs (id, scenario_id, revision, fingerprint, engine_version, edition, snapshot, state, attempt,
                           result, created_at, finished_at)
         VALUES ($1, $2, 1, 'of old', '1', 1, $3, 'succeeded', 1, $4, $5, $5)",
        run.uuid(),
        scenario.uuid(),
        Json(snapshot),
        Json(result),
        now
    );
    scenario
}

on_both_engines! {
    async fn a_result_and_a_document_of_the_previous_version_are_read(database: &TestDatabase) {
        let mut connection = database.connect().await;
        schema_of_the_previous_version(&mut connection).await;
        let scenario = rows_of_the_previous_version(&mut connection).await;
        drop(connection);

        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let at = format!("/scenarios/{scenario}");
        let stored = admin.get(&format!("{at}/result")).await.is(200);
        assert_worked_case(&stored["result"]);
        assert_eq!((&stored["run"]["analysis"], &stored["stale"]), (&json!("base"), &json!(false)));
        // What is computed again is not mixed with figures of an older engine.
        admin.get(&format!("{at}/result?details=true&trace=true")).await.refused(409, "engine.changed");

        // The old document goes on: compared, switched to a profile, calculated again.
        let copy = admin.post(&format!("{at}/duplicate"), None).await.is(201);
        let mut inputs = copy["inputs"].clone();
        inputs["finance"] = json!({ "profile": "nrel-nth-plant" });
        let copy = format!("/scenarios/{}", copy["id"].as_str().unwrap());
        admin.patch(&copy, json!({ "inputs": inputs })).await.is(200);
        let again = admin.post(&format!("{copy}/calculate/sync"), None).await.is(200);
        assert_eq!(again["result"]["cash_flow_first_year"], -2);
        let compared = format!("/scenarios/compare?ids={scenario},{}&metric=npv", copy.trim_start_matches("/scenarios/"));
        admin.get(&compared).await.refused(409, "engine.changed");
        admin.post(&format!("{at}/calculate/sync"), None).await.is(200);
        let result = admin.get(&format!("{at}/result?details=true&trace=true")).await.is(200);
        assert_worked_case(&result["result"]);
        let years = result["details"]["cash_flow"]["years"].as_array().unwrap();
        assert_eq!(years.len(), 21);
        let jet = &result["details"]["prices"]["products"][0];
        assert_close(&jet["msp"]["usd_per_t"]["value"], 1_679.102_301_637_596_6);
        assert_eq!(admin.get(&compared).await.is(200)["contributions"]["scenarios"][1]["difference"]["status"], "found");
        app.stop().await;
    }
}
