//! Monte Carlo and Sobol indices beside numpy, SALib and a loop written for one scenario, in one run:
//! `cargo bench -p safire-engine --bench uncertainty`.
//!
//! numpy and SALib are those of `$PYTHON`, or of `python3`; where it has none, the line says so.

mod by_hand;
#[allow(dead_code, unused_imports, reason = "the loop by hand uses the engine's own exponential, and not its tests")]
#[path = "../../src/lanes/mod.rs"]
mod lanes;
#[allow(dead_code, unused_imports, reason = "the loop by hand uses the engine's own start, and not its test")]
#[path = "../../src/analysis/kernel/start.rs"]
mod start;
#[allow(dead_code, unused_imports, reason = "the loop by hand uses the engine's own random numbers, not their tests")]
#[path = "../../src/uncertainty/stream.rs"]
mod stream;
#[allow(dead_code, unused_imports, reason = "the loop by hand uses the engine's own random numbers, not their tests")]
#[path = "../../src/uncertainty/variates.rs"]
mod variates;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use safire_engine::{Analysis, AnalysisResult, InputDocument, Inputs, resolve};
use serde_json::{Value, json};

const SAMPLES: u64 = 4_000_000;
const MILLION: u64 = 1_000_000;
const ROUNDS: usize = 9;
/// Rounds in which one thread and two take turns.
const ROUNDS_OF_THREADS: usize = 25;

fn main() {
    let inputs = worked_case();
    print_load();
    memory(&inputs, MILLION);
    memory(&inputs, 10 * MILLION);
    speed(&inputs);
    threads(&inputs);
    agreement(&inputs);
    longest_steps(&inputs);
    print_load();
}

fn print_load() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average: {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
}

/// How far the resident memory grows at the peak; the smaller run goes first.
fn memory(inputs: &Inputs, samples: u64) {
    let before = resident_kb("VmRSS");
    let seconds = timed(|| drop(black_box(run(inputs, &monte_carlo(samples)))));
    let grown = resident_kb("VmHWM") - before;
    println!("{samples} samples: {seconds:.3} s on a core, resident memory grown at the peak: {grown} kB");
}

/// Turn by turn, so that a busy neighbour slows all of them: the ratios are medians of those of a round. Before each of
/// the three the cores are warmed up: after a pause, which another's turn is, whoever goes first would be slower.
fn speed(inputs: &Inputs) {
    let mut python = Python::start();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let engine = warm(|| drop(black_box(run(inputs, &monte_carlo(SAMPLES))))) / SAMPLES as f64;
        let by_hand = warm(|| _ = black_box(by_hand::run(SAMPLES))) / SAMPLES as f64;
        let mut numpy = || python.as_mut().and_then(|python| python.seconds("monte_carlo", MILLION));
        let numpy = numpy().and_then(|_| numpy());
        rounds.push((engine, by_hand, numpy.map(|seconds| seconds / MILLION as f64)));
    }
    let of = |number: fn(&(f64, f64, Option<f64>)) -> f64| median(rounds.iter().map(number).collect());
    let rate = |seconds: f64| 1e-6 / seconds;
    println!("Monte Carlo, 8 inputs, 5 metrics: {:.1} M samples/s", rate(of(|round| round.0)));
    println!("the same by hand: {:.1} M samples/s", rate(of(|round| round.1)));
    println!("engine / by hand: {:.3}", of(|round| round.1 / round.0));
    if rounds.iter().all(|round| round.2.is_some()) {
        println!("numpy in blocks of 8,192: {:.2} M samples/s", rate(of(|round| round.2.unwrap_or(f64::NAN))));
        println!("engine / numpy: {:.1}", of(|round| round.2.unwrap_or(f64::NAN) / round.0));
    } else {
        println!("numpy: not measured, there is no Python with numpy (set PYTHON)");
    }
    indices(inputs, python.as_mut());
}

fn indices(inputs: &Inputs, mut python: Option<&mut Python>) {
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let engine = median((0..5).map(|_| timed(|| drop(black_box(run(inputs, &sobol(8192)))))).collect());
        rounds.push((engine, python.as_mut().and_then(|python| python.seconds("sobol_indices", 8192))));
    }
    let engine = median(rounds.iter().map(|round| round.0).collect());
    println!("Sobol indices, N = 8192, 8 inputs, 5 metrics: {:.1} ms", engine * 1e3);
    match rounds.iter().map(|(engine, salib)| salib.map(|salib| salib / engine)).collect() {
        Some(ratios) => println!("SALib / engine: {:.0}", median(ratios)),
        None => println!("SALib: not measured, there is no Python with SALib"),
    }
}

