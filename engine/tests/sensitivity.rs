//! Tornado, spider, sweep and Sobol indices of the worked case.

mod common;

use common::{inputs, worked_case};
use safire_engine::analysis::UNFINISHED;
use safire_engine::sensitivity::{SobolResult, SpiderResult, SweepResult, TornadoResult};
use safire_engine::{Analysis, AnalysisResult, Job, Plain, Quantity, analyse};
use serde_json::{Value, json};

fn start(specification: &Value) -> Job {
    let analysis: Analysis = serde_json::from_value(specification.clone()).unwrap();
    analysis.start(&inputs(&worked_case())).unwrap()
}

fn refused(specification: &Value) -> Vec<String> {
    let analysis: Analysis = serde_json::from_value(specification.clone()).unwrap();
    let invalid = analysis.start(&inputs(&worked_case())).err().expect("it should be refused");
    invalid.violations().iter().map(|violation| violation.pointer.clone()).collect()
}

fn result(specification: &Value) -> AnalysisResult {
    let result = start(specification).finish().unwrap();
    let text = serde_json::to_string(&result).unwrap();
    assert_eq!(serde_json::from_str::<AnalysisResult>(&text).unwrap(), result);
    result
}

fn tornado(specification: &Value) -> TornadoResult {
    match result(specification) {
        AnalysisResult::Tornado(result) => result,
        other => panic!("{other:?}"),
    }
}

fn spider(specification: &Value) -> SpiderResult {
    match result(specification) {
        AnalysisResult::Spider(result) => result,
        other => panic!("{other:?}"),
    }
}

fn sweep(specification: &Value) -> SweepResult {
    match result(specification) {
        AnalysisResult::Sweep(result) => result,
        other => panic!("{other:?}"),
    }
}

fn sobol(specification: &Value) -> SobolResult {
    match result(specification) {
        AnalysisResult::Sobol(result) => result,
        other => panic!("{other:?}"),
    }
}

fn near(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value / expected - 1.0).abs() < 1e-9)
}

#[test]
fn the_base_analysis_is_one_of_the_analyses() {
    let AnalysisResult::Base(base) = result(&json!({ "analysis": "base" })) else { panic!() };
    assert_eq!(*base, analyse(&inputs(&worked_case()), &mut Plain).unwrap());
}

#[test]
fn the_widest_bar_of_a_tornado_comes_first() {
    let bar = |input: &str, unit: &str, low: f64, high: f64| json!({ "input": input, "unit": unit, "low": low, "high": high });
    let result = tornado(&json!({
        "analysis": "tornado", "metrics": ["npv", "lcop"],
        "inputs": [
            bar("/utilities/electricity/price", "USD/MWh", 40.0, 70.0),
            bar("/products/jet/price", "USD/t", 2500.0, 3500.0),
            bar("/feedstocks/UCO/price", "USD/kg", 0.8, 1.1),
        ]
    }));
    let npv = &result.metrics[0];
    assert!(near(npv.base, 3_224_127_521.28), "{:?}", npv.base);
    let order: Vec<&str> = npv.bars.iter().map(|bar| bar.input.input.as_str()).collect();
    assert_eq!(order, ["/products/jet/price", "/feedstocks/UCO/price", "/utilities/electricity/price"]);
    // 1,000 USD/t more for 320,000 t/yr, after tax, over the annuity.
    let swing = 1000.0 * 320_000.0 * 0.72 / 0.094_392_925_7;
    assert!((npv.bars[0].swing.unwrap() / swing - 1.0).abs() < 1e-8, "{:?}", npv.bars[0]);
    // LCOP does not see the price of jet.
    assert_eq!(result.metrics[1].bars[2].swing, Some(0.0));
}

#[test]
fn a_bar_without_a_value_has_no_swing_and_comes_last() {
    let result = tornado(&json!({
        "analysis": "tornado", "metrics": ["irr"],
        "inputs": [
            { "input": "/products/jet/price", "unit": "USD/t", "low": 0, "high": 100 },
            { "input": "/economics/tax_rate", "unit": "%", "low": 20, "high": 30 }
        ]
    }));
    let last = &result.metrics[0].bars[1];
    assert_eq!((last.input.input.as_str(), last.at_low, last.swing), ("/products/jet/price", None, None));
}

#[test]
fn all_lines_of_a_spider_meet_where_nothing_is_changed() {
    let result = spider(&json!({
        "analysis": "spider", "metrics": ["npv", "payback"], "changes": [-0.5, 0, 0.5, 9],
        "inputs": ["/products/jet/price", "/products/jet/yield", "/economics/lifetime"]
    }));
    for line in &result.metrics[0].lines {
        assert!(near(line.values[1], 3_224_127_521.28), "{line:?}");
    }
    assert!(result.metrics[0].lines[0].values.is_sorted());
    // Ten times the yield of jet is no share of the fuel.
    assert_eq!(result.metrics[0].lines[1].values[3], None);
    // 20 years, half of it and ten times it: within the range of 100 and beyond.
    assert!(result.metrics[0].lines[2].values[0].is_some());
    assert_eq!(result.metrics[0].lines[2].values[3], None);
}

