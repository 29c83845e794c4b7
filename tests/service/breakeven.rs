//! At which value of an input a metric is as wanted.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{Client, TestApp, first_error},
    calculation::assert_close,
};

fn of_uco(price: f64) -> Value {
    json!({ "feedstocks": { "UCO": { "price": { "value": price, "unit": "USD/t" } } } })
}

/// The base analysis of a scenario with these inputs.
async fn calculated(user: &Client, inputs: Value) -> Value {
    let project = user.project().await;
    let scenario = user.scenario(&project, inputs).await;
    user.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200)["result"].clone()
}

on_both_engines! {
    async fn at_the_breakeven_price_of_its_feedstock_a_plant_is_worth_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, json!({})).await;
        let ask = json!({ "input": "/feedstocks/UCO/price", "metric": "npv",
                          "range": { "from": 0, "to": 5, "unit": "USD/kg" } });
        let found = ana.post(&format!("/scenarios/{scenario}/breakeven"), ask).await.is(200);
        assert_eq!((&found["unit"], &found["metric_unit"], &found["target"]), (&json!("USD/t"), &json!("USD"), &json!(0.0)));
        assert_eq!(found["range"], json!({ "from": 0.0, "to": 5000.0, "unit": "USD/t" }));
        let price = found["answer"]["value"].as_f64().unwrap();
        let npv = calculated(&ana, of_uco(price)).await["npv_usd"].as_f64().unwrap();
        // What the next number beside the price changes.
        assert!(npv.abs() < 1e-5, "{npv} at {price}");
        assert_eq!(ana.get(&format!("/scenarios/{scenario}/runs")).await.is(200)["total"], 0);
        app.stop().await;
    }

    async fn the_breakeven_of_the_main_product_is_its_minimum_selling_price(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let mut quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA",
                                "inputs": { "finance": { "profile": "nrel-nth-plant" } } });
        let result = ana.post("/calculate/quick", quick.clone()).await.is(200);
        quick["breakeven"] = json!({ "input": "/products/jet/price", "metric": "npv" });
        let found = ana.post("/calculate/breakeven", quick).await.is(200);
        assert_close(&found["answer"]["value"], result["result"]["msp_usd_per_t"]["value"].as_f64().unwrap());
        app.stop().await;
    }

    async fn a_breakeven_that_cannot_be_asked_for_is_refused_by_name(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let at = format!("/scenarios/{}/breakeven", ana.scenario(&project, json!({})).await);
        let ask = |input: &str, from: f64, to: f64, unit: &str| {
            json!({ "input": input, "metric": "npv", "range": { "from": from, "to": to, "unit": unit } })
        };
        let price = "/feedstocks/UCO/price";
        for (question, pointer, code) in [
            (ask("/feedstocks/tallow/price", 0.0, 1.0, "USD/t"), "/input", "analysis.unknown_input"),
            (ask("/price", 0.0, 1.0, "USD/t"), "/input", "analysis.unknown_input"),
            (ask(price, 0.0, 1.0, "USD/MWh"), "/range/unit", "unit.wrong_group"),
            (ask(price, 0.0, 1.0, "furlong"), "/range/unit", "unit.unknown"),
            (ask(price, 5.0, 5.0, "USD/t"), "/range", "out_of_range"),
            (ask("/economics/tax_rate", 0.0, 200.0, "%"), "/range", "out_of_range"),
        ] {
            let refused = ana.post(&at, question.clone()).await.refused(422, "breakeven.invalid");
            assert_eq!(first_error(&refused), (pointer, code), "{refused}");
            let quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "breakeven": question });
            let refused = ana.post("/calculate/breakeven", quick).await.refused(422, "breakeven.invalid");
            assert_eq!(first_error(&refused).0, format!("/breakeven{pointer}"));
        }
        let refused = ana.post(&at, ask("/economics/tax_rate", 0.0, 200.0, "%")).await.refused(422, "breakeven.invalid");
        assert_eq!(refused["errors"][0]["allowed"], json!({ "min": 0.0, "max": 1.0, "unit": "1" }));
        let refused = ana.post(&at, json!({ "input": price, "metric": "luck" })).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused).0, "/metric");
        let never = json!({ "input": "/economics/tax_rate", "metric": "npv", "target": -1e12 });
        assert_eq!(ana.post(&at, never).await.is(200)["answer"]["status"], "none");
        app.stop().await;
    }
}
