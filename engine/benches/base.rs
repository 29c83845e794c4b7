//! How long a base analysis takes: `cargo bench -p safire-engine`.
//!
//! Each line is the median over batches, so that a busy neighbour on the machine moves it little.

use std::hint::black_box;
use std::time::Instant;

use safire_engine::{InputDocument, Inputs, Plain, Trace, analyse, finance, resolve};

const BATCHES: usize = 301;
const RUNS_PER_BATCH: u32 = 1000;

fn main() {
    let document = worked_case();
    let inputs = inputs_of(&document);

    let plain = median(|| drop(black_box(analyse(black_box(&inputs), &mut Plain))));
    let traced = median(|| {
        let mut trace = Trace::default();
        drop(black_box(analyse(black_box(&inputs), &mut trace)));
        drop(black_box(trace));
    });
    let resolved = median(|| drop(black_box(resolve(black_box(&document), None))));
    let mut year_by_year = document.clone();
    let profile = serde_json::json!({ "profile": "nrel-nth-plant" });
    year_by_year.finance = serde_json::from_value(profile).expect("there is such a profile");
    let year_by_year = inputs_of(&year_by_year);
    let solved = median(|| drop(black_box(analyse(black_box(&year_by_year), &mut Plain))));
    let flow = analyse(&inputs, &mut Plain).map(|result| result.cash_flow_usd).unwrap_or_default();
    let irr = median(|| drop(black_box(finance::irr(black_box(&flow)))));

    println!("base analysis plain {plain:.2} µs");
    println!("base analysis plain, profile nrel-nth-plant {solved:.2} µs");
    println!("base analysis traced {traced:.2} µs");
    println!("traced / plain {:.1} x", traced / plain);
    println!("irr alone {irr:.2} µs");
    println!("resolve {resolved:.2} µs");
}

fn worked_case() -> InputDocument {
    let example = include_str!("../../examples/hefa-uco-usa.json");
    let mut example: serde_json::Value = serde_json::from_str(example).expect("the example is JSON");
    serde_json::from_value(example["inputs"].take()).expect("the example has inputs")
}

fn inputs_of(document: &InputDocument) -> Inputs {
    resolve(document, None).expect("the example is valid").inputs
}

/// The median time of one run, in microseconds.
fn median(run: impl Fn()) -> f64 {
    let mut times: Vec<f64> = (0..BATCHES).map(|_| batch(&run)).collect();
    times.sort_by(f64::total_cmp);
    times[BATCHES / 2]
}

fn batch(run: &impl Fn()) -> f64 {
    let start = Instant::now();
    for _ in 0..RUNS_PER_BATCH {
        run();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(RUNS_PER_BATCH)
}
