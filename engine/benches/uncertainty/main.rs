//! Monte Carlo and Sobol indices beside numpy, SALib and a loop written for one scenario, in one run:
//! `cargo bench -p safire-engine --bench uncertainty`.
//!
//! numpy and SALib are those of `$PYTHON`, or of `python3`; where it has none, the line says so.

mod by_hand;
#[allow(dead_code, unused_imports, reason = "the loop by hand uses the engine's own exponential, and not its tests")]
#[path = "../../src/lanes/mod.rs"]
mod lanes;
#[allow(dead_code, unused_imports, reason = "the loop by hand uses the engine's own quantiles, and not their tests")]
#[path = "../../src/uncertainty/normal.rs"]
mod normal;
#[expect(
    dead_code,
    unused_imports,
    reason = "the loop by hand uses the engine's own random numbers, and not their tests"
)]
#[path = "../../src/uncertainty/stream.rs"]
mod stream;

use std::hint::black_box;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use safire_engine::{Analysis, AnalysisResult, InputDocument, Inputs, resolve};
use serde_json::{Value, json};

const SAMPLES: u64 = 4_000_000;
/// What memory is measured at, and numpy.
const MILLION: u64 = 1_000_000;
const ROUNDS: usize = 7;

fn main() {
    let inputs = worked_case();
    let memory = resident_kb("VmRSS");
    black_box(run(&inputs, &monte_carlo(MILLION)));
    println!("resident memory grown at the peak of {MILLION} samples: {} kB", resident_kb("VmHWM") - memory);

    let python = python(MILLION);
    // Turn by turn, so that a busy neighbour slows all of them.
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        times[0].push(timed(|| drop(black_box(run(&inputs, &monte_carlo(SAMPLES))))));
        times[1].push(timed(|| _ = black_box(by_hand::run(SAMPLES))));
        times[2].push(wall(|| drop(black_box(on_threads(&inputs, &monte_carlo(SAMPLES), 1)))));
        times[3].push(wall(|| drop(black_box(on_threads(&inputs, &monte_carlo(SAMPLES), 2)))));
        times[4].push(timed(|| drop(black_box(run(&inputs, &sobol(8192))))));
    }
    // The best of threads that had both cores to themselves, if any had.
    let (one, two) = (least(&times[2]), least(&times[3]));
    let [engine, by_hand, _, _, sobol] = times.map(median);
    let rate = |samples: u64, time: f64| samples as f64 / time / 1e6;
    println!("Monte Carlo, 8 inputs, 5 metrics: {:.1} M samples/s", rate(SAMPLES, engine));
    println!("the same by hand: {:.1} M samples/s; engine / by hand {:.2}", rate(SAMPLES, by_hand), by_hand / engine);
    println!("2 threads / 1 thread: {:.2}", one / two);
    println!("Sobol indices, N = 8192, 8 inputs, 5 metrics: {:.1} ms", sobol * 1e3);
    match python {
        Some((numpy, salib)) => {
            println!(
                "numpy in blocks of 8,192: {:.2} M samples/s; engine / numpy {:.1}",
                rate(MILLION, numpy),
                rate(SAMPLES, engine) / rate(MILLION, numpy)
            );
            match salib {
                Some(salib) => println!("SALib on numpy: {:.0} ms; engine / SALib {:.1}", salib * 1e3, salib / sobol),
                None => println!("SALib: not measured, this Python has none"),
            }
        }
        None => println!("numpy: not measured, there is no Python with numpy (set PYTHON)"),
    }
    agreement(&inputs);
    longest_step(&inputs);
}

/// That all compute the same is part of the comparison.
fn agreement(inputs: &Inputs) {
    let AnalysisResult::MonteCarlo(result) = run(inputs, &monte_carlo(SAMPLES)) else { return };
    let by_hand = by_hand::run(SAMPLES);
    for (metric, by_hand) in result.metrics.iter().zip(by_hand) {
        let mean = metric.statistics.as_ref().map_or(f64::NAN, |statistics| statistics.mean);
        println!("mean of {:?}: engine {mean:.6e}, by hand {by_hand:.6e}", metric.metric);
    }
}

fn longest_step(inputs: &Inputs) {
    for metrics in [json!(["lcop", "npv", "payback", "irr", "msp"]), json!(["discounted_payback"])] {
        let mut specification = monte_carlo(100_000);
        specification["metrics"] = metrics.clone();
        let analysis: Analysis = serde_json::from_value(specification).expect("the specification is valid");
        let mut job = analysis.start(inputs).expect("the specification fits the scenario");
        let mut steps = Vec::new();
        while !job.is_done() {
            steps.push(wall(|| _ = black_box(job.step())));
        }
        steps.sort_by(f64::total_cmp);
        let at = |share: f64| steps[((steps.len() - 1) as f64 * share) as usize] * 1e3;
        println!("steps of {metrics}: median {:.3} ms, 99 % {:.3} ms, longest {:.3} ms", at(0.5), at(0.99), at(1.0));
    }
}

