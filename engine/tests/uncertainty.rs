//! Monte Carlo: what holds for every analysis, and what is known of some.

mod common;

use common::{inputs, worked_case};
use safire_engine::uncertainty::{MonteCarlo, MonteCarloResult, NOTHING_LEFT};
use safire_engine::{Analysis, AnalysisResult, Inputs, Invalid, Job};
use serde_json::{Value, json};

fn worked_inputs() -> Inputs {
    inputs(&worked_case())
}

fn eight_inputs() -> Value {
    json!([
        { "input": "/feedstocks/UCO/price", "unit": "USD/t",
          "distribution": { "kind": "normal", "mean": 930, "standard_deviation": 90 } },
        { "input": "/utilities/hydrogen/price", "unit": "USD/kg",
          "distribution": { "kind": "lognormal", "median": 5.4, "sigma": 0.3 } },
        { "input": "/utilities/electricity/price", "unit": "USD/MWh",
          "distribution": { "kind": "uniform", "min": 40, "max": 70 } },
        { "input": "/products/jet/price", "unit": "USD/t",
          "distribution": { "kind": "normal", "mean": 3000, "standard_deviation": 300 } },
        { "input": "/economics/tci_reference", "unit": "MUSD",
          "distribution": { "kind": "pert", "min": 300, "mode": 400, "max": 600 } },
        { "input": "/feedstocks/UCO/yield", "unit": "kg/kg",
          "distribution": { "kind": "triangular", "min": 1.15, "mode": 1.21, "max": 1.35 } },
        { "input": "/economics/discount_rate", "unit": "%",
          "distribution": { "kind": "triangular", "min": 5, "mode": 7, "max": 12 } },
        { "input": "/economics/lifetime", "unit": "yr",
          "distribution": { "kind": "discrete", "outcomes": [
              { "value": 15, "weight": 1 }, { "value": 20, "weight": 2 }, { "value": 25, "weight": 1 } ] } }
    ])
}

fn specification(samples: u64) -> Value {
    json!({
        "analysis": "monte-carlo", "samples": samples, "seed": 42, "inputs": eight_inputs(),
        "metrics": ["lcop", "npv", "irr", "payback", "msp", "ci", "abatement", "tci"]
    })
}

fn analysis(specification: &Value) -> Analysis {
    serde_json::from_value(specification.clone()).unwrap()
}

fn start(specification: &Value) -> Result<Job, Invalid> {
    analysis(specification).start(&worked_inputs())
}

fn result(specification: &Value) -> MonteCarloResult {
    match start(specification).unwrap().finish().unwrap() {
        AnalysisResult::MonteCarlo(result) => result,
        other => panic!("{other:?}"),
    }
}

fn with(mut specification: Value, member: &str, value: Value) -> Value {
    specification[member] = value;
    specification
}

/// The pointers of all violations.
fn refused(specification: &Value) -> Vec<String> {
    let invalid = start(specification).err().expect("it should be refused");
    invalid.violations().iter().map(|violation| violation.pointer.clone()).collect()
}

/// Several threads, each with a chunk, give back in whichever order they finish.
fn on_threads(specification: &Value, threads: usize) -> String {
    let job = std::sync::Mutex::new(start(specification).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !job.lock().unwrap().is_done() {
                    let taken = job.lock().unwrap().take();
                    let Some(mut chunk) = taken else {
                        std::thread::yield_now();
                        continue;
                    };
                    while chunk.step() {}
                    job.lock().unwrap().give(chunk);
                }
            });
        }
    });
    serde_json::to_string(&job.into_inner().unwrap().finish().unwrap()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_one_two_and_four_threads() {
    for sequence in ["pseudo-random", "sobol"] {
        let specification = with(specification(120_000), "sequence", json!(sequence));
        let alone = serde_json::to_string(&start(&specification).unwrap().finish().unwrap()).unwrap();
        for threads in [1, 2, 4] {
            assert_eq!(on_threads(&specification, threads), alone, "{sequence} on {threads} threads");
        }
        let other = with(specification, "seed", json!(43));
        assert_ne!(serde_json::to_string(&start(&other).unwrap().finish().unwrap()).unwrap(), alone);
    }
}

#[test]
fn an_analysis_advances_in_small_steps_and_says_how_far_it_is() {
    let mut job = start(&specification(30_000)).unwrap();
    let mut last = 0;
    let mut stages = Vec::new();
    while !job.is_done() {
        let progress = job.step();
        assert!(progress.done >= last && progress.done <= progress.total, "{progress:?}");
        assert!(progress.done - last <= 4096, "a step of {} samples", progress.done - last);
        last = progress.done;
        if stages.last() != Some(&progress.stage) {
            stages.push(progress.stage);
        }
    }
    assert_eq!(job.progress().done, 30_000);
    assert_eq!(stages, ["pilot", "samples", "rank correlations", "done"]);
}

#[test]
fn a_normal_input_makes_the_linear_results_normal() {
    // LCOP = a + 1.21 · price of feedstock; NPV < 0 has the probability of a price above the break-even.
    let specification = json!({
        "analysis": "monte-carlo", "samples": 200_000, "seed": 1, "metrics": ["lcop", "npv"],
        "sequence": "sobol",
        "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t",
                     "distribution": { "kind": "normal", "mean": 930, "standard_deviation": 100 } }]
    });
    let result = result(&specification);
    let lcop = result.metrics[0].statistics.as_ref().unwrap();
    assert!((lcop.mean - 1495.8143405946).abs() < 0.02, "{}", lcop.mean);
    assert!((lcop.standard_deviation - 121.0).abs() < 0.02, "{}", lcop.standard_deviation);
    for (value, score) in
        [(lcop.percentiles.p5, -1.6448536), (lcop.percentiles.p50, 0.0), (lcop.percentiles.p90, 1.2815516)]
    {
        let expected = 1495.8143405946 + 121.0 * score;
        assert!((value - expected).abs() < 0.1, "{value} is not {expected}");
    }
    assert!(result.metrics[0].rank_correlations[0].coefficient.unwrap() > 0.999_999);
    assert!(result.metrics[1].rank_correlations[0].coefficient.unwrap() < -0.999_999);
    assert_eq!(lcop.below_zero, 0.0);
}