/// One thread and two by turns. What others do on the machine meanwhile makes two threads slower, not the engine: the
/// best round says what it can do; the time that both threads together were on a core says what it lost.
fn threads(inputs: &Inputs) {
    let mut ratios = Vec::new();
    let mut busy = Vec::new();
    for _ in 0..ROUNDS_OF_THREADS {
        let mut spent = [Duration::ZERO; 2];
        let mut times = [0.0; 2];
        for threads in [1, 2] {
            let on_core = Mutex::new(Duration::ZERO);
            times[threads - 1] =
                wall(|| drop(black_box(on_threads(inputs, &monte_carlo(10 * MILLION), threads, &on_core))));
            spent[threads - 1] = on_core.into_inner().expect("no thread panics");
        }
        ratios.push(times[0] / times[1]);
        busy.push(2.0 * spent[0].as_secs_f64() / spent[1].as_secs_f64());
    }
    let best = ratios.iter().copied().fold(0.0, f64::max);
    println!("2 threads / 1 thread, wall clock: median {:.2}, best of {ROUNDS_OF_THREADS} {best:.2}", median(ratios));
    println!("2 threads / 1 thread, by the time on a core that the same samples take: median {:.2}", median(busy));
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

/// How long steps take: in lanes, by the analysis itself, and where it searches for the price.
fn longest_steps(inputs: &Inputs) {
    let lanes = json!(["lcop", "npv", "payback", "irr", "msp"]);
    steps_of("Monte Carlo in lanes", inputs, monte_carlo(100_000), &lanes);
    steps_of("Monte Carlo by the analysis", inputs, monte_carlo(100_000), &json!(["discounted_payback"]));
    let year_by_year = with_finance(json!({ "profile": "nrel-nth-plant" }));
    steps_of("Monte Carlo, profile nrel-nth-plant", &year_by_year, monte_carlo(20_000), &lanes);
    steps_of("Sobol indices, profile nrel-nth-plant", &year_by_year, sobol(2048), &lanes);
}

fn steps_of(name: &str, inputs: &Inputs, mut specification: Value, metrics: &Value) {
    specification["metrics"] = metrics.clone();
    let analysis: Analysis = serde_json::from_value(specification).expect("the specification is valid");
    let mut job = analysis.start(inputs).expect("the specification fits the scenario");
    let mut steps = Vec::new();
    while !job.is_done() {
        steps.push(wall(|| _ = black_box(job.step())));
    }
    steps.sort_by(f64::total_cmp);
    let at = |share: f64| steps[((steps.len() - 1) as f64 * share) as usize] * 1e3;
    println!("steps, {name}: median {:.3} ms, 99 % {:.3} ms, longest {:.3} ms", at(0.5), at(0.99), at(1.0));
}

fn worked_case() -> Inputs {
    with_finance(Value::Null)
}

fn with_finance(finance: Value) -> Inputs {
    let example = include_str!("../../../examples/hefa-uco-usa.json");
    let mut example: Value = serde_json::from_str(example).expect("the example is JSON");
    let mut inputs = example["inputs"].take();
    if !finance.is_null() {
        inputs["finance"] = finance;
    }
    let document: InputDocument = serde_json::from_value(inputs).expect("the example has inputs");
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

/// Runs on threads of its own, which add up how long they were on a core.
fn on_threads(inputs: &Inputs, specification: &Value, threads: usize, on_cores: &Mutex<Duration>) -> AnalysisResult {
    let analysis: Analysis = serde_json::from_value(specification.clone()).expect("the specification is valid");
    let job = Mutex::new(analysis.start(inputs).expect("the specification fits the scenario"));
    let lock = || job.lock().expect("no thread panics");
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let begun = ThreadTime::now();
                while !lock().is_done() {
                    let Some(mut chunk) = ({ lock().take() }) else {
                        std::thread::yield_now();
                        continue;
                    };
                    while chunk.step() {}
                    lock().give(chunk);
                }
                *on_cores.lock().expect("no thread panics") += begun.elapsed();
            });
        }
    });
    job.into_inner().expect("no thread panics").finish().expect("there is a result")
}

/// Seconds of the second of two times.
fn warm(work: impl Fn()) -> f64 {
    work();
    timed(work)
}

/// Seconds that this thread was on a core meanwhile: neighbours on the machine move it little.
fn timed(work: impl FnOnce()) -> f64 {
    let start = ThreadTime::now();
    work();
    start.elapsed().as_secs_f64()
}

fn wall(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The script that does the same in numpy and SALib, waiting to be asked.
struct Python {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Option<Self> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/uncertainty/numpy_and_salib.py");
        let mut command = Command::new(python);
        let mut process =
            command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let answers = BufReader::new(process.stdout.take()?);
        Some(Self { process, answers })
    }

    /// Seconds on a core.
    fn seconds(&mut self, what: &str, samples: u64) -> Option<f64> {
        writeln!(self.process.stdin.as_mut()?, "{what} {samples}").ok()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).ok()?;
        answer.trim().parse().ok()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        _ = self.process.wait();
    }
}

/// A line of `/proc/self/status`, in kB; 0 where there is none.
fn resident_kb(name: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