fn worked_case() -> Inputs {
    let example = include_str!("../../../examples/hefa-uco-usa.json");
    let mut example: Value = serde_json::from_str(example).expect("the example is JSON");
    let document: InputDocument = serde_json::from_value(example["inputs"].take()).expect("the example has inputs");
    resolve(&document, None).expect("the example is valid").inputs
}

fn uncertain_inputs() -> Value {
    let input = |input: &str, unit: &str, distribution: Value| json!({ "input": input, "unit": unit, "distribution": distribution });
    let normal = |mean: f64, deviation: f64| json!({ "kind": "normal", "mean": mean, "standard_deviation": deviation });
    let triangular =
        |min: f64, mode: f64, max: f64| json!({ "kind": "triangular", "min": min, "mode": mode, "max": max });
    json!([
        input("/feedstocks/UCO/price", "USD/t", normal(930.0, 90.0)),
        input("/utilities/hydrogen/price", "USD/t", json!({ "kind": "lognormal", "median": 5400, "sigma": 0.3 })),
        input("/utilities/electricity/price", "USD/MWh", json!({ "kind": "uniform", "min": 40, "max": 70 })),
        input("/products/jet/price", "USD/t", normal(3000.0, 300.0)),
        input("/products/diesel/price", "USD/t", triangular(1200.0, 1500.0, 2000.0)),
        input("/economics/tci_reference", "MUSD", triangular(320.0, 400.0, 600.0)),
        input("/feedstocks/UCO/yield", "kg/kg", triangular(1.15, 1.21, 1.35)),
        input("/economics/discount_rate", "1", json!({ "kind": "uniform", "min": 0.05, "max": 0.12 })),
    ])
}

fn monte_carlo(samples: u64) -> Value {
    json!({ "analysis": "monte-carlo", "samples": samples, "seed": 1, "inputs": uncertain_inputs(),
            "metrics": ["lcop", "npv", "payback", "irr", "msp"] })
}

fn sobol(samples: u64) -> Value {
    json!({ "analysis": "sobol", "samples": samples, "seed": 1, "inputs": uncertain_inputs(), "resamples": 100,
            "metrics": ["lcop", "npv", "payback", "irr", "msp"] })
}

fn run(inputs: &Inputs, specification: &Value) -> AnalysisResult {
    let analysis: Analysis = serde_json::from_value(specification.clone()).expect("the specification is valid");
    let job = analysis.start(inputs).expect("the specification fits the scenario");
    job.finish().expect("there is a result")
}

fn on_threads(inputs: &Inputs, specification: &Value, threads: usize) -> AnalysisResult {
    let analysis: Analysis = serde_json::from_value(specification.clone()).expect("the specification is valid");
    let job = Mutex::new(analysis.start(inputs).expect("the specification fits the scenario"));
    let lock = || job.lock().expect("no thread panics");
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !lock().is_done() {
                    let Some(mut chunk) = ({ lock().take() }) else {
                        std::thread::yield_now();
                        continue;
                    };
                    while chunk.step() {}
                    lock().give(chunk);
                }
            });
        }
    });
    job.into_inner().expect("no thread panics").finish().expect("there is a result")
}

/// Seconds that this thread was on a core meanwhile: neighbours on the machine move it little.
fn timed(work: impl FnOnce()) -> f64 {
    let start = (Instant::now(), on_core());
    work();
    let (wall, on_core) = (start.0.elapsed(), on_core().zip(start.1).map(|(end, start)| end - start));
    on_core.unwrap_or(wall).max(Duration::from_nanos(1)).as_secs_f64()
}

/// Time on a core so far, where the system tells.
fn on_core() -> Option<Duration> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn wall(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds of numpy's Monte Carlo, and of SALib's indices, as the script prints them.
fn python(samples: u64) -> Option<(f64, Option<f64>)> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/uncertainty/numpy_and_salib.py");
    let output = Command::new(python).args([script, &samples.to_string(), "8192"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines();
    let numpy = lines.next()?.parse().ok()?;
    Some((numpy, lines.next().and_then(|line| line.parse().ok())))
}

/// A line of `/proc/self/status`, in kB; 0 where there is none.
fn resident_kb(name: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