#[test]
fn the_histogram_and_the_distribution_account_for_every_sample() {
    let result = result(&specification(50_000));
    assert_eq!(result.samples.drawn, 50_000);
    let refused: u64 = result.samples.out_of_range.iter().map(|refused| refused.samples).sum();
    assert_eq!(result.samples.analysed + refused + result.samples.unbalanced + result.samples.failed, 50_000);
    for metric in &result.metrics {
        let Some(statistics) = &metric.statistics else { panic!("{:?} has no value", metric.metric) };
        let histogram = &statistics.histogram;
        let counted = histogram.counts.iter().sum::<u64>() + histogram.below + histogram.above;
        assert_eq!(counted + metric.absent, result.samples.analysed, "{:?}", metric.metric);
        assert_eq!(histogram.edges.len(), histogram.counts.len() + 1);
        assert!(histogram.edges.is_sorted() && statistics.cdf.is_sorted(), "{:?}", metric.metric);
        assert_eq!((statistics.cdf[0], statistics.cdf[100]), (statistics.min, statistics.max));
        assert!(statistics.min <= statistics.mean && statistics.mean <= statistics.max);
    }
}

#[test]
fn what_is_absent_is_counted_and_never_a_number() {
    // Where jet is sold for less than the feedstock costs there is neither IRR nor payback.
    let specification = json!({
        "analysis": "monte-carlo", "samples": 20_000, "metrics": ["irr", "payback", "npv"],
        "inputs": [{ "input": "/products/jet/price", "unit": "USD/t",
                     "distribution": { "kind": "uniform", "min": 0, "max": 3000 } }]
    });
    let result = result(&specification);
    let [irr, payback, npv] = &result.metrics[..] else { panic!() };
    assert!(irr.absent > 5_000 && payback.absent >= irr.absent, "{} {}", irr.absent, payback.absent);
    assert_eq!(npv.absent, 0);
    assert!(npv.statistics.as_ref().unwrap().below_zero > 0.5);
    let payback = payback.statistics.as_ref().unwrap();
    assert!(payback.percentiles.p50.fract() == 0.0 && payback.min >= 1.0);
    assert!(!serde_json::to_string(&result).unwrap().contains("NaN"));
}

#[test]
fn where_nothing_has_a_value_the_statistics_are_null() {
    let specification = json!({
        "analysis": "monte-carlo", "samples": 1_000, "metrics": ["irr"],
        "inputs": [{ "input": "/products/jet/price", "unit": "USD/t",
                     "distribution": { "kind": "uniform", "min": 0, "max": 1 } }]
    });
    let result = result(&specification);
    assert_eq!(result.metrics[0].absent, 1_000);
    assert_eq!(result.metrics[0].statistics, None);
    assert_eq!(result.metrics[0].rank_correlations[0].coefficient, None);
}

#[test]
fn samples_outside_the_allowed_range_are_refused_and_counted() {
    let specification = json!({
        "analysis": "monte-carlo", "samples": 40_000, "seed": 3, "metrics": ["npv"],
        "inputs": [
            { "input": "/economics/discount_rate", "unit": "1",
              "distribution": { "kind": "normal", "mean": 0.0, "standard_deviation": 0.02 } },
            { "input": "/products/jet/yield", "unit": "%",
              "distribution": { "kind": "discrete", "outcomes": [
                  { "value": 64, "weight": 3 }, { "value": 70, "weight": 1 } ] } }
        ]
    });
    let samples = result(&specification).samples;
    assert_eq!(samples.out_of_range.len(), 1);
    assert!((samples.out_of_range[0].samples as f64 / 40_000.0 - 0.5).abs() < 0.01, "{samples:?}");
    // Jet at 70 % makes the yields 106 %.
    assert!((samples.unbalanced as f64 / 40_000.0 - 0.125).abs() < 0.01, "{samples:?}");
}