#[test]
fn a_sweep_finds_the_minimum_selling_price_as_breakeven() {
    let result = sweep(&json!({
        "analysis": "sweep", "metrics": ["npv", "msp"], "breakeven": [{ "metric": "npv", "value": 0 }],
        "x": { "input": "/products/jet/price", "unit": "USD/kg", "from": 1, "to": 3, "steps": 21 }
    }));
    assert_eq!((result.x.len(), result.x[0], result.x[20], result.y.len()), (21, 1.0, 3.0, 0));
    assert!(near(result.metrics[0].values[20], 3_224_127_521.28));
    let [point] = &result.breakeven[0].points[..] else { panic!("{:?}", result.breakeven) };
    assert!((point[0] * 1000.0 / result.metrics[1].values[0].unwrap() - 1.0).abs() < 1e-12, "{point:?}");
}

#[test]
fn every_point_of_a_breakeven_line_has_the_value_asked_for() {
    let result = sweep(&json!({
        "analysis": "sweep", "metrics": ["npv"], "breakeven": [{ "metric": "npv", "value": 1e9 }],
        "x": { "input": "/products/jet/price", "unit": "USD/t", "from": 1500, "to": 3000, "steps": 40 },
        "y": { "input": "/economics/discount_rate", "unit": "%", "from": 2, "to": 15, "steps": 30 }
    }));
    assert_eq!(result.metrics[0].values.len(), 1200);
    let points = &result.breakeven[0].points;
    assert!(points.len() > 30, "{}", points.len());
    for point in points {
        let mut document = worked_case();
        document.products.get_mut("jet").unwrap().price = Some(Quantity::new(point[0], "USD/t"));
        document.economics.discount_rate = Some(Quantity::new(point[1], "%"));
        let npv = analyse(&inputs(&document), &mut Plain).unwrap().npv_usd;
        assert!((npv - 1e9).abs() < 1.0, "{point:?}: {npv}");
    }
}

#[test]
fn the_values_of_a_mesh_run_along_x_first() {
    let result = sweep(&json!({
        "analysis": "sweep", "metrics": ["revenue"],
        "x": { "input": "/products/jet/price", "unit": "USD/t", "from": 1000, "to": 3000, "steps": 3 },
        "y": { "input": "/products/diesel/price", "unit": "USD/t", "from": 1000, "to": 2000, "steps": 2 }
    }));
    let revenue = |jet: f64, diesel: f64| Some(320_000.0 * jet + 75_000.0 * diesel + 105_000.0 * 1000.0);
    let expected: Vec<Option<f64>> =
        [1000.0, 2000.0].iter().flat_map(|diesel| [1000.0, 2000.0, 3000.0].map(|jet| revenue(jet, *diesel))).collect();
    assert_eq!(result.metrics[0].values, expected);
}

#[test]
fn the_indices_of_a_sum_are_the_shares_of_its_variance() {
    // LCOP is linear in both prices: 1.21 · 90 and 42 · 1.0 USD/t.
    let input = |name: &str, unit: &str, mean: f64, standard_deviation: f64| {
        json!({ "input": name, "unit": unit,
                "distribution": { "kind": "normal", "mean": mean, "standard_deviation": standard_deviation } })
    };
    let result = sobol(&json!({
        "analysis": "sobol", "samples": 4096, "metrics": ["lcop", "tci"],
        "inputs": [input("/feedstocks/UCO/price", "USD/t", 930.0, 90.0), input("/utilities/hydrogen/price", "USD/kg", 5.4, 1.0)]
    }));
    let (feedstock, hydrogen) = (f64::powi(1.21 * 90.0, 2), f64::powi(42.0, 2));
    let lcop = &result.metrics[0];
    assert!((lcop.variance.unwrap() / (feedstock + hydrogen) - 1.0).abs() < 0.01);
    for (index, variance) in lcop.inputs.iter().zip([feedstock, hydrogen]) {
        let share = variance / (feedstock + hydrogen);
        assert!((index.first_order.unwrap() - share).abs() < 0.01, "{index:?} is not {share}");
        assert!((index.total_order.unwrap() - share).abs() < 0.01, "{index:?} is not {share}");
    }
    // TCI depends on neither.
    assert_eq!(result.metrics[1].variance, None);
    assert_eq!(result.metrics[1].inputs[0].first_order, None);
}

