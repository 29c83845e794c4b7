//! Analyses beside the base analysis: asked for, watched, called off, read, asked for again.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{Client, TestApp, eventually, first_error, id},
    calculation::assert_worked_case,
    files::{CSV, XLSX, sheet},
};

/// A Monte Carlo analysis of the price of the feedstock.
fn monte_carlo(samples: u64) -> Value {
    json!({
        "analysis": "monte-carlo", "samples": samples, "seed": 7, "metrics": ["npv", "msp", "irr"],
        "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t",
                     "distribution": { "kind": "triangular", "min": 800, "mode": 930, "max": 1200 } }]
    })
}

async fn worked_case(ana: &Client) -> String {
    let project = ana.project().await;
    ana.scenario(&project, json!({})).await
}

on_both_engines! {
    async fn a_monte_carlo_run_finds_distributions_beside_the_base_analysis(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let accepted = ana.post(&path, monte_carlo(20_000)).await.is(202);
        assert_eq!(accepted["analysis"], "monte-carlo");
        ana.reaches(&scenario, "succeeded").await;
        let result = ana.get(&format!("/scenarios/{scenario}/result?analysis=monte-carlo")).await.is(200);
        assert_worked_case(&result["result"]);
        assert_eq!(result["analysis"]["analysis"], "monte-carlo");
        assert_eq!(result["analysis"]["samples"]["drawn"], 20_000);
        let npv = &result["analysis"]["metrics"][0];
        // The mean of the triangle is 976.67 USD/t; NPV falls by 605,000 t/yr * 0.72 * annuity(7 %, 20) per USD/t.
        let expected = 3_224_127_521.28 - (976.666_666_7 - 930.0) * 605_000.0 * 0.72 * 10.594_014_245_5;
        let mean = npv["statistics"]["mean"].as_f64().unwrap();
        assert!((mean / expected - 1.0).abs() < 2e-3, "{mean} for {expected}");
        assert!(npv["rank_correlations"][0]["coefficient"].as_f64().unwrap() < -0.999);

        // Its question stands with it, and with the run.
        let mut question = monte_carlo(20_000);
        question["histogram_bins"] = json!(50);
        question["sequence"] = json!("pseudo-random");
        question["inputs"][0]["distribution"] = json!({ "kind": "triangular", "min": 800.0, "mode": 930.0, "max": 1200.0 });
        assert_eq!(result["run"]["question"], question);
        let run = format!("/scenarios/{scenario}/runs/{}", id(&result["run"]));
        assert_eq!(ana.get(&run).await.is(200)["question"], question);
        let file = ana.get(&format!("{run}/result?format=csv")).await.file(CSV);
        let file = String::from_utf8(file).unwrap();
        for row in ["question,seed,,7,,", "question,samples,,20000,,", "question,inputs.0.distribution.mode,,930.0,,",
            "question,inputs.0.input,,/feedstocks/UCO/price,,", "question,inputs.0.unit,,USD/t,,"]
        {
            assert!(file.lines().any(|line| line == row), "no {row}:\n{file}");
        }
        let book = ana.get(&format!("{run}/result?format=xlsx")).await.file(XLSX);
        let asked = sheet(book, "Question");
        for row in [["seed", "7"], ["inputs.0.distribution.kind", "triangular"], ["metrics.1", "msp"]] {
            assert!(asked.iter().any(|cells| cells == &row), "no {row:?}: {asked:?}");
        }

        // The same seed, asked for elsewhere, gives the same bytes.
        let twin = worked_case(&ana).await;
        let again = ana.post(&format!("/scenarios/{twin}/calculate/sync"), monte_carlo(20_000)).await.is(200);
        assert_eq!(again["analysis"], result["analysis"]);
        app.stop().await;
    }

    async fn every_kind_of_analysis_is_a_run_and_keeps_its_result(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let (price, jet) = ("/feedstocks/UCO/price", "/products/jet/price");
        let uniform = |input, min, max| {
            json!({ "input": input, "unit": "USD/t", "distribution": { "kind": "uniform", "min": min, "max": max } })
        };
        let analyses = [
            monte_carlo(1000),
            json!({ "analysis": "sobol", "samples": 256, "metrics": ["npv"],
                    "inputs": [uniform(price, 800, 1000), uniform(jet, 2500, 3500)] }),
            json!({ "analysis": "tornado", "metrics": ["npv"], "inputs": [
                { "input": price, "unit": "USD/t", "low": 800, "high": 1000 },
                { "input": jet, "unit": "USD/t", "low": 2500, "high": 3500 }] }),
            json!({ "analysis": "spider", "metrics": ["npv"], "inputs": [price], "changes": [-0.1, 0.0, 0.1] }),
            json!({ "analysis": "sweep", "metrics": ["npv"],
                    "x": { "input": price, "unit": "USD/t", "from": 800, "to": 1000, "steps": 5 } }),
        ];
        let mut results = Vec::new();
        for analysis in &analyses {
            let sync = format!("/scenarios/{scenario}/calculate/sync");
            let result = ana.post(&sync, analysis.clone()).await.is(200);
            assert_eq!(result["analysis"]["analysis"], analysis["analysis"], "{result}");
            assert_eq!(result["run"]["state"], "succeeded");
            assert_eq!(id(&ana.post(&sync, analysis.clone()).await.is(200)["run"]), id(&result["run"]));
            results.push(result);
        }
        let bars = &results[2]["analysis"]["metrics"][0]["bars"];
        assert_eq!((&bars[0]["input"], &bars[1]["input"]), (&json!(jet), &json!(price)), "the widest is first");
        for result in results {
            let run = id(&result["run"]);
            let of_run = ana.get(&format!("/scenarios/{scenario}/runs/{run}/result")).await.is(200);
            assert_eq!(of_run, result);
            assert_eq!(ana.get(&format!("/scenarios/{scenario}/runs/{run}")).await.is(200), result["run"]);
        }
        app.stop().await;
    }

    async fn progress_is_that_of_the_work_and_a_long_analysis_can_be_called_off(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let sweep = json!({ "analysis": "sweep", "metrics": ["irr"],
            "x": { "input": "/feedstocks/UCO/price", "unit": "USD/t", "from": 800, "to": 1000, "steps": 1000 },
            "y": { "input": "/products/jet/price", "unit": "USD/t", "from": 2000, "to": 4000, "steps": 1000 } });
        ana.post(&path, sweep).await.is(202);
        let status = format!("{path}/status");
        let running = eventually("progress", async || {
            let status = ana.get(&status).await.is(200);
            let percent = status["progress"]["percent"].as_f64().unwrap_or_default();
            if percent > 0.0 && percent < 100.0 { Ok(status) } else { Err(status) }
        })
        .await;
        assert!(running["progress"]["stage"].as_str().is_some_and(|stage| !stage.is_empty()), "{running}");
        assert!(running["remaining_s"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{running}");
        assert!(running.to_string().len() <= 1024);
        assert_eq!(ana.delete(&path).await.is(200)["state"], "cancelled");
        assert_eq!(ana.get(&format!("/scenarios/{scenario}")).await.is(200)["status"], "draft");
        app.stop().await;
    }

    async fn an_analysis_that_makes_no_sense_is_refused_by_name(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = worked_case(&ana).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let changed = |pointer: &str, value: Value| {
            let mut analysis = monte_carlo(1000);
            *analysis.pointer_mut(pointer).unwrap() = value;
            analysis
        };
        for (analysis, pointer) in [
            (changed("/samples", json!(10_000_001)), "/samples"),
            (changed("/inputs/0/input", json!("/feedstocks/tallow/price")), "/inputs/0/input"),
            (changed("/inputs/0/unit", json!("USD/MWh")), "/inputs/0/unit"),
            (changed("/inputs/0/distribution/min", json!(1300)), "/inputs/0/distribution"),
            (changed("/metrics", json!([])), "/metrics"),
        ] {
            let refused = ana.post(&path, analysis.clone()).await.refused(422, "analysis.invalid");
            assert!(first_error(&refused).0.starts_with(pointer), "{refused}");
            let quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "analysis": analysis });
            let refused = ana.post("/calculate/quick", quick).await.refused(422, "analysis.invalid");
            assert!(first_error(&refused).0.starts_with(&format!("/analysis{pointer}")), "{refused}");
        }
        for (wrong, pointer) in [
            (json!({ "analysis": "tarot" }), "/analysis"),
            (json!({ "samples": 10 }), "/analysis"),
            (json!({ "analysis": "base", "samples": 10 }), "/samples"),
            (json!({ "analysis": "sobol", "samples": "many" }), "/samples"),
            (changed("/inputs/0/unit", json!(7)), "/inputs/0/unit"),
        ] {
            let refused = ana.post(&path, wrong).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused).0, pointer, "{refused}");
        }
        assert_eq!(ana.get(&format!("/scenarios/{scenario}/runs")).await.is(200)["total"], 0);
        app.stop().await;
    }

    async fn many_long_analyses_do_not_hold_up_a_base_analysis(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let mut long = Vec::new();
        for _ in 0..8 {
            let scenario = worked_case(&ana).await;
            ana.post(&format!("/scenarios/{scenario}/calculate"), monte_carlo(10_000_000)).await.is(202);
            long.push(scenario);
        }
        let scenario = worked_case(&bob).await;
        let result = bob.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        assert_worked_case(&result["result"]);
        let mut ended = 0;
        for scenario in &long {
            let path = format!("/scenarios/{scenario}/calculate");
            match ana.delete(&path).await.status {
                200 => {}
                _ => ended += 1,
            }
        }
        assert!(ended < long.len(), "the long analyses were not in the way");
        app.stop().await;
    }
}
