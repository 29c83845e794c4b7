//! What can and cannot be done while a calculation is in motion, and how calculations fail.

use futures::future::join_all;
use safire_test_support::on_both_engines;
use serde_json::json;

use crate::app::{ENDLESS, PANICS, TestApp, of_capacity};

on_both_engines! {
    async fn a_scenario_edited_in_motion_cannot_be_calculated_again_until_its_run_ends(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let run = ana.calculate(&scenario).await;
        ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": of_capacity(5000.0) })).await.is(200);
        for path in [path.clone(), format!("{path}/sync")] {
            let refused = ana.post(&path, None).await.refused(409, "calculation.in_motion");
            assert!(refused["detail"].as_str().unwrap().contains(&run), "{refused}");
        }
        ana.delete(&path).await.is(200);
        ana.calculate(&scenario).await;
        let ended = ana.reaches(&scenario, "succeeded").await;
        assert_eq!(ended["revision"], 2);
        app.stop().await;
    }

    async fn a_result_of_the_inputs_before_an_edit_is_stale(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(6000.0).await;
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        let (at, result) = (format!("/scenarios/{scenario}"), format!("/scenarios/{scenario}/result"));
        let first = ana.get(&result).await.is(200);
        assert_eq!(first["stale"], false);
        ana.patch(&at, json!({ "name": "Another name" })).await.is(200);
        assert_eq!(ana.get(&result).await.is(200)["stale"], false);

        ana.patch(&at, json!({ "inputs": of_capacity(7000.0) })).await.is(200);
        let stale = ana.get(&result).await.is(200);
        assert_eq!((&stale["stale"], &stale["result"]), (&json!(true), &first["result"]));
        assert_eq!(ana.get(&at).await.is(200)["status"], "calculated");

        let second = ana.post(&format!("{at}/calculate/sync"), None).await.is(200);
        assert_eq!((&second["stale"], &second["run"]["revision"]), (&json!(false), &json!(2)));
        assert_ne!(second["result"], first["result"]);
        assert_eq!(ana.get(&format!("{at}/runs")).await.is(200)["total"], 2);
        app.stop().await;
    }

    async fn a_result_of_the_same_inputs_in_other_units_is_not_stale_once_it_was_asked_for(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(8000.0).await;
        let run = ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        let same = json!({ "inputs": { "plant": { "capacity": { "value": 8, "unit": "kt/yr" } } } });
        ana.patch(&format!("/scenarios/{scenario}"), same).await.is(200);
        let again = ana.post(&format!("/scenarios/{scenario}/calculate"), None).await.is(200);
        assert_eq!(again["id"], run);
        assert_eq!(ana.get(&format!("/scenarios/{scenario}/result")).await.is(200)["stale"], false);
        app.stop().await;
    }

    async fn a_cancelled_calculation_leaves_the_scenario_as_it_was(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let before =
            [(None, "", "draft"), (Some(9000.0), "succeeded", "calculated"), (Some(PANICS), "failed", "failed")];
        for (capacity, state, status) in before {
            let scenario = ana.plant(capacity.unwrap_or(ENDLESS)).await;
            let at = format!("/scenarios/{scenario}");
            if capacity.is_some() {
                ana.calculate(&scenario).await;
                ana.reaches(&scenario, state).await;
                ana.patch(&at, json!({ "inputs": of_capacity(ENDLESS) })).await.is(200);
            }
            let before = ana.get(&at).await.is(200);
            assert_eq!(before["status"], status);
            let run = ana.calculate(&scenario).await;
            ana.reaches(&scenario, "running").await;
            assert_eq!(ana.get(&at).await.is(200)["status"], "calculating");

            let cancelled = ana.delete(&format!("{at}/calculate")).await.is(200);
            assert_eq!((cancelled["id"].as_str(), &cancelled["state"]), (Some(run.as_str()), &json!("cancelled")));
            assert!(cancelled["finished_at"].is_string());
            let after = ana.get(&at).await.is(200);
            assert_eq!((&after["status"], &after["run_id"]), (&before["status"], &before["run_id"]));
            ana.delete(&format!("{at}/calculate")).await.refused(409, "run.not_in_motion");
        }
        app.stop().await;
    }

    async fn a_caller_who_waits_for_a_run_is_answered_when_it_is_cancelled(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let waiting = tokio::spawn({
            let (ana, path) = (ana.clone(), path.clone());
            async move { ana.post(&format!("{path}/sync"), None).await }
        });
        crate::app::eventually("a run in motion", async || {
            let cancelled = ana.delete(&path).await;
            if cancelled.status == 200 { Ok(()) } else { Err(cancelled) }
        })
        .await;
        let answer = waiting.await.unwrap().is(200);
        assert_eq!((&answer["run"]["state"], answer.get("result")), (&json!("cancelled"), None));
        app.stop().await;
    }

    async fn a_caller_who_has_waited_long_enough_is_told_where_to_watch(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.calculations.sync_wait_s = 1).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let answer = ana.post(&format!("{path}/sync"), None).await;
        assert_eq!(answer.header("location"), format!("/api/v1{path}/status"));
        assert_eq!(answer.is(202)["state"], "running");
        ana.delete(&path).await.is(200);
        app.stop().await;
    }

    async fn nothing_in_motion_can_be_removed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, of_capacity(ENDLESS)).await;
        let all = [format!("/scenarios/{scenario}"), format!("/projects/{project}")];
        ana.calculate(&scenario).await;
        for path in &all {
            ana.delete(path).await.refused(409, "calculation.in_motion");
            ana.get(path).await.is(200);
        }
        ana.delete(&format!("/scenarios/{scenario}/calculate")).await.is(200);
        for path in &all {
            ana.delete(path).await.is(204);
            ana.get(path).await.refused(404, "not_found");
        }
        app.stop().await;
    }

    async fn an_engine_that_panics_fails_that_run_only(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let mut plants = Vec::new();
        for n in 0..16 {
            plants.push(ana.plant(if n % 4 == 0 { PANICS } else { f64::from(n) * 1000.0 }).await);
        }
        join_all(plants.iter().map(|scenario| ana.calculate(scenario))).await;
        for (n, scenario) in plants.iter().enumerate() {
            let result = format!("/scenarios/{scenario}/result");
            if n % 4 != 0 {
                ana.reaches(scenario, "succeeded").await;
                assert!(ana.get(&result).await.is(200)["result"]["lcop_usd_per_t"].is_number());
                continue;
            }
            let failed = ana.reaches(scenario, "failed").await;
            assert_eq!(failed["failure"]["code"], "engine.panicked");
            let result = ana.get(&result).await.is(200);
            assert_eq!((&result["run"]["failure"]["code"], result.get("result")), (&json!("engine.panicked"), None));
            assert_eq!(ana.get(&format!("/scenarios/{scenario}")).await.is(200)["status"], "failed");
        }
        // Nothing was spoilt: what failed can be corrected.
        ana.patch(&format!("/scenarios/{}", plants[0]), json!({ "inputs": of_capacity(1000.0) })).await.is(200);
        ana.calculate(&plants[0]).await;
        ana.reaches(&plants[0], "succeeded").await;
        let quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": of_capacity(PANICS) });
        ana.post("/calculate/quick", quick).await.refused(500, "internal");
        app.stop().await;
    }

    async fn a_failed_run_is_tried_again_on_request_and_no_other(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(PANICS).await;
        let at = format!("/scenarios/{scenario}");
        let first = ana.calculate(&scenario).await;
        ana.reaches(&scenario, "failed").await;
        let retry = |run: &str| format!("{at}/runs/{run}/retry");

        let answer = ana.post(&retry(&first), None).await;
        assert_eq!(answer.header("location"), format!("/api/v1{at}/calculate/status"));
        let second = crate::app::id(&answer.is(202));
        assert_ne!(second, first);
        ana.reaches(&scenario, "failed").await;
        assert_eq!(ana.get(&format!("{at}/runs")).await.is(200)["total"], 2);

        // One that fails is replaced by one that never ends: what failed cannot be tried again meanwhile.
        ana.patch(&at, json!({ "inputs": of_capacity(ENDLESS) })).await.is(200);
        let third = ana.calculate(&scenario).await;
        ana.post(&retry(&first), None).await.refused(409, "calculation.in_motion");
        ana.delete(&format!("{at}/calculate")).await.is(200);
        ana.post(&retry(&third), None).await.refused(409, "run.not_failed");

        // As it was: not the inputs that never end, but those that panic.
        let key = ana.sending("idempotency-key", "once more");
        let fourth = crate::app::id(&key.post(&retry(&first), None).await.is(202));
        assert_eq!(ana.reaches(&scenario, "failed").await["id"], fourth);
        assert_eq!(crate::app::id(&key.post(&retry(&first), None).await.is(200)), fourth);
        let nobodys = retry(&scenario);
        ana.post(&nobodys, None).await.refused(404, "not_found");
        app.stop().await;
    }

    async fn a_calculation_over_its_deadline_fails_and_frees_its_thread(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.calculations.deadline_s = 1;
            config.calculations.threads = 1;
        })
        .await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let failed = ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        assert_eq!(failed["run"]["state"], "failed");
        assert_eq!(failed["run"]["failure"]["code"], "run.deadline_exceeded");
        assert!(failed["run"]["failure"]["message"].as_str().unwrap().contains("1 s"), "{failed}");
        let next = ana.plant(10_000.0).await;
        ana.calculate(&next).await;
        ana.reaches(&next, "succeeded").await;
        app.stop().await;
    }

    async fn a_full_pool_refuses_and_stores_nothing(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.calculations.threads = 1;
            config.calculations.queue = 1;
        })
        .await;
        let ana = app.register().await;
        let (first, second, third) = (ana.plant(ENDLESS).await, ana.plant(ENDLESS).await, ana.plant(11_000.0).await);
        for scenario in [&first, &second] {
            ana.calculate(scenario).await;
        }
        let before = ana.get(&format!("/scenarios/{third}")).await.is(200);
        for path in ["calculate", "calculate/sync"] {
            ana.post(&format!("/scenarios/{third}/{path}"), None).await.refused(503, "unavailable");
        }
        let quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        ana.post("/calculate/quick", quick.clone()).await.refused(503, "unavailable");
        assert_eq!(ana.get(&format!("/scenarios/{third}")).await.is(200), before);
        assert_eq!(ana.get(&format!("/scenarios/{third}/runs")).await.is(200)["total"], 0);
        assert_eq!(ana.get("/health").await.is(200)["calculations"], json!({ "capacity": 2, "free": 0 }));

        // A project is made all the same; its calculation can be asked for later.
        let mut project = quick.clone();
        project["name"] = "Later".into();
        let made = ana.post("/projects", project).await.is(201);
        assert_eq!((&made["scenario"]["status"], made.get("run")), (&json!("draft"), None));

        for scenario in [&first, &second] {
            ana.delete(&format!("/scenarios/{scenario}/calculate")).await.is(200);
        }
        crate::app::eventually("room in the pool", async || {
            let answer = ana.post("/calculate/quick", quick.clone()).await;
            if answer.status == 200 { Ok(()) } else { Err(answer) }
        })
        .await;
        ana.calculate(&third).await;
        ana.reaches(&third, "succeeded").await;
        app.stop().await;
    }
}
