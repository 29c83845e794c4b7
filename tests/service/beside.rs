//! Analyses beside the base analysis: they never take its result away, and are asked for, cancelled and read by kind.

use safire_store::Connection;
use safire_test_support::{TestDatabase, on_both_engines};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::{
    app::{Client, ENDLESS, PANICS, TestApp, first_error, id, of_capacity},
    calculation::assert_worked_case,
    python::run_script,
};

/// Takes minutes by the rules of NREL, unless it is cancelled.
fn long_monte_carlo(seed: u64) -> Value {
    json!({ "analysis": "monte-carlo", "samples": 10_000_000, "seed": seed, "metrics": ["irr", "msp"],
        "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t",
                     "distribution": { "kind": "triangular", "min": 800, "mode": 930, "max": 1200 } }] })
}

/// A draft that is financed as NREL does.
async fn nrel(ana: &Client) -> String {
    let project = ana.project().await;
    ana.scenario(&project, json!({ "finance": { "profile": "nrel-nth-plant" } })).await
}

fn tornado(high: f64) -> Value {
    json!({ "analysis": "tornado", "metrics": ["npv"],
        "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t", "low": 800, "high": high }] })
}

async fn worked_case(ana: &Client) -> String {
    let project = ana.project().await;
    ana.scenario(&project, json!({})).await
}

async fn execute(database: &TestDatabase, sql: &'static str) {
    match database.connect().await {
        Connection::Postgres(mut c) => sqlx::raw_sql(sql).execute(&mut c).await.map(drop),
        Connection::Sqlite(mut c) => sqlx::raw_sql(sql).execute(&mut c).await.map(drop),
    }
    .expect("the statement is right");
}

