//! Requests that are sent again because their answer was lost: Idempotency-Key.

use futures::future::join_all;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{Client, ENDLESS, TestApp, eventually, id};

async fn total(user: &Client, path: &str) -> Value {
    user.get(path).await.is(200)["total"].clone()
}

on_both_engines! {
    async fn a_post_sent_again_makes_nothing_and_is_answered_alike(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        let draft = |name| json!({ "name": name, "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        let plant = draft("P");
        let project = ana.project().await;
        let scenarios = format!("/projects/{project}/scenarios");
        let users = json!({ "users": [{ "name": "U" }, { "name": "V" }] });
        let sent = [
            (&ana, "/projects", json!({ "name": "P" })),
            (&ana, "/projects", plant.clone()),
            (&ana, scenarios.as_str(), plant),
            (&admin, "/users", json!({ "name": "U" })),
            (&admin, "/users/bulk", users),
            (&admin, "/zones", json!({ "zone_id": "north", "name": "N" })),
        ];
        let original = id(&ana.post(&scenarios, draft("Q")).await.is(201));
        let duplicate = format!("/scenarios/{original}/duplicate");
        let sent = sent.into_iter().chain([(&ana, duplicate.as_str(), json!({ "name": "R" }))]);
        for (number, (who, path, body)) in sent.enumerate() {
            let who = who.sending("idempotency-key", &format!("request {number}"));
            let first = who.post(path, body.clone()).await;
            let again = who.post(path, body).await;
            assert_eq!(again.headers.get("location"), first.headers.get("location"));
            assert_eq!(again.headers.get("etag"), first.headers.get("etag"));
            // The scenario that a project starts with is shown as it is now, and so is its run.
            let (mut first, mut again) = (first.is(201), again.is(201));
            for part in ["scenario", "run"] {
                let [one, two] = [&mut first, &mut again].map(|body| body.as_object_mut().unwrap().remove(part));
                assert_eq!(one.map(|part| id(&part)), two.map(|part| id(&part)));
            }
            assert_eq!(again, first, "{path}");
        }
        assert_eq!(total(&ana, "/projects").await, 3);
        // One is what the others were copied from.
        assert_eq!(total(&ana, &scenarios).await, 3);
        assert_eq!(total(&admin, "/users").await, 5);
        assert_eq!(total(&admin, "/zones").await, 1);
        app.stop().await;
    }

    async fn a_key_belongs_to_one_request_of_one_user(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let keyed = |user: &Client| user.sending("idempotency-key", "k");
        let (ana, bob) = (keyed(&app.register().await), keyed(&app.register().await));
        ana.post("/projects", json!({ "name": "One" })).await.is(201);
        ana.post("/projects", json!({ "name": "Two" })).await.refused(422, "idempotency.mismatch");
        let scenarios = format!("/projects/{}/scenarios", bob.project().await);
        let one = json!({ "name": "One", "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        bob.post(&scenarios, one).await.refused(422, "idempotency.mismatch");
        assert_eq!((total(&ana, "/projects").await, total(&bob, "/projects").await), (json!(1), json!(1)));
        for malformed in ["", &"k".repeat(256)] {
            let ana = ana.sending("idempotency-key", malformed);
            ana.post("/projects", json!({ "name": "One" })).await.refused(400, "idempotency.malformed");
        }
        app.stop().await;
    }

    async fn a_refused_request_may_be_put_right_under_its_key(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await.sending("idempotency-key", "k");
        ana.post("/projects", json!({ "name": "" })).await.refused(422, "body.invalid");
        ana.post("/projects", json!({ "name": "P" })).await.is(201);
        app.stop().await;
    }

    async fn a_calculation_sent_many_times_at_once_is_one_run(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(1000.0).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let keyed = ana.sending("idempotency-key", "k");
        let answers = join_all((0..8).map(|_| keyed.post(&path, None))).await;
        let accepted = answers.iter().filter(|answer| answer.status < 300).count();
        let in_progress = answers.iter().filter(|a| a.json["code"] == "idempotency.in_progress").count();
        assert_eq!((accepted > 0, accepted + in_progress), (true, 8), "{answers:?}");
        let run = ana.reaches(&scenario, "succeeded").await;
        assert_eq!(id(&keyed.post(&path, None).await.is(200)), id(&run));
        assert_eq!(total(&ana, &format!("/scenarios/{scenario}/runs")).await, 1);
        app.stop().await;
    }

    async fn a_request_that_is_being_answered_is_in_progress(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let patient = ana.sending("idempotency-key", "k").sending("prefer", "wait=20");
        let first = tokio::spawn({
            let (patient, path) = (patient.clone(), path.clone());
            async move { patient.post(&path, None).await }
        });
        let status = format!("{path}/status");
        eventually("the run", async || match ana.get(&status).await.status {
            200 => Ok(()),
            none => Err(none),
        })
        .await;
        patient.post(&path, None).await.refused(409, "idempotency.in_progress");
        ana.delete(&path).await.is(200);
        let run = first.await.unwrap().is(200);
        assert_eq!(run["state"], "cancelled");
        assert_eq!(id(&patient.post(&path, None).await.is(200)), id(&run));
        app.stop().await;
    }
}