#[test]
fn specifications_are_checked() {
    let axis =
        |steps: u64| json!({ "input": "/products/jet/price", "unit": "USD/t", "from": 1, "to": 2, "steps": steps });
    assert_eq!(refused(&json!({ "analysis": "sweep", "metrics": ["npv"], "x": axis(1001) })), ["/x/steps"]);
    assert_eq!(refused(&json!({ "analysis": "sweep", "metrics": ["npv"], "x": axis(5), "y": axis(5) })), ["/y/input"]);
    let breakeven = json!([{ "metric": "irr", "value": 0.1 }]);
    let sweep = json!({ "analysis": "sweep", "metrics": ["npv"], "x": axis(5), "breakeven": breakeven });
    assert_eq!(refused(&sweep), ["/breakeven/0/metric"]);
    let spider =
        json!({ "analysis": "spider", "metrics": ["npv"], "changes": [0.1, 0.0], "inputs": ["/plant/capacity"] });
    assert_eq!(refused(&spider), ["/changes"]);
    let low_and_high = json!([{ "input": "/economics/tax_rate", "unit": "%", "low": 30, "high": 120 }]);
    assert_eq!(
        refused(&json!({ "analysis": "tornado", "metrics": ["npv"], "inputs": low_and_high })),
        ["/inputs/0/high"]
    );
    let sobol =
        json!({ "analysis": "sobol", "samples": 1, "resamples": 1, "metrics": [], "inputs": [], "confidence": 2 });
    assert_eq!(refused(&sobol), ["/samples", "/inputs", "/metrics", "/resamples", "/confidence"]);
}

#[test]
fn a_job_whose_chunk_is_lost_fails_instead_of_waiting() {
    let mut job = start(&json!({ "analysis": "base" }));
    drop(job.take());
    assert!(!job.is_done());
    assert_eq!(job.finish().unwrap_err().code, UNFINISHED);
}

#[test]
fn a_refused_end_of_a_tornado_has_its_reason_and_the_other_end_ranks_the_bar() {
    let found = tornado(&json!({ "analysis": "tornado", "metrics": ["npv"], "inputs": [
        { "input": "/feedstocks/UCO/yield", "unit": "kg/kg", "low": 0.5, "high": 1.5 },
        { "input": "/products/jet/price", "unit": "USD/t", "low": 2999, "high": 3001 }] }));
    let [first, second] = <[_; 2]>::try_from(found.metrics[0].bars.clone()).unwrap();
    assert_eq!((first.input.input.as_str(), first.at_low), ("/feedstocks/UCO/yield", None));
    assert!(first.low_reason.as_deref().is_some_and(|reason| reason.contains("not be made of its feedstocks")));
    assert_eq!(first.high_reason, None);
    let base = found.metrics[0].base.unwrap();
    assert_eq!(first.swing, Some((first.at_high.unwrap() - base).abs()));
    assert!(second.swing < first.swing && second.low_reason.is_none());
}

#[test]
fn an_end_without_the_metric_says_why_there_is_none() {
    let found = tornado(&json!({ "analysis": "tornado", "metrics": ["irr"], "inputs": [
        { "input": "/products/jet/price", "unit": "USD/t", "low": 100, "high": 3000 }] }));
    let reason = found.metrics[0].bars[0].low_reason.clone().unwrap();
    assert!(reason.contains("cash flow"), "{reason}");
}

#[test]
fn whole_number_inputs_are_scanned_over_whole_numbers_only() {
    let sweep = |from: f64, to: f64, steps: u64| {
        json!({ "analysis": "sweep", "metrics": ["npv"],
                "x": { "input": "/economics/lifetime", "unit": "yr", "from": from, "to": to, "steps": steps } })
    };
    assert_eq!(refused(&sweep(10.0, 11.0, 3)), ["/x/steps"]);
    assert_eq!(refused(&sweep(10.5, 20.5, 11))[0], "/x/from");
    assert!(matches!(result(&sweep(10.0, 20.0, 11)), AnalysisResult::Sweep(_)));
    let ends = json!({ "analysis": "tornado", "metrics": ["npv"], "inputs": [
        { "input": "/economics/lifetime", "unit": "yr", "low": 17.5, "high": 22 }] });
    assert_eq!(refused(&ends), ["/inputs/0/low"]);
    let lines = spider(&json!({ "analysis": "spider", "metrics": ["npv"], "inputs": ["/economics/lifetime"],
                                "changes": [-0.1, -0.03, 0.0, 0.05] }));
    let values = &lines.metrics[0].lines[0].values;
    assert_eq!(values.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true]);
}

#[test]
fn a_break_even_over_a_lifetime_is_a_whole_number() {
    let sweep = sweep(&json!({ "analysis": "sweep", "metrics": ["discounted_payback", "npv"],
        "x": { "input": "/economics/lifetime", "unit": "yr", "from": 1, "to": 31, "steps": 4 },
        "breakeven": [{ "metric": "npv", "value": 1e9 }] }));
    let [years] = <[_; 1]>::try_from(sweep.breakeven[0].points.clone()).unwrap();
    assert_eq!(years[0].fract(), 0.0);
    let npv = |years: f64| {
        let mut document = worked_case();
        document.economics.lifetime = Some(Quantity::new(years, "yr"));
        analyse(&inputs(&document), &mut Plain).unwrap().npv_usd
    };
    assert!(npv(years[0]) >= 1e9 && npv(years[0] - 1.0) < 1e9);
}