#[test]
fn where_every_sample_is_refused_the_analysis_fails_by_name() {
    let specification = json!({
        "analysis": "monte-carlo", "samples": 100, "metrics": ["npv"],
        "inputs": [{ "input": "/products/jet/yield", "unit": "kg/kg",
                     "distribution": { "kind": "uniform", "min": 0.8, "max": 0.9 } }]
    });
    assert_eq!(start(&specification).unwrap().finish().unwrap_err().code, NOTHING_LEFT);
}

#[test]
fn correlated_inputs_move_together() {
    // Only through the spread of the sum can a correlation of two costs be seen.
    let spread = |coefficient: f64| {
        let input = |name: &str, mean: f64| {
            json!({ "input": name, "unit": "USD/t",
                    "distribution": { "kind": "normal", "mean": mean, "standard_deviation": 100 } })
        };
        let specification = json!({
            "analysis": "monte-carlo", "samples": 100_000, "metrics": ["revenue"],
            "inputs": [input("/products/jet/price", 3000.0), input("/products/diesel/price", 1500.0)],
            "correlations": [{ "between": ["/products/diesel/price", "/products/jet/price"], "coefficient": coefficient }]
        });
        result(&specification).metrics[0].statistics.as_ref().unwrap().standard_deviation
    };
    let (jet, diesel) = (320_000.0 * 100.0, 75_000.0 * 100.0);
    for rho in [-0.9, -0.3, 0.5, 0.9] {
        let expected = f64::sqrt(jet * jet + diesel * diesel + 2.0 * rho * jet * diesel);
        assert!((spread(rho) / expected - 1.0).abs() < 0.01, "{rho}: {} is not {expected}", spread(rho));
    }
}

#[test]
fn every_distribution_keeps_its_own_shape_under_correlation() {
    let alone = result(&specification(50_000));
    let names: Vec<Value> = eight_inputs().as_array().unwrap().iter().map(|input| input["input"].clone()).collect();
    let chain: Vec<Value> = names.windows(2).map(|pair| json!({ "between": pair, "coefficient": 0.3 })).collect();
    let correlated = result(&with(specification(50_000), "correlations", json!(chain)));
    // TCI depends on one input alone, whatever that input goes together with.
    let tci = |result: &MonteCarloResult| result.metrics[7].statistics.clone().unwrap();
    let (alone, correlated) = (tci(&alone), tci(&correlated));
    assert!((alone.mean / correlated.mean - 1.0).abs() < 0.005);
    assert!((alone.standard_deviation / correlated.standard_deviation - 1.0).abs() < 0.02);
    assert!((alone.percentiles.p95 / correlated.percentiles.p95 - 1.0).abs() < 0.005);
}

#[test]
fn what_is_wrong_with_a_specification_is_said_all_at_once() {
    let specification = json!({
        "analysis": "monte-carlo", "samples": 0, "metrics": [], "histogram_bins": 1000,
        "inputs": [
            { "input": "/economics/discount_rate", "unit": "kg",
              "distribution": { "kind": "normal", "mean": 7, "standard_deviation": 1 } },
            { "input": "/economics/nothing", "unit": "1",
              "distribution": { "kind": "uniform", "min": 0, "max": 1 } },
            { "input": "/economics/tax_rate", "unit": "%",
              "distribution": { "kind": "triangular", "min": 30, "mode": 50, "max": 20 } },
            { "input": "/economics/tax_rate", "unit": "%",
              "distribution": { "kind": "uniform", "min": 30, "max": 200 } },
            { "input": "/plant/capacity", "unit": "kt/yr",
              "distribution": { "kind": "normal", "mean": 500, "standard_deviation": -1 } }
        ],
        "correlations": [{ "between": ["/economics/tax_rate", "/plant/process_ci"], "coefficient": 0.5 }]
    });
    let pointers = refused(&specification);
    for expected in [
        "/samples",
        "/inputs/3",
        "/inputs/0/unit",
        "/inputs/1/input",
        "/inputs/2/distribution",
        "/inputs/3/distribution/max",
        "/inputs/4/distribution/standard_deviation",
        "/correlations/0/between/1",
        "/metrics",
        "/histogram_bins",
    ] {
        assert!(pointers.iter().any(|pointer| pointer == expected), "{expected} in {pointers:?}");
    }
}

