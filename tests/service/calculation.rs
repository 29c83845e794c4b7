//! The main job: a scenario is calculated, watched, called off and read.

use futures::future::join_all;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{ENDLESS, TestApp, id, of_capacity};

/// Relative tolerance for numbers that are published in full.
const PUBLISHED: f64 = 1e-9;

#[track_caller]
pub fn assert_close(actual: &Value, published: f64) {
    let actual = actual.as_f64().unwrap_or_else(|| panic!("{actual} is not a number"));
    let error = ((actual - published) / published).abs();
    assert!(error <= PUBLISHED, "{actual} is not {published}");
}

/// Compares to the last digit that was published.
#[track_caller]
fn assert_shows(actual: &Value, published: &str) {
    let actual = actual.as_f64().unwrap_or_else(|| panic!("{actual} is not a number"));
    let decimals = published.split('.').nth(1).map_or(0, str::len);
    assert_eq!(format!("{actual:.decimals$}"), published);
}

/// The table of the worked case.
#[track_caller]
pub fn assert_worked_case(result: &Value) {
    assert_close(&result["tci_usd"], 400e6);
    assert_close(&result["feedstocks"][0]["t_per_yr"], 605_000.0);
    assert_close(&result["feedstocks"][0]["usd_per_yr"], 562_650_000.0);
    assert_close(&result["hydrogen"]["t_per_yr"], 21_000.0);
    assert_close(&result["hydrogen"]["usd_per_yr"], 113_400_000.0);
    assert_close(&result["electricity"]["mwh_per_yr"], 60_000.0);
    assert_close(&result["electricity"]["usd_per_yr"], 3_300_000.0);
    for (index, (code, made)) in [("jet", 320e3), ("diesel", 75e3), ("naphtha", 105e3)].into_iter().enumerate() {
        assert_eq!(result["products"][index]["code"], code);
        assert_close(&result["products"][index]["t_per_yr"], made);
    }
    assert_shows(&result["products"][0]["cce_percent"], "57.435897");
    assert_close(&result["energy_mj_per_kg"], 43.536);
    assert_close(&result["opex_usd_per_yr"]["indirect"], 30_800_000.0);
    assert_close(&result["opex_usd_per_yr"]["total"], 710_150_000.0);
    assert_close(&result["revenue_usd_per_yr"], 1_177_500_000.0);
    assert_shows(&result["ci_g_per_mj"]["feedstock"], "1.293101");
    assert_eq!(result["ci_g_per_mj"]["hydrogen"], 0.0);
    assert_shows(&result["ci_g_per_mj"]["electricity"], "0.055127");
    assert_shows(&result["ci_g_per_mj"]["total"], "21.348228");
    assert_shows(&result["co2e_t_per_yr"], "464708.23");
    assert_shows(&result["crf"], "0.0943929257");
    assert_close(&result["lcop_usd_per_t"], 1_495.814_340_594_6);
    assert_shows(&result["lcop_net_usd_per_t"], "1657.52");
    assert_close(&result["cash_flow_usd"][20], 342_092_000.0);
    assert_shows(&result["npv_usd"], "3224127521.28");
    assert_eq!(result["irr"]["status"], "found");
    assert_shows(&result["irr"]["value"], "0.8552263344");
    assert_eq!(result["payback_years"], json!({ "status": "found", "value": 2.0 }));
    assert_shows(&result["msp_usd_per_t"]["value"], "1679.10");
}

/// Every step says how it came about; the LCOP's value is the result's, to the bit.
#[track_caller]
fn assert_traced(computed: &Value) {
    let steps = computed["trace"].as_array().expect("a trace");
    assert!(steps.len() > 20, "only {} steps", steps.len());
    for step in steps {
        for text in ["name", "unit", "formula"] {
            assert!(step[text].as_str().is_some_and(|text| !text.is_empty()), "no {text}: {step}");
        }
        let inputs = step["inputs"].as_array().expect("inputs");
        assert!(!inputs.is_empty(), "{step}");
        for input in inputs {
            assert!(input["value"].is_number() && input["unit"].is_string() && input["source"].is_string(), "{step}");
        }
    }
    let step = |name: &str| steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}"));
    assert_eq!(step("lcop")["value"], computed["result"]["lcop_usd_per_t"]);
    assert_eq!(step("lcop")["unit"], "USD/t");
    assert_eq!(step("npv")["value"], computed["result"]["npv_usd"]);
}

fn sources(computed: &Value, source: &str) -> Vec<String> {
    let inputs = computed["resolved_inputs"].as_array().expect("resolved inputs");
    let of = inputs.iter().filter(|input| input["source"] == source);
    of.map(|input| input["pointer"].as_str().expect("a pointer").to_owned()).collect()
}

