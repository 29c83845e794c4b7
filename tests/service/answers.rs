//! Answers that were wrong once, as a client gets the right ones. The engine's own tests look into them.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{Client, TestApp};

const PRICE: &str = "/feedstocks/UCO/price";

fn of(value: f64, unit: &str) -> Value {
    json!({ "value": value, "unit": unit })
}

/// The worked case with these inputs and this analysis.
fn plant(inputs: Value, analysis: Value) -> Value {
    let mut asked = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": inputs });
    if !analysis.is_null() {
        asked["analysis"] = analysis;
    }
    asked
}

async fn result(ana: &Client, inputs: Value) -> Value {
    ana.post("/calculate/quick", plant(inputs, Value::Null)).await.is(200)["result"].clone()
}

async fn analysis(ana: &Client, inputs: Value, asked: Value) -> Value {
    ana.post("/calculate/quick", plant(inputs, asked)).await.is(200)["analysis"].clone()
}

async fn breakeven(ana: &Client, question: Value) -> Value {
    let mut asked = plant(json!({}), Value::Null);
    asked["breakeven"] = question;
    ana.post("/calculate/breakeven", asked).await.is(200)["answer"].clone()
}

/// A number to two decimals.
fn cents(number: &Value) -> String {
    format!("{:.2}", number.as_f64().unwrap_or_else(|| panic!("{number} is no number")))
}