#[test]
fn a_violation_names_field_value_range_and_unit() {
    let inputs = json!([{ "input": "/economics/tax_rate", "unit": "%",
                          "distribution": { "kind": "uniform", "min": 30, "max": 200 } }]);
    let invalid = start(&with(specification(10), "inputs", inputs)).err().unwrap();
    let violation = &invalid.violations()[0];
    assert_eq!(violation.message, "max of tax rate is 2, which is out of range; allowed is 0 to 1");
    assert_eq!(violation.allowed.as_ref().unwrap().max, 1.0);
}

#[test]
fn correlations_that_cannot_be_are_refused() {
    let between = |a: usize, b: usize, coefficient: f64| {
        let all = eight_inputs();
        json!({ "between": [all[a]["input"], all[b]["input"]], "coefficient": coefficient })
    };
    let impossible = json!([between(0, 1, 0.9), between(1, 2, 0.9), between(0, 2, -0.9)]);
    assert_eq!(refused(&with(specification(10), "correlations", impossible)), ["/correlations"]);
    let beyond = json!([between(0, 1, 1.5)]);
    assert!(refused(&with(specification(10), "correlations", beyond)).contains(&"/correlations/0/coefficient".into()));
    let twice = json!([between(0, 1, 0.5), between(1, 0, 0.4)]);
    assert_eq!(refused(&with(specification(10), "correlations", twice)), ["/correlations/1"]);
    let itself = json!([between(1, 1, 0.5)]);
    assert_eq!(refused(&with(specification(10), "correlations", itself)), ["/correlations/0/between"]);
}

#[test]
fn unknown_members_are_refused_by_name() {
    let refuse = |specification: Value| serde_json::from_value::<Analysis>(specification).unwrap_err().to_string();
    assert!(refuse(with(specification(10), "sample", json!(5))).contains("unknown field `sample`"));
    assert!(refuse(with(specification(10), "analysis", json!("guess"))).contains("unknown variant `guess`"));
    let mut inside = specification(10);
    inside["inputs"][0]["distribution"]["sd"] = json!(1);
    assert!(refuse(inside).contains("unknown field `sd`"));
}

#[test]
fn a_specification_and_its_result_survive_json() {
    let given = analysis(&specification(100));
    let text = serde_json::to_string(&given).unwrap();
    assert_eq!(serde_json::from_str::<Analysis>(&text).unwrap(), given);
    let result = start(&specification(100)).unwrap().finish().unwrap();
    let text = serde_json::to_string(&result).unwrap();
    assert!(text.starts_with(r#"{"analysis":"monte-carlo""#), "{text}");
    assert_eq!(serde_json::from_str::<AnalysisResult>(&text).unwrap(), result);
}

#[test]
fn a_seed_is_all_that_a_specification_may_leave_out_besides_its_defaults() {
    let least = json!({ "samples": 10, "inputs": eight_inputs(), "metrics": ["npv"] });
    let spec: MonteCarlo = serde_json::from_value(least).unwrap();
    assert_eq!((spec.seed, spec.histogram_bins), (0, 50));
}

#[test]
fn correlations_that_cannot_be_are_refused_with_the_least_change_that_would_do() {
    let uniform = |input: &str, unit: &str, min: f64, max: f64| json!({ "input": input, "unit": unit, "distribution": { "kind": "uniform", "min": min, "max": max } });
    let (feed, jet, tci) = ("/feedstocks/UCO/price", "/products/jet/price", "/economics/tci_reference");
    let analysis = |coefficients: [f64; 3]| -> Analysis {
        let pairs = [[feed, jet], [jet, tci], [feed, tci]];
        let correlations: Vec<Value> = pairs
            .iter()
            .zip(coefficients)
            .map(|(between, coefficient)| json!({ "between": between, "coefficient": coefficient }))
            .collect();
        serde_json::from_value(json!({ "analysis": "monte-carlo", "samples": 100, "seed": 1, "metrics": ["npv"],
            "inputs": [uniform(feed, "USD/t", 800.0, 1000.0), uniform(jet, "USD/t", 2500.0, 3500.0),
                       uniform(tci, "MUSD", 300.0, 500.0)],
            "correlations": correlations }))
        .unwrap()
    };
    let impossible = analysis([0.7, 0.9, -0.3]).start(&worked_inputs()).err().expect("it is refused");
    let message = &impossible.violations()[0].message;
    // Beside 0.7 and −0.3 the third is at most −0.21 + √((1 − 0.49) · (1 − 0.09)).
    assert!(message.contains("The least change that would do: 0.4712 instead of 0.9 between"), "{message}");
    assert!(message.contains(jet) && message.contains(tci), "{message}");
    assert!(analysis([0.7, 0.4712, -0.3]).start(&worked_inputs()).is_ok());
    assert!(analysis([0.7, 0.4713, -0.3]).start(&worked_inputs()).is_err());
}
