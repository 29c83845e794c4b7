//! Scenarios: made, changed, counted, removed.

use futures::future::join_all;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{TestApp, first_error, id, of_capacity};

fn whole(name: &str, inputs: Value) -> Value {
    json!({ "name": name, "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": inputs })
}

fn counts(scenario: &Value) -> (i64, i64) {
    (scenario["revision"].as_i64().expect("a revision"), scenario["version"].as_i64().expect("a version"))
}

on_both_engines! {
    async fn a_scenario_is_made_read_and_removed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let list = format!("/projects/{project}/scenarios");
        let made = ana.post(&list, whole("A", of_capacity(1000.0))).await;
        let location = made.header("location").to_owned();
        let made = made.is(201);
        assert_eq!(location, format!("/api/v1/scenarios/{}", id(&made)));
        assert_eq!((&made["status"], &made["run_id"], counts(&made)), (&json!("draft"), &Value::Null, (1, 1)));
        assert_eq!((&made["project_id"], &made["inputs"]), (&json!(project), &of_capacity(1000.0)));
        assert_eq!(ana.get(&location).await.is(200), made);
        assert_eq!(ana.get(&list).await.is(200)["items"], json!([made]));
        ana.delete(&location).await.is(204);
        ana.get(&location).await.refused(404, "not_found");
        ana.delete(&location).await.refused(404, "not_found");
        assert_eq!(ana.get(&list).await.is(200)["total"], 0);
        app.stop().await;
    }

    async fn inputs_come_back_as_they_were_given(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let example: Value = serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
        let mut inputs = example["inputs"].clone();
        inputs["products"]["jet"]["price"] = json!({ "value": 2999.999999999999, "unit": "USD/t" });
        let made = ana.post(&format!("/projects/{project}/scenarios"), whole("A", inputs.clone())).await.is(201);
        let read = ana.get(&format!("/scenarios/{}", id(&made))).await.is(200);
        assert_eq!(read["inputs"], made["inputs"]);
        // 500 and 500.0 are one number; JSON values of serde tell them apart.
        let jet = |inputs: &Value| inputs["products"]["jet"].as_object().expect("a product").clone();
        for (name, given) in jet(&inputs) {
            let back = &jet(&read["inputs"])[&name];
            assert_eq!((back["value"].as_f64(), &back["unit"]), (given["value"].as_f64(), &given["unit"]), "{name}");
        }
        app.stop().await;
    }

    async fn a_revision_counts_changes_of_what_is_computed_and_a_version_all_changes(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let at = format!("/scenarios/{}", ana.scenario(&project, of_capacity(1000.0)).await);
        let changes = [
            (json!({ "name": "B" }), (1, 2)),
            (json!({ "inputs": of_capacity(2000.0) }), (2, 3)),
            (json!({ "inputs": of_capacity(2000.0) }), (2, 4)),
            (json!({ "country": "Malaysia" }), (3, 5)),
            (json!({}), (3, 6)),
            (json!({ "name": "C", "country": "USA", "inputs": {} }), (4, 7)),
        ];
        for (change, expected) in changes {
            assert_eq!(counts(&ana.patch(&at, change.clone()).await.is(200)), expected, "{change}");
        }
        let now = ana.get(&at).await.is(200);
        assert_eq!((&now["name"], &now["country"], &now["inputs"]), (&json!("C"), &json!("USA"), &json!({})));
        app.stop().await;
    }

    async fn replacing_a_scenario_forgets_what_is_left_out_and_changing_it_keeps_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let at = format!("/scenarios/{}", ana.scenario(&project, of_capacity(1000.0)).await);
        let patched = ana.patch(&at, json!({ "name": "B" })).await.is(200);
        assert_eq!(patched["inputs"], of_capacity(1000.0));
        let mut put = whole("C", json!({}));
        put.as_object_mut().unwrap().remove("inputs");
        let replaced = ana.put(&at, put).await.is(200);
        assert_eq!((&replaced["name"], &replaced["inputs"], counts(&replaced)), (&json!("C"), &json!({}), (2, 3)));
        let refused = ana.put(&at, json!({ "name": "D" })).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused), ("/process", "required"));
        assert_eq!(ana.get(&at).await.is(200), replaced);
        app.stop().await;
    }

    async fn a_project_takes_its_scenarios_and_their_runs_with_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (project, kept) = (ana.project().await, ana.plant(1000.0).await);
        let scenario = ana.scenario(&project, of_capacity(1000.0)).await;
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        ana.delete(&format!("/projects/{project}")).await.is(204);
        for path in ["", "/result", "/runs", "/calculate/status"] {
            ana.get(&format!("/scenarios/{scenario}{path}")).await.refused(404, "not_found");
        }
        ana.get(&format!("/projects/{project}/scenarios")).await.refused(404, "not_found");
        ana.get(&format!("/scenarios/{kept}")).await.is(200);
        app.stop().await;
    }

    async fn changes_of_a_scenario_that_meet_are_all_counted_or_refused(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let at = format!("/scenarios/{}", ana.plant(1000.0).await);
        let capacity = |n: u32| json!({ "inputs": of_capacity(f64::from(n) + 2000.0) });
        let all = join_all((0..16).map(|n| ana.patch(&at, capacity(n)))).await;
        let mut done = 0;
        for answer in all {
            match answer.status {
                200 => done += 1,
                _ => drop(answer.refused(409, "contended")),
            }
        }
        assert!(done >= 1);
        assert_eq!(counts(&ana.get(&at).await.is(200)), (1 + done, 1 + done));
        app.stop().await;
    }

    async fn a_change_of_whichever_version_there_is_does_not_meet_the_scenarios_own_runs(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        for n in 0..8 {
            let scenario = ana.plant(1000.0).await;
            ana.calculate(&scenario).await;
            let inputs = of_capacity(f64::from(n) + 2000.0);
            ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": inputs })).await.is(200);
        }
        app.stop().await;
    }

    async fn runs_are_listed_newest_first(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(1000.0).await;
        let mut runs = Vec::new();
        for n in 1..=3 {
            let inputs = of_capacity(f64::from(n) * 1000.0 + 1.0);
            ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": inputs })).await.is(200);
            runs.insert(0, ana.calculate(&scenario).await);
            ana.reaches(&scenario, "succeeded").await;
        }
        let listed = ana.get(&format!("/scenarios/{scenario}/runs?limit=2")).await.is(200);
        let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(id).collect();
        assert_eq!((ids.as_slice(), &listed["total"]), (&runs[..2], &json!(3)));
        app.stop().await;
    }
}
