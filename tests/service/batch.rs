//! Many scenarios in one request.

use futures::future::join_all;
use safire_domain::ScenarioId;
use safire_test_support::{now, on_both_engines};
use serde_json::{Value, json};

use crate::app::{TestApp, first_error, id};

fn scenario(project: &str, name: &str) -> Value {
    json!({ "project_id": project, "name": name, "process": "HEFA", "feedstock": "UCO", "country": "USA" })
}

on_both_engines! {
    async fn each_scenario_of_a_batch_has_its_own_answer(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, ben) = (app.register().await, app.register().await);
        let (project, others) = (ana.project().await, ben.project().await);
        let mut wrong = scenario(&project, "wrong");
        wrong["inputs"] = json!({ "economics": { "tax_rate": { "value": 300, "unit": "%" } } });
        let mut misread = scenario(&project, "misread");
        misread["color"] = json!("green");
        let unknown = ScenarioId::new(now()).to_string();
        let batch = json!({ "scenarios": [
            scenario(&project, "one"), wrong, misread, scenario(&others, "another's"), scenario(&unknown, "nobody's"),
            scenario(&project, "two"), 7,
        ] });
        let made = ana.post("/scenarios:batch", batch).await.is(200);
        assert_eq!((&made["created"], &made["refused"]), (&json!(2), &json!(5)));
        let items = made["items"].as_array().unwrap();
        let statuses: Vec<_> = items.iter().map(|item| item["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [201, 422, 422, 404, 404, 201, 422]);
        assert_eq!(first_error(&items[1]["problem"]), ("/scenarios/1/inputs/economics/tax_rate", "out_of_range"));
        assert_eq!(first_error(&items[2]["problem"]), ("/scenarios/2/color", "field.unknown"));
        assert_eq!(items[3]["problem"]["code"], "not_found");
        for index in [0, 5] {
            let scenario = &items[index]["scenario"];
            assert_eq!(ana.get(&format!("/scenarios/{}", id(scenario))).await.is(200), *scenario);
        }
        let listed = ana.get(&format!("/projects/{project}/scenarios")).await.is(200);
        let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|scenario| &scenario["name"]).collect();
        assert_eq!(names, ["one", "two"]);
        app.stop().await;
    }

    async fn each_plant_of_a_batch_is_answered_as_if_it_were_alone(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let plant = |inputs: Value| json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": inputs });
        let capacity = |value: f64| json!({ "plant": { "capacity": { "value": value, "unit": "kt/yr" } } });
        let plants = json!([
            plant(json!({})), plant(capacity(250.0)), plant(capacity(0.0)), 7,
            { "process": "HEFA", "feedstock": "UCO", "country": "XX" }, plant(capacity(100.0)),
        ]);
        let answer = ana.post("/calculate:batch", json!({ "plants": plants })).await.is(200);
        assert_eq!((&answer["calculated"], &answer["refused"]), (&json!(3), &json!(3)));
        let items = answer["items"].as_array().unwrap();
        for (index, item) in items.iter().enumerate() {
            assert_eq!(item["index"], index);
            if item["status"] == 200 {
                let alone = ana.post("/calculate/quick", plants[index].clone()).await.is(200);
                assert_eq!(item["result"], alone["result"]);
            }
        }
        assert_eq!(first_error(&items[2]["problem"]), ("/plants/2/inputs/plant/capacity", "out_of_range"));
        assert_eq!(first_error(&items[3]["problem"]), ("/plants/3", "type"));
        assert_eq!(first_error(&items[4]["problem"]), ("/plants/4/country", "code.unknown"));
        let batch = |plants: usize| json!({ "plants": vec![plant(json!({})); plants] });
        for plants in [0, 1001] {
            ana.post("/calculate:batch", batch(plants)).await.refused(422, "body.invalid");
        }
        assert_eq!(ana.post("/calculate:batch", batch(1000)).await.is(200)["calculated"], 1000);
        app.stop().await;
    }

    async fn a_batch_that_is_sent_again_makes_nothing_and_is_answered_alike(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let scenarios: Vec<_> = (0..500).map(|n| scenario(&project, &format!("plant {n}"))).collect();
        let mut batch = json!({ "scenarios": scenarios });
        let keyed = ana.sending("idempotency-key", "batch");
        let (first, again) = (keyed.post("/scenarios:batch", batch.clone()).await.is(200), batch.clone());
        assert_eq!(first["created"], 500);
        for answer in join_all((0..3).map(|_| keyed.post("/scenarios:batch", again.clone()))).await {
            match answer.status {
                409 => drop(answer.refused(409, "idempotency.in_progress")),
                _ => assert_eq!(answer.is(200), first),
            }
        }
        assert_eq!(ana.get(&format!("/projects/{project}/scenarios?limit=1")).await.is(200)["total"], 500);
        batch["scenarios"][0]["name"] = json!("another");
        keyed.post("/scenarios:batch", batch.clone()).await.refused(422, "idempotency.mismatch");
        batch["scenarios"].as_array_mut().unwrap().push(scenario(&project, "one too many"));
        let refused = ana.post("/scenarios:batch", batch).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused), ("/scenarios", "out_of_range"));
        ana.post("/scenarios:batch", json!({ "scenarios": [] })).await.refused(422, "body.invalid");
        app.stop().await;
    }
}
