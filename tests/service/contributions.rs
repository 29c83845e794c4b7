//! What each change between scenarios does to a metric.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{Client, TestApp, id, of_capacity};

/// The value that was found.
#[track_caller]
fn found(answer: &Value) -> f64 {
    answer["value"].as_f64().unwrap_or_else(|| panic!("not found: {answer}"))
}

async fn contributions(user: &Client, ids: &[&str], metric: &str) -> Value {
    let path = format!("/scenarios/compare?ids={}&metric={metric}", ids.join(","));
    user.get(&path).await.is(200)["contributions"].clone()
}

/// Whether contributions sum to the difference, to the rounding of the sum.
#[track_caller]
fn assert_sum(scenario: &Value) {
    let changes = scenario["changes"].as_array().expect("changes");
    let sum: f64 = changes.iter().map(|change| found(&change["contribution"])).sum();
    let difference = found(&scenario["difference"]);
    assert!((sum - difference).abs() <= 1e-9 * difference.abs(), "{sum} is not {difference}");
}

fn dearer() -> Value {
    json!({
        "plant": { "capacity": { "value": 250, "unit": "kt/yr" } },
        "feedstocks": { "UCO": { "price": { "value": 1.1, "unit": "USD/kg" } } },
        "economics": { "discount_rate": { "value": 9, "unit": "%" } }
    })
}

on_both_engines! {
    async fn contributions_of_changed_inputs_sum_to_the_difference(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let (ours, theirs) = (ana.scenario(&project, json!({})).await, ana.scenario(&project, dearer()).await);
        let nrel = json!({ "finance": { "profile": "nrel-nth-plant" } });
        let nrel = ana.scenario(&project, nrel).await;
        ana.post(&format!("/scenarios/{ours}/calculate/sync"), None).await.is(200);
        let seen = contributions(&ana, &[&ours, &theirs, &nrel], "npv").await;
        assert_eq!((&seen["metric"], &seen["unit"]), (&json!("npv"), &json!("USD")));
        let scenarios = seen["scenarios"].as_array().unwrap();
        assert!((found(&scenarios[0]["value"]) - 3_224_127_521.28).abs() < 0.01);
        assert_eq!(scenarios[0]["changes"], json!([]));
        let changed: Vec<_> = scenarios[1]["changes"].as_array().unwrap().iter().map(|c| &c["inputs"][0]["pointer"]).collect();
        assert_eq!(changed.len(), 3, "{changed:?}");
        assert!(changed.contains(&&json!("/feedstocks/UCO/price")));
        scenarios[1..].iter().for_each(assert_sum);
        // A metric in which only the size counts.
        let tci = contributions(&ana, &[&ours, &theirs], "tci").await;
        for change in tci["scenarios"][1]["changes"].as_array().unwrap() {
            let is_size = change["inputs"][0]["pointer"] == "/plant/capacity";
            assert_eq!(found(&change["contribution"]) != 0.0, is_size, "{change}");
        }
        let without = ana.get(&format!("/scenarios/compare?ids={ours},{theirs}")).await.is(200);
        assert_eq!(without.get("contributions"), None);
        let path = format!("/scenarios/compare?ids={ours},{theirs}&metric=luck");
        ana.get(&path).await.refused(400, "query.invalid");
        app.stop().await;
    }

    async fn a_scenario_that_is_incomplete_has_no_contributions_and_says_why(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let bare = json!({ "name": "B", "process": "CHJ", "feedstock": "UCO", "country": "USA",
                           "inputs": of_capacity(500_000.0) });
        let bare = id(&ana.post(&format!("/projects/{project}/scenarios"), bare).await.is(201));
        let full = ana.plant(500_000.0).await;
        let seen = contributions(&ana, &[&full, &bare], "npv").await;
        let scenario = &seen["scenarios"][1];
        assert_eq!((&scenario["name"], &scenario["changes"]), (&json!("B"), &json!([])));
        assert!(scenario["difference"]["reason"].as_str().is_some_and(|why| why.contains("not given")), "{scenario}");
        app.stop().await;
    }
}
