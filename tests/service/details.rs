//! What a result rests on and leads to: years, prices, policy, balances and choices.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    calculation::{assert_close, assert_worked_case},
};

/// The one entry in which a field has that text.
#[track_caller]
fn entry<'v>(entries: &'v Value, key: &str, text: &str) -> &'v Value {
    let entries = entries.as_array().unwrap_or_else(|| panic!("no list: {entries}"));
    entries.iter().find(|entry| entry[key] == text).unwrap_or_else(|| panic!("no {text} in {entries:?}"))
}

/// A column of the cash-flow table.
fn column(details: &Value, name: &str) -> Vec<f64> {
    let years = details["cash_flow"]["years"].as_array().expect("years");
    years.iter().map(|year| year[name].as_f64().unwrap_or_else(|| panic!("no {name} in {year}"))).collect()
}

/// The details of the worked case.
#[track_caller]
fn assert_details_of_the_worked_case(computed: &Value) {
    assert_worked_case(&computed["result"]);
    let details = &computed["details"];
    assert_eq!(json!(column(details, "cash_flow_usd")), computed["result"]["cash_flow_usd"]);
    assert_eq!(column(details, "year"), (0..=20).map(f64::from).collect::<Vec<_>>());
    let jet = entry(&details["prices"]["products"], "code", "jet");
    assert_close(&jet["msp"]["usd_per_t"]["value"], 1_679.102_301_637_596_6);
    assert_close(&jet["msp"]["usd_per_l"]["value"], 1_679.102_301_637_596_6 * 0.81 / 1000.0);
    assert_close(&jet["msp"]["usd_per_gal"]["value"], 1_679.102_301_637_596_6 * 0.81 / 1000.0 * 3.785_411_784);
    assert_close(&jet["msp"]["usd_per_gj"]["value"], 1_679.102_301_637_596_6 / 43.8);
    assert_close(&details["prices"]["lcop"]["usd_per_t"]["value"], 1_495.814_340_594_6);
    let corsia = entry(&details["policy"]["schemes"], "scheme", "corsia");
    assert_eq!((&corsia["eligible"], &corsia["misses_by_g_per_mj"]), (&json!(true), &json!(0.0)));
    let rfnbo = entry(&details["policy"]["schemes"], "scheme", "red_rfnbo");
    assert_eq!(rfnbo["eligible"], false);
    assert!(rfnbo["source"].as_str().is_some_and(|source| source.contains("2018/2001")), "{rfnbo}");
    assert_close(&details["balances"]["mass_t_per_yr"]["difference"], 126e3);
    assert_eq!(details["choices"], json!([]));
}

fn of(usd_per_t: f64) -> Value {
    json!({ "value": usd_per_t, "unit": "USD/t" })
}