on_both_engines! {
    async fn the_worked_case_is_calculated_from_a_new_project_to_its_result(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let houston = json!({ "name": "Houston", "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        let made = ana.post("/projects", houston).await.is(201);
        assert_eq!(made["scenario"]["name"], "Scenario 1");
        assert_eq!(made["run"]["scenario_id"], made["scenario"]["id"]);
        let scenario = id(&made["scenario"]);
        let run = ana.reaches(&scenario, "succeeded").await;
        assert_eq!((&run["id"], &run["attempt"]), (&made["run"]["id"], &json!(1)));

        let scenario_now = ana.get(&format!("/scenarios/{scenario}")).await.is(200);
        assert_eq!((&scenario_now["status"], &scenario_now["run_id"]), (&json!("calculated"), &run["id"]));
        let result = ana.get(&format!("/scenarios/{scenario}/result")).await.is(200);
        assert_worked_case(&result["result"]);
        assert_eq!((&result["stale"], &result["run"]["id"]), (&json!(false), &run["id"]));
        assert_eq!(result.get("trace"), None);
        assert_eq!(sources(&result, "user"), [""; 0]);
        assert!(sources(&result, "default").contains(&"/economics/discount_rate".to_owned()));

        let traced = ana.get(&format!("/scenarios/{scenario}/result?trace=true")).await.is(200);
        assert_eq!(traced["result"], result["result"]);
        assert_traced(&traced);
        app.stop().await;
    }

    async fn a_scenario_is_calculated_while_its_caller_waits(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(500_000.0).await;
        let result = ana.post(&format!("/scenarios/{scenario}/calculate/sync?trace=true"), None).await.is(200);
        assert_worked_case(&result["result"]);
        assert_traced(&result);
        assert_eq!(result["run"]["state"], "succeeded");
        assert_eq!(sources(&result, "user"), ["/plant/capacity"]);
        app.stop().await;
    }

    async fn a_quick_calculation_gives_the_same_and_stores_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let example: Value = serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
        let quick = ana.post("/calculate/quick?trace=true", example).await.is(200);
        assert_worked_case(&quick["result"]);
        assert_traced(&quick);
        assert_eq!(sources(&quick, "default"), [""; 0]);
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);
        app.stop().await;
    }

    async fn what_is_left_out_comes_from_the_defaults_and_is_called_so(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let example: Value = serde_json::from_str(include_str!("../../examples/ft-btl-malaysia.json")).unwrap();
        let quick = ana.post("/calculate/quick", example).await.is(200);
        let by_user = ["/plant/capacity", "/feedstocks/lignocellulosic-biomass/price", "/economics/tax_rate"];
        assert_eq!(sources(&quick, "user"), by_user);
        let inputs = quick["resolved_inputs"].as_array().unwrap();
        let rate = inputs.iter().find(|input| input["pointer"] == "/economics/discount_rate").unwrap();
        assert_eq!((&rate["value"], &rate["unit"], &rate["source"]), (&json!(8.0), &json!("%"), &json!("default")));
        app.stop().await;
    }

    async fn an_accepted_calculation_says_where_to_watch_it_and_where_its_result_is(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let path = format!("/scenarios/{scenario}/calculate");
        ana.get(&format!("{path}/status")).await.refused(404, "not_found");
        ana.get(&format!("/scenarios/{scenario}/result")).await.refused(404, "not_found");

        let accepted = ana.post(&path, None).await;
        assert_eq!(accepted.header("location"), format!("/api/v1{path}/status"));
        let watched = ana.get(accepted.header("location")).await.is(200);
        assert_eq!(watched["id"], accepted.is(202)["id"]);
        assert!(watched.to_string().len() <= 1024, "{watched}");
        ana.get(&format!("/scenarios/{scenario}/result")).await.refused(404, "not_found");
        ana.delete(&path).await.is(200);

        ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": of_capacity(1000.0) })).await.is(200);
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        let again = ana.post(&path, None).await;
        assert_eq!(again.header("location"), format!("/api/v1/scenarios/{scenario}/result"));
        again.is(200);
        app.stop().await;
    }

    async fn calculating_twice_gives_one_run(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        for capacity in [ENDLESS, 3000.0] {
            let scenario = ana.plant(capacity).await;
            let path = format!("/scenarios/{scenario}/calculate");
            let all = join_all((0..32).map(|_| ana.post(&path, None))).await;
            let mut ids: Vec<_> = all
                .into_iter()
                .map(|answer| {
                    assert!([200, 202].contains(&answer.status), "{answer:?}");
                    id(&answer.json)
                })
                .collect();
            ids.dedup();
            assert_eq!(ids.len(), 1, "{ids:?}");
            assert_eq!(ana.get(&format!("/scenarios/{scenario}/runs")).await.is(200)["total"], 1);
            if capacity == ENDLESS {
                ana.delete(&path).await.is(200);
            }
        }
        app.stop().await;
    }

    async fn a_result_that_is_there_is_given_at_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(4000.0).await;
        let run = ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        for _ in 0..2 {
            let again = ana.post(&format!("/scenarios/{scenario}/calculate"), None).await.is(200);
            assert_eq!((again["id"].as_str(), &again["state"]), (Some(run.as_str()), &json!("succeeded")));
        }
        let sync = ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        assert_eq!(sync["run"]["id"], run);
        assert_eq!(ana.get(&format!("/scenarios/{scenario}/runs")).await.is(200)["total"], 1);
        app.stop().await;
    }
}
