//! Scenarios copied, and scenarios side by side.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{Client, ENDLESS, TestApp, first_error, id, of_capacity},
    users::{errors, make_member, make_zone},
};

/// The row of that name.
#[track_caller]
fn row<'v>(rows: &'v Value, key: &str, name: &str) -> &'v Value {
    let rows = rows.as_array().expect("rows");
    rows.iter().find(|row| row[key] == name).unwrap_or_else(|| panic!("no {name} in {rows:?}"))
}

async fn compare(user: &Client, ids: &[&str]) -> Value {
    user.get(&format!("/scenarios/compare?ids={}", ids.join(","))).await.is(200)
}

async fn calculated(user: &Client, inputs: Value) -> String {
    let project = user.project().await;
    let scenario = user.scenario(&project, inputs).await;
    user.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
    scenario
}

on_both_engines! {
    async fn a_copy_is_a_draft_with_the_same_inputs_and_a_life_of_its_own(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let original = calculated(&ana, of_capacity(1000.0)).await;
        let at = format!("/scenarios/{original}");
        ana.patch(&at, json!({ "country": "Malaysia" })).await.is(200);
        let before = ana.get(&at).await.is(200);
        let answer = ana.post(&format!("{at}/duplicate"), None).await;
        let location = answer.header("location").to_owned();
        let copy = answer.is(201);
        assert_eq!(location, format!("/api/v1/scenarios/{}", id(&copy)));
        assert_eq!(ana.get(&location).await.is(200), copy);
        assert_eq!(copy["name"], "A plant (copy)");
        for same in ["project_id", "process", "feedstock", "country", "inputs"] {
            assert_eq!(copy[same], before[same], "{same}");
        }
        assert_eq!((&copy["status"], &copy["run_id"], &copy["revision"]), (&json!("draft"), &Value::Null, &json!(1)));
        ana.patch(&location, json!({ "inputs": of_capacity(2000.0) })).await.is(200);
        assert_eq!(ana.get(&at).await.is(200), before);

        let named = ana.post(&format!("{at}/duplicate"), json!({ "name": "B" })).await.is(201);
        assert_eq!(named["name"], "B");
        let project = ana.project().await;
        let elsewhere = ana.post(&format!("{at}/duplicate"), json!({ "project_id": project })).await.is(201);
        assert_eq!(elsewhere["project_id"], project);
        assert_eq!(ana.get(&format!("/projects/{project}/scenarios")).await.is(200)["total"], 1);
        // One in motion is copied as a draft, too.
        let endless = ana.plant(ENDLESS).await;
        ana.calculate(&endless).await;
        let copy = ana.post(&format!("/scenarios/{endless}/duplicate"), json!({})).await.is(201);
        assert_eq!((&copy["status"], &copy["inputs"]), (&json!("draft"), &of_capacity(ENDLESS)));
        ana.delete(&format!("/scenarios/{endless}/calculate")).await.is(200);
        app.stop().await;
    }

    async fn who_may_only_read_copies_to_a_project_of_their_own(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (admin, stranger) = (app.as_admin().await, app.register().await);
        make_zone(&admin, "north").await;
        let (_, ana) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let (_, mate) = make_member(&admin, "mate", "analyst", Some("north")).await;
        let (_, viewer) = make_member(&admin, "viewer", "viewer", Some("north")).await;
        let project = ana.project().await;
        let original = ana.scenario(&project, of_capacity(1000.0)).await;
        let duplicate = format!("/scenarios/{original}/duplicate");
        mate.post(&duplicate, None).await.refused(403, "forbidden");
        let mates = mate.project().await;
        let copy = mate.post(&duplicate, json!({ "project_id": mates })).await.is(201);
        assert_eq!((&copy["project_id"], &copy["inputs"]), (&json!(mates), &of_capacity(1000.0)));
        // To a mate's project nobody writes; a stranger's does not exist.
        ana.post(&duplicate, json!({ "project_id": mates })).await.refused(403, "forbidden");
        let strangers = stranger.project().await;
        let refused = ana.post(&duplicate, json!({ "project_id": strangers })).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused), ("/project_id", "project.unknown"));
        stranger.post(&duplicate, json!({ "project_id": strangers })).await.refused(404, "not_found");
        viewer.post(&duplicate, None).await.refused(403, "forbidden");
        viewer.post(&duplicate, json!({ "project_id": mates })).await.refused(403, "forbidden");
        assert_eq!(ana.get(&format!("/projects/{project}/scenarios")).await.is(200)["total"], 1);
        app.stop().await;
    }

    async fn a_copy_takes_nothing_from_the_body_but_name_and_project(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let duplicate = format!("/scenarios/{}/duplicate", ana.plant(1000.0).await);
        for (field, value) in [
            ("id", json!("019a9e6c-6f5a-7c3e-8f0a-2b6d1c9e4f10")),
            ("status", json!("calculated")),
            ("inputs", json!({})),
            ("version", json!(9)),
            ("owner_id", json!("019a9e6c-6f5a-7c3e-8f0a-2b6d1c9e4f10")),
        ] {
            let refused = ana.post(&duplicate, json!({ field: value })).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), (format!("/{field}").as_str(), "field.unknown"));
        }
        let refused = ana.post(&duplicate, json!({ "project_id": "x" })).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused), ("/project_id", "type"));
        ana.post(&duplicate, json!([])).await.refused(422, "body.invalid");
        ana.raw(reqwest::Method::POST, &duplicate, Some("application/json"), "{").await.refused(400, "body.malformed");
        ana.raw(reqwest::Method::POST, &duplicate, Some("text/plain"), "{}").await.refused(415, "media_type");
        app.stop().await;
    }

    async fn scenarios_are_compared_by_their_figures_and_the_inputs_that_differ(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let first = calculated(&ana, json!({})).await;
        let smaller = json!({ "plant": { "capacity": { "value": 250, "unit": "kt/yr" } } });
        let smaller = calculated(&ana, smaller).await;
        let draft = ana.plant(500_000.0).await;
        let endless = ana.plant(ENDLESS).await;
        ana.calculate(&endless).await;

        let seen = compare(&ana, &[&first, &smaller, &draft, &endless]).await;
        let scenarios = seen["scenarios"].as_array().unwrap();
        let ids: Vec<_> = scenarios.iter().map(id).collect();
        assert_eq!(ids, [first.clone(), smaller.clone(), draft.clone(), endless.clone()]);
        let statuses: Vec<_> = scenarios.iter().map(|s| s["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["calculated", "calculated", "draft", "calculating"]);
        assert_eq!((&scenarios[0]["reason"], &scenarios[0]["stale"]), (&Value::Null, &json!(false)));
        assert_eq!((&scenarios[2]["reason"], &scenarios[2]["run_id"]), (&json!("it was not calculated yet"), &Value::Null));
        assert_eq!(scenarios[0]["main_product"], "jet");

        let results = [&first, &smaller].map(|id| ana.get(format!("/scenarios/{id}/result").leak()));
        let results = futures::future::join_all(results).await;
        let lcop = |n: usize| results[n].json["result"]["lcop_usd_per_t"].as_f64().unwrap();
        let values = &row(&seen["metrics"], "name", "lcop_usd_per_t")["values"];
        assert_eq!((&values[0]["value"], &values[0]["difference"]), (&json!(lcop(0)), &json!(0.0)));
        assert_eq!((&values[1]["value"], &values[1]["difference"]), (&json!(lcop(1)), &json!(lcop(1) - lcop(0))));
        let missing = json!({ "value": null, "reason": "it was not calculated yet", "difference": null });
        assert_eq!(values[2], missing);
        assert_eq!(values[3]["reason"], "its first calculation is in motion");
        assert_eq!(row(&seen["metrics"], "name", "irr")["values"][0]["value"], results[0].json["result"]["irr"]["value"]);

        let pointers: Vec<_> = seen["inputs"].as_array().unwrap().iter().map(|row| &row["pointer"]).collect();
        assert_eq!(pointers, ["/plant/capacity"]);
        let capacity = &row(&seen["inputs"], "pointer", "/plant/capacity")["values"];
        assert_eq!(capacity[0], json!({ "value": 500.0, "unit": "kt/yr", "source": "default" }));
        assert_eq!(capacity[1], json!({ "value": 250.0, "unit": "kt/yr", "source": "user" }));
        // 500 kt/yr by default and 500,000 t/yr given are the same.
        assert_eq!(compare(&ana, &[&first, &draft]).await["inputs"], json!([]));
        ana.delete(&format!("/scenarios/{endless}/calculate")).await.is(200);
        app.stop().await;
    }

    async fn a_comparison_shows_the_inputs_of_the_results_and_says_which_are_stale(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (admin, ana) = (app.as_admin().await, app.register().await);
        let (one, other) = (calculated(&ana, json!({})).await, calculated(&ana, of_capacity(1000.0)).await);
        ana.patch(&format!("/scenarios/{other}"), json!({ "inputs": of_capacity(9000.0) })).await.is(200);
        let seen = compare(&ana, &[&one, &other]).await;
        assert_eq!([&seen["scenarios"][0]["stale"], &seen["scenarios"][1]["stale"]], [false, true]);
        assert_eq!(seen["inputs"][0]["values"][1]["value"], 1000.0);
        admin.put("/products/jet/price", json!({ "price": { "value": 2000, "unit": "USD/t" } })).await.is(200);
        let seen = compare(&ana, &[&one, &other]).await;
        assert_eq!([&seen["scenarios"][0]["stale"], &seen["scenarios"][1]["stale"]], [true, true]);
        ana.post(&format!("/scenarios/{one}/calculate/sync"), None).await.is(200);
        let seen = compare(&ana, &[&one, &other]).await;
        let jet = &row(&seen["inputs"], "pointer", "/products/jet/price")["values"];
        assert_eq!((&jet[0]["value"], &jet[1]["value"]), (&json!(2000.0), &json!(3000.0)));
        app.stop().await;
    }

    async fn scenarios_without_complete_inputs_are_compared_by_what_they_have(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let bare = json!({ "name": "B", "process": "CHJ", "feedstock": "UCO", "country": "USA",
                           "inputs": of_capacity(500_000.0) });
        let bare = id(&ana.post(&format!("/projects/{project}/scenarios"), bare).await.is(201));
        let full = ana.plant(500_000.0).await;
        let seen = compare(&ana, &[&full, &bare]).await;
        assert_eq!(seen["scenarios"][1]["process"], "CHJ");
        let rate = row(&seen["inputs"], "pointer", "/economics/discount_rate");
        assert_eq!((&rate["values"][0]["value"], &rate["values"][1]), (&json!(7.0), &Value::Null));
        assert!(seen["inputs"].as_array().unwrap().iter().all(|row| row["pointer"] != "/plant/capacity"));
        app.stop().await;
    }

    async fn a_comparison_names_the_ids_that_are_wrong_or_not_there(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let (one, other, theirs) = (ana.plant(1.0e4).await, ana.plant(2.0e4).await, bob.plant(3.0e4).await);
        let ask = async |ids: &str| ana.get(&format!("/scenarios/compare?ids={ids}")).await;
        let refused = ask(&format!("{one},{theirs}")).await.refused(404, "not_found");
        assert!(refused["detail"].as_str().unwrap().contains(&theirs), "{refused}");
        assert_eq!(first_error(&refused), ("/ids/1", "not_found"));
        for few in ["", &one, ","] {
            assert_eq!(first_error(&ask(few).await.refused(422, "query.invalid")), ("/ids", "out_of_range"));
        }
        let many = vec![one.as_str(); 21].join(",");
        assert_eq!(first_error(&ask(&many).await.refused(422, "query.invalid")), ("/ids", "out_of_range"));
        let refused = ask(&format!("{one},{other},nonsense,{one}")).await.refused(422, "query.invalid");
        assert_eq!(errors(&refused), [("/ids/2", "type"), ("/ids/3", "repeated")]);
        let refused = ana.get("/scenarios/compare").await.refused(422, "query.invalid");
        assert_eq!(first_error(&refused), ("/ids", "out_of_range"));
        ana.get(&format!("/scenarios/compare?ids={one},{other}&all=true")).await.refused(400, "query.invalid");
        compare(&ana, &[&one, &other]).await;
        let project = ana.project().await;
        let mut twenty = Vec::new();
        for _ in 0..20 {
            twenty.push(ana.scenario(&project, json!({})).await);
        }
        let twenty: Vec<_> = twenty.iter().map(String::as_str).collect();
        assert_eq!(compare(&ana, &twenty).await["scenarios"].as_array().unwrap().len(), 20);
        app.stop().await;
    }
}
