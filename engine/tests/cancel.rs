//! An analysis can be given up between any two steps, and no step is long.

mod common;

use std::time::{Duration, Instant};

use common::{inputs, worked_case};
use safire_engine::{Analysis, Job};
use serde_json::{Value, json};

fn start(specification: Value) -> Job {
    let analysis: Analysis = serde_json::from_value(specification).unwrap();
    analysis.start(&inputs(&worked_case())).unwrap()
}

fn uncertain() -> Value {
    json!([{ "input": "/products/jet/price", "unit": "USD/t",
             "distribution": { "kind": "normal", "mean": 3000, "standard_deviation": 300 } },
           { "input": "/economics/tci_reference", "unit": "MUSD",
             "distribution": { "kind": "triangular", "min": 320, "mode": 400, "max": 600 } }])
}

/// The longest that each analysis may be, and one whose samples go through the scalar analysis.
fn longest() -> [Value; 4] {
    let axis = |input: &str, unit: &str, from: f64, to: f64| json!({ "input": input, "unit": unit, "from": from, "to": to, "steps": 1000 });
    let monte_carlo = |metrics: Value| json!({ "analysis": "monte-carlo", "samples": 10_000_000, "seed": 1, "inputs": uncertain(), "metrics": metrics });
    [
        monte_carlo(json!(["npv", "irr"])),
        monte_carlo(json!(["discounted_payback"])),
        json!({ "analysis": "sobol", "samples": 1 << 20, "seed": 1, "inputs": uncertain(), "metrics": ["npv", "irr"] }),
        json!({ "analysis": "sweep", "metrics": ["npv", "irr"], "breakeven": [{ "metric": "npv", "value": 0 }],
                "x": axis("/products/jet/price", "USD/t", 500.0, 3000.0),
                "y": axis("/economics/discount_rate", "1", 0.01, 0.3) }),
    ]
}

#[test]
fn a_job_is_given_up_part_way_after_a_short_step() {
    for specification in longest() {
        let mut job = start(specification.clone());
        let mut steps = Vec::new();
        for _ in 0..40 {
            let began = Instant::now();
            let progress = job.step();
            steps.push(began.elapsed());
            assert!(progress.done < progress.total, "{specification} was done after {} steps", steps.len());
        }
        steps.sort();
        // The test is not optimized, and others are on the machine: still half of what a cancellation may take.
        assert!(steps[20] < Duration::from_millis(50), "{specification}: {:?}", steps[20]);
        let began = Instant::now();
        drop(job);
        assert!(began.elapsed() < Duration::from_millis(50), "{specification}");
    }
}

#[test]
fn a_chunk_outlives_the_job_it_was_taken_from() {
    let mut job = start(longest()[0].clone());
    let mut pilot = job.take().unwrap();
    while pilot.step() {}
    job.give(pilot);
    let (mut one, two) = (job.take().unwrap(), job.take().unwrap());
    assert!(one.step());
    drop(job);
    assert!(one.step());
    drop((one, two));
}