on_both_engines! {
    async fn a_payback_begins_with_spending_and_says_whether_it_lasts(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let mut poor = json!({ "products": { "jet": { "price": of(500.0, "USD/t") } }, "finance": {
            "construction_year_1": of(0.0, "%"), "construction_year_2": of(100.0, "%") } });
        let found = result(&ana, poor.clone()).await;
        for payback in ["payback_years", "discounted_payback_years"] {
            assert_eq!(found[payback]["status"], "none", "{found}");
            assert!(found[payback]["reason"].as_str().unwrap().contains("never repays"));
        }
        let samples = json!({ "analysis": "monte-carlo", "samples": 2000, "seed": 1, "metrics": ["payback"], "inputs": [
            { "input": PRICE, "unit": "USD/t", "distribution": { "kind": "uniform", "min": 900, "max": 950 } }] });
        let metric = analysis(&ana, poor.clone(), samples).await["metrics"][0].clone();
        assert_eq!(metric["statistics"], Value::Null, "{metric}");
        poor["products"]["jet"]["price"] = of(3000.0, "USD/t");
        assert_eq!(result(&ana, poor).await["payback_years"]["value"], 2.0);

        let escalating = json!({ "finance": { "feedstock_escalation": of(6.0, "%") },
                                 "economics": { "lifetime": of(60.0, "yr") } });
        let found = result(&ana, escalating).await;
        assert_eq!(found["payback_years"]["value"], 2.0);
        let again = found["payback_negative_again_year"].as_i64().unwrap();
        assert!((3..60).contains(&again) && found["npv_usd"].as_f64().unwrap() < -10e9, "{found}");
        app.stop().await;
    }

    async fn a_breakeven_is_looked_for_up_to_the_edges_of_its_metric(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let irr = breakeven(&ana, json!({ "input": PRICE, "metric": "irr", "target": 0.05 })).await;
        assert_eq!(cents(&irr["value"]), "1641.65");
        let payback = json!({ "input": PRICE, "metric": "payback", "target": 5 });
        for range in [Value::Null, json!({ "from": 1000, "to": 2000, "unit": "USD/t" })] {
            let mut question = payback.clone();
            if !range.is_null() {
                question["range"] = range;
            }
            let found = breakeven(&ana, question).await;
            assert_eq!(found["status"], "intervals");
            let edges = ["from", "to"].map(|edge| cents(&found["intervals"][0][edge]));
            assert_eq!(edges, ["1485.77", "1531.68"]);
        }
        let sweep = json!({ "analysis": "sweep", "metrics": ["payback"],
            "x": { "input": PRICE, "unit": "USD/t", "from": 1000, "to": 2000, "steps": 8 },
            "breakeven": [{ "metric": "payback", "value": 5 }] });
        let swept = analysis(&ana, json!({}), sweep).await;
        let points: Vec<_> =
            swept["breakeven"][0]["points"].as_array().unwrap().iter().map(|point| cents(&point[0])).collect();
        assert_eq!(points, ["1485.77", "1531.68"]);
        let question = json!({ "input": "/plant/load_hours", "metric": "tci", "target": 0 });
        let idle = breakeven(&ana, question).await;
        assert!(idle["reason"].as_str().unwrap().contains("does not depend on this input"), "{idle}");
        app.stop().await;
    }

    async fn what_cannot_be_meant_is_refused_and_what_has_no_value_says_why(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let refused = async |inputs: Value, analysis: Value, code: &str| {
            let refused = ana.post("/calculate/quick", plant(inputs, analysis)).await.refused(422, code);
            let error = |error: &Value| {
                let text = |key: &str| error[key].as_str().unwrap().to_owned();
                (text("pointer"), text("code"), text("message"))
            };
            refused["errors"].as_array().unwrap().iter().map(error).collect::<Vec<_>>()
        };
        let debt = json!({ "finance": { "debt_share": of(50.0, "%") } });
        let wrong = refused(debt, Value::Null, "inputs.invalid").await;
        let places: Vec<_> = wrong.iter().map(|(pointer, code, _)| (pointer.as_str(), code.as_str())).collect();
        assert_eq!(places, [("/inputs/finance/debt_rate", "required"), ("/inputs/finance/debt_term", "required")]);

        let dust = json!({ "plant": { "capacity": of(5e-324, "kt/yr") } });
        let wrong = refused(dust, Value::Null, "inputs.invalid").await;
        assert_eq!((wrong[0].0.as_str(), wrong[0].1.as_str()), ("/inputs/plant/capacity", "out_of_range"));
        assert!(wrong[0].2.ends_with("allowed is 1 to 100000000 t/yr"), "{}", wrong[0].2);

        let sweep = json!({ "analysis": "sweep", "metrics": ["npv"],
            "x": { "input": "/economics/lifetime", "unit": "yr", "from": 10.5, "to": 20.5, "steps": 11 } });
        let wrong = refused(json!({}), sweep, "analysis.invalid").await;
        assert_eq!(wrong[0].0, "/analysis/x/from");

        let uniform = |input: &str, unit: &str, min: f64, max: f64| {
            json!({ "input": input, "unit": unit, "distribution": { "kind": "uniform", "min": min, "max": max } })
        };
        let (jet, tci) = ("/products/jet/price", "/economics/tci_reference");
        let impossible = json!({ "analysis": "monte-carlo", "samples": 100, "seed": 1, "metrics": ["npv"],
            "inputs": [uniform(PRICE, "USD/t", 800.0, 1000.0), uniform(jet, "USD/t", 2500.0, 3500.0),
                       uniform(tci, "MUSD", 300.0, 500.0)],
            "correlations": [{ "between": [PRICE, jet], "coefficient": 0.7 }, { "between": [jet, tci], "coefficient": 0.9 },
                             { "between": [PRICE, tci], "coefficient": -0.3 }] });
        let wrong = refused(json!({}), impossible, "analysis.invalid").await;
        assert!(wrong[0].2.contains("The least change that would do: 0.4712 instead of 0.9 between"), "{}", wrong[0].2);

        let tornado = json!({ "analysis": "tornado", "metrics": ["npv"], "inputs": [
            { "input": "/feedstocks/UCO/yield", "unit": "kg/kg", "low": 0.5, "high": 1.5 },
            { "input": jet, "unit": "USD/t", "low": 2999, "high": 3001 }] });
        let bars = analysis(&ana, json!({}), tornado).await["metrics"][0]["bars"].clone();
        assert_eq!((&bars[0]["input"], &bars[0]["at_low"]), (&json!("/feedstocks/UCO/yield"), &Value::Null));
        assert!(bars[0]["low_reason"].as_str().unwrap().contains("not be made of its feedstocks"), "{bars}");
        assert!(bars[0]["swing"].as_f64().unwrap() > bars[1]["swing"].as_f64().unwrap());
        app.stop().await;
    }
}