on_both_engines! {
    async fn the_details_of_a_result_are_told_when_they_are_asked_for(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(500_000.0).await;
        let at = format!("/scenarios/{scenario}");
        let plain = ana.post(&format!("{at}/calculate/sync"), None).await.is(200);
        assert_eq!(plain.get("details"), None);
        let sync = ana.post(&format!("{at}/calculate/sync?details=true"), None).await.is(200);
        assert_details_of_the_worked_case(&sync);
        let answer = ana.get(&format!("{at}/result?details=true")).await;
        let tag = answer.header("etag").to_owned();
        assert_eq!(answer.is(200), sync);
        assert_eq!(sync.get("trace"), None);
        let run = sync["run"]["id"].as_str().unwrap();
        assert_eq!(ana.get(&format!("{at}/runs/{run}/result?details=true")).await.is(200), sync);

        // With and without details it is not the same answer.
        let knows = ana.sending("if-none-match", &tag);
        knows.get(&format!("{at}/result?details=true")).await.is(304);
        assert_eq!(knows.get(&format!("{at}/result")).await.is(200), plain);
        let both = ana.get(&format!("{at}/result?details=true&trace=true")).await.is(200);
        assert_eq!(both["details"], sync["details"]);
        assert!(both["trace"].as_array().is_some_and(|steps| steps.len() > 20));
        ana.get(&format!("{at}/result?details=perhaps")).await.refused(400, "query.invalid");
        app.stop().await;
    }

    async fn a_quick_calculation_tells_its_details_too(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let example: Value = serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
        assert_details_of_the_worked_case(&ana.post("/calculate/quick?details=true", example.clone()).await.is(200));
        assert_eq!(ana.post("/calculate/quick", example).await.is(200).get("details"), None);
        app.stop().await;
    }

    async fn a_scenario_with_a_profile_is_made_changed_calculated_and_explained(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let inputs = json!({ "finance": { "profile": "nrel-nth-plant" }, "products": { "jet": { "price": of(2000.0) } } });
        let scenario = ana.scenario(&project, inputs.clone()).await;
        let at = format!("/scenarios/{scenario}");
        assert_eq!(ana.get(&at).await.is(200)["inputs"], inputs);
        let sync = format!("{at}/calculate/sync?details=true&trace=true");
        let nrel = ana.post(&sync, None).await.is(200);
        // Worked out by hand and recorded beside the engine's tests.
        let recorded: Value = serde_json::from_str(include_str!("../../engine/tests/fixtures/finance.json")).unwrap();
        assert_close(&nrel["result"]["msp_usd_per_t"]["value"], recorded["price_with_debt"]["by_hand"].as_f64().unwrap());
        assert_close(&nrel["result"]["npv_usd"], recorded["npv_with_debt_at_2000"].as_f64().unwrap());
        assert_eq!(nrel["result"]["cash_flow_first_year"], -2);
        assert_close(&nrel["details"]["cash_flow"]["years"][2]["loan_balance_usd"], 240e6);
        for (pointer, value, source) in [
            ("/economics/discount_rate", 10.0, "profile"),
            ("/finance/debt_share", 60.0, "profile"),
            ("/products/jet/price", 2000.0, "user"),
            ("/plant/capacity", 500.0, "default"),
        ] {
            let input = entry(&nrel["resolved_inputs"], "pointer", pointer);
            assert_eq!((&input["value"], &input["source"]), (&json!(value), &json!(source)), "{pointer}");
        }
        let chosen = |computed: &Value, pointer: &str| {
            let choice = entry(&computed["details"]["choices"], "pointer", pointer);
            (choice["code"].as_str().unwrap().to_owned(), choice["source"].as_str().unwrap().to_owned())
        };
        assert_eq!(chosen(&nrel, "/finance/profile"), ("nrel-nth-plant".into(), "user".into()));
        assert_eq!(chosen(&nrel, "/finance/depreciation"), ("macrs_7".into(), "profile".into()));
        let npv = entry(&nrel["trace"], "name", "npv");
        assert_eq!(npv["value"], nrel["result"]["npv_usd"]);

        // One switch by itself, then another profile, then none.
        let mut changed = inputs.clone();
        changed["finance"]["depreciation"] = json!("straight_line");
        ana.patch(&at, json!({ "inputs": changed })).await.is(200);
        assert_eq!(ana.get(&format!("{at}/result")).await.is(200)["stale"], true);
        let straight = ana.post(&sync, None).await.is(200);
        assert_eq!(chosen(&straight, "/finance/depreciation"), ("straight_line".into(), "user".into()));
        assert_ne!(straight["result"]["npv_usd"], nrel["result"]["npv_usd"]);
        changed["finance"] = json!({ "profile": "nrel" });
        let refused = ana.patch(&at, json!({ "inputs": changed })).await.refused(422, "body.invalid");
        assert!(refused["detail"].as_str().unwrap().contains("nrel-nth-plant"), "{refused}");
        ana.patch(&at, json!({ "inputs": {} })).await.is(200);
        assert_details_of_the_worked_case(&ana.post(&sync, None).await.is(200));
        app.stop().await;
    }

    async fn what_a_policy_pays_is_in_the_cash_flow_and_in_the_report(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": {
            "finance": { "first_year": { "value": 2027, "unit": "yr" } }, "policy": { "us_45z": "full" } } });
        let details = ana.post("/calculate/quick?details=true", quick).await.is(200)["details"].clone();
        let verdict = entry(&details["policy"]["schemes"], "scheme", "us_45z");
        assert_eq!((&verdict["eligible"], &verdict["in_cash_flow"]), (&json!(true), &json!(true)));
        let years = details["cash_flow"]["years"].as_array().unwrap();
        assert_eq!((&years[1]["calendar_year"], &years[1]["tax_credits_usd"]), (&json!(2027), &verdict["years"][0]["usd"]));
        assert!(years[1]["tax_credits_usd"].as_f64().unwrap() > 0.0);
        assert_eq!(years[4]["tax_credits_usd"], 0.0, "it ends with 2029");
        app.stop().await;
    }
}