on_both_engines! {
    async fn an_analysis_that_fails_at_its_deadline_or_is_cancelled_leaves_the_base_result(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.calculations.deadline_s = 1).await;
        let ana = app.register().await;
        let (scenario, other) = (nrel(&ana).await, nrel(&ana).await);
        let at = format!("/scenarios/{scenario}");
        for scenario in [&scenario, &other] {
            ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        }
        let base = ana.get(&format!("{at}/result")).await.is(200);
        let whole = ana.get(&at).await.is(200);

        ana.post(&format!("{at}/calculate"), long_monte_carlo(1)).await.is(202);
        let failed = ana.reaches(&scenario, "failed").await;
        assert_eq!(failed["failure"]["code"], "run.deadline_exceeded");
        assert_eq!(failed["status"], "calculated");

        let second = id(&ana.post(&format!("{at}/calculate"), long_monte_carlo(2)).await.is(202));
        assert_eq!(ana.get(&at).await.is(200)["status"], "calculated");
        let cancelled = ana.delete(&format!("{at}/runs/{second}")).await;
        assert!([200, 409].contains(&cancelled.status), "it was cancelled, or its second was over");

        assert_eq!(ana.get(&at).await.is(200), whole);
        assert_eq!(ana.get(&format!("{at}/result")).await.is(200), base);
        let compared = ana.get(&format!("/scenarios/compare?ids={scenario},{other}")).await.is(200);
        assert_eq!(compared["metrics"][0]["values"][0]["value"], 400e6);
        app.stop().await;
    }

    async fn an_analysis_of_a_draft_brings_the_base_result_and_one_that_fails_leaves_a_draft(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.calculations.deadline_s = 1).await;
        let ana = app.register().await;
        let scenario = nrel(&ana).await;
        let at = format!("/scenarios/{scenario}");
        ana.post(&format!("{at}/calculate"), long_monte_carlo(1)).await.is(202);
        assert_eq!(ana.reaches(&scenario, "failed").await["status"], "draft");
        ana.get(&format!("{at}/result")).await.refused(404, "not_found");

        let analysed = ana.post(&format!("{at}/calculate/sync"), tornado(1000.0)).await.is(200);
        let result = ana.get(&format!("{at}/result")).await.is(200);
        assert_eq!(result["result"], analysed["result"]);
        assert_eq!((&result["run"]["analysis"], &result["stale"]), (&json!("base"), &json!(false)));
        assert_ne!(result["run"]["id"], analysed["run"]["id"]);
        assert_eq!(ana.get(&at).await.is(200)["status"], "calculated");
        // It is the result that the base analysis would give: asked for, it is there.
        let again = ana.post(&format!("{at}/calculate"), None).await.is(200);
        assert_eq!(again["id"], result["run"]["id"]);
        app.stop().await;
    }

    async fn the_base_result_of_an_analysis_replaces_no_newer_one(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(6000.0).await;
        let at = format!("/scenarios/{scenario}");
        let base = ana.post(&format!("{at}/calculate/sync"), None).await.is(200);
        ana.post(&format!("{at}/calculate/sync"), tornado(1000.0)).await.is(200);
        assert_eq!(ana.get(&format!("{at}/result")).await.is(200)["run"], base["run"]);

        // Of inputs that were edited since, an analysis brings the newer base result.
        ana.patch(&at, json!({ "inputs": of_capacity(7000.0) })).await.is(200);
        assert_eq!(ana.get(&format!("{at}/result")).await.is(200)["stale"], true);
        ana.post(&format!("{at}/calculate/sync"), tornado(1000.0)).await.is(200);
        let newer = ana.get(&format!("{at}/result")).await.is(200);
        assert_eq!((&newer["stale"], &newer["run"]["revision"]), (&json!(false), &json!(2)));
        assert_ne!(newer["result"], base["result"]);
        app.stop().await;
    }

    async fn one_run_of_each_kind_may_be_in_motion_and_is_cancelled_by_name(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let at = format!("/scenarios/{scenario}");
        let base = ana.calculate(&scenario).await;
        ana.patch(&at, json!({ "inputs": { "finance": { "profile": "nrel-nth-plant" } } })).await.is(200);
        let analysis = id(&ana.post(&format!("{at}/calculate"), long_monte_carlo(1)).await.is(202));
        assert_eq!(id(&ana.post(&format!("{at}/calculate"), long_monte_carlo(1)).await.is(202)), analysis);
        let refused = ana.post(&format!("{at}/calculate"), long_monte_carlo(2)).await.refused(409, "calculation.in_motion");
        assert!(refused["detail"].as_str().unwrap().contains(&analysis), "{refused}");

        assert_eq!(ana.delete(&format!("{at}/runs/{base}")).await.is(200)["state"], "cancelled");
        assert_eq!(ana.get(&format!("{at}/runs/{analysis}")).await.is(200)["finished_at"], Value::Null);
        ana.delete(&format!("{at}/runs/{base}")).await.refused(409, "run.not_in_motion");
        // A run of another scenario is none of this one.
        let other = ana.plant(1000.0).await;
        ana.delete(&format!("/scenarios/{other}/runs/{analysis}")).await.refused(404, "not_found");
        // A late word for whatever is in motion still finds the run of another kind.
        assert_eq!(id(&ana.delete(&format!("{at}/calculate")).await.is(200)), analysis);
        app.stop().await;
    }

    async fn each_kinds_newest_result_stands_beside_the_base_result_until_it_is_asked_for(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let at = format!("/scenarios/{scenario}");
        let sync = format!("{at}/calculate/sync");
        ana.post(&sync, None).await.is(200);
        ana.post(&sync, tornado(1000.0)).await.is(200);
        let second = ana.post(&sync, tornado(1100.0)).await.is(200);
        let spider = json!({ "analysis": "spider", "metrics": ["npv"], "inputs": ["/feedstocks/UCO/price"],
                             "changes": [-0.1, 0.1] });
        let spider = ana.post(&sync, spider).await.is(200);

        let listed = ana.get(&format!("{at}/result")).await.is(200)["analyses"].clone();
        let listed: Vec<_> = listed.as_array().unwrap().iter().map(|one| (&one["analysis"], &one["run_id"])).collect();
        let expected = [&spider, &second].map(|of| (&of["run"]["analysis"], &of["run"]["id"]));
        assert_eq!(listed, expected);
        let read = ana.get(&format!("{at}/result?analysis=tornado")).await;
        let tag = read.headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(read.is(200), second);
        let again = ana.sending("if-none-match", &tag).get(&format!("{at}/result?analysis=tornado")).await;
        assert_eq!(again.status, 304);
        ana.get(&format!("{at}/result?analysis=sobol")).await.refused(404, "not_found");
        ana.get(&format!("{at}/result?analysis=guess")).await.refused(400, "query.invalid");

        let runs = async |query: &str| ana.get(&format!("{at}/runs{query}")).await.is(200)["total"].clone();
        assert_eq!(runs("").await, 4);
        assert_eq!(runs("?analysis=tornado").await, 2);
        assert_eq!(runs("?analysis=tornado&state=failed").await, 0);
        assert_eq!(runs("?state=succeeded&limit=1").await, 4);
        app.stop().await;
    }

    async fn nothing_is_removed_while_an_analysis_is_in_motion(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, json!({ "finance": { "profile": "nrel-nth-plant" } })).await;
        let run = id(&ana.post(&format!("/scenarios/{scenario}/calculate"), long_monte_carlo(1)).await.is(202));
        for path in [format!("/scenarios/{scenario}"), format!("/projects/{project}")] {
            ana.delete(&path).await.refused(409, "calculation.in_motion");
        }
        ana.delete(&format!("/scenarios/{scenario}/runs/{run}")).await.is(200);
        ana.delete(&format!("/scenarios/{scenario}")).await.is(204);
        app.stop().await;
    }

    async fn inputs_in_the_body_are_stored_and_calculated_in_one_step(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let at = format!("/scenarios/{scenario}");
        let calculate = format!("{at}/calculate");
        let body = json!({ "inputs": of_capacity(250_000.0) });
        let run = ana.post(&calculate, body.clone()).await.is(202);
        assert_eq!((&run["revision"], &run["analysis"]), (&json!(2), &json!("base")));
        ana.reaches(&scenario, "succeeded").await;
        let stored = ana.get(&at).await.is(200);
        assert_eq!((&stored["inputs"], &stored["status"]), (&body["inputs"], &json!("calculated")));
        let result = ana.get(&format!("{at}/result")).await.is(200);
        assert_eq!((&result["stale"], &result["run"]["id"]), (&json!(false), &run["id"]));
        // The same again is the same run, of the same revision.
        assert_eq!(ana.post(&calculate, body).await.is(200)["id"], run["id"]);

        let with_analysis = json!({ "inputs": of_capacity(260_000.0), "analysis": tornado(1000.0) });
        let analysed = ana.post(&format!("{calculate}/sync"), with_analysis).await.is(200);
        assert_eq!((&analysed["run"]["revision"], &analysed["run"]["analysis"]), (&json!(3), &json!("tornado")));
        assert_eq!(ana.get(&format!("{at}/result")).await.is(200)["run"]["revision"], 3);
        app.stop().await;
    }

    async fn inputs_in_the_body_are_not_stored_when_they_are_refused(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let at = format!("/scenarios/{scenario}");
        let calculate = format!("{at}/calculate");
        let before = ana.get(&at).await;
        let tag = before.headers["etag"].to_str().unwrap().to_owned();
        let before = before.is(200);

        let wrong = ana.post(&calculate, json!({ "inputs": of_capacity(-1.0) })).await.refused(422, "inputs.invalid");
        assert_eq!(first_error(&wrong), ("/inputs/plant/capacity", "out_of_range"));
        let typo = ana.post(&calculate, json!({ "inputs": { "plantt": {} } })).await.refused(422, "body.invalid");
        assert_eq!(first_error(&typo), ("/inputs/plantt", "field.unknown"));
        let both = json!({ "inputs": {}, "analysis": { "analysis": "base" }, "seed": 1 });
        let both = ana.post(&calculate, both).await.refused(422, "body.invalid");
        assert_eq!(first_error(&both), ("/seed", "field.unknown"));
        let bad = json!({ "inputs": of_capacity(1000.0), "analysis": { "analysis": "tornado" } });
        let bad = ana.post(&calculate, bad).await.refused(422, "body.invalid");
        assert_eq!(first_error(&bad).0, "/analysis/inputs");

        for path in [&calculate, &format!("{calculate}/sync")] {
            let stale = ana.sending("if-match", "\"99\"");
            stale.post(path, json!({ "inputs": of_capacity(1000.0) })).await.refused(412, "version.changed");
            stale.post(path, None).await.refused(412, "version.changed");
        }
        assert_eq!(ana.get(&at).await.is(200), before);
        assert_eq!(ana.get(&format!("{at}/runs")).await.is(200)["total"], 0);

        ana.sending("if-match", &tag).post(&calculate, None).await.is(202);
        let busy = json!({ "inputs": of_capacity(1000.0) });
        ana.post(&calculate, busy).await.refused(409, "calculation.in_motion");
        assert_eq!(ana.get(&at).await.is(200)["inputs"], before["inputs"]);
        ana.delete(&calculate).await.is(200);
        app.stop().await;
    }

    async fn inputs_are_stored_once_by_a_request_that_is_sent_again(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let at = format!("/scenarios/{scenario}");
        let body = json!({ "inputs": of_capacity(250_000.0) });
        let named = ana.sending("idempotency-key", "first");
        let run = named.post(&format!("{at}/calculate"), body.clone()).await.is(202);
        ana.reaches(&scenario, "succeeded").await;
        ana.patch(&at, json!({ "inputs": of_capacity(300_000.0) })).await.is(200);
        let again = named.post(&format!("{at}/calculate"), body).await.is(200);
        assert_eq!(again["id"], run["id"]);
        assert_eq!(ana.get(&at).await.is(200)["inputs"], of_capacity(300_000.0));
        app.stop().await;
    }

    async fn a_status_says_how_the_scenario_and_its_run_are_and_why_it_failed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(PANICS).await;
        ana.calculate(&scenario).await;
        let failed = ana.reaches(&scenario, "failed").await;
        assert_eq!((&failed["status"], &failed["failure"]["code"]), (&json!("failed"), &json!("engine.panicked")));
        assert!(failed["failure"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(failed.to_string().len() <= 1024);
        let path = format!("/scenarios/{scenario}/calculate/status");
        ana.get(&format!("{path}?analysis=tornado")).await.refused(404, "not_found");
        app.stop().await;
    }

    async fn figures_of_two_engines_are_not_mixed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let other = worked_case(&ana).await;
        for scenario in [&scenario, &other] {
            ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        }
        execute(database, "UPDATE runs SET engine_version = '0'").await;
        let result = format!("/scenarios/{scenario}/result");
        let stored = ana.get(&result).await.is(200);
        assert_eq!(stored["run"]["engine_version"], "0");
        assert_worked_case(&stored["result"]);
        for query in ["trace=true", "details=true", "format=csv", "format=xlsx"] {
            let refused = ana.get(&format!("{result}?{query}")).await.refused(409, "engine.changed");
            assert!(refused["detail"].as_str().unwrap().contains("engine 0"), "{refused}");
        }
        let ids = format!("/scenarios/compare?ids={scenario},{other}");
        assert_eq!(ana.get(&ids).await.is(200)["scenarios"][0]["engine_version"], "0");
        ana.get(&format!("{ids}&metric=npv")).await.refused(409, "engine.changed");
        app.stop().await;
    }

    needs "needs Python: run ./test"
    async fn a_client_that_polls_for_a_status_sees_its_calculation_end(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (good, bad) = (ana.plant(1000.0).await, ana.plant(1000.0).await);
        let (base, token) = (format!("http://{}/api/v1", ana.host()), ana.token.clone().expect("a token"));
        let polled = spawn_blocking(move || run_script("poll.py", &[&base, &token, &good, &bad]));
        let polled = polled.await.expect("it does not panic");
        let lines: Vec<&str> = polled.lines().collect();
        assert_eq!(lines[0], "calculated 250 kt/yr");
        assert!(lines[1].starts_with("failed engine.panicked: "), "{polled}");
        app.stop().await;
    }
}
