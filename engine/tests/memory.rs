//! Memory does not grow with the samples. A binary of its own: the peak is that of the whole process.

mod common;

use common::{inputs, worked_case};
use safire_engine::Analysis;
use serde_json::json;

/// A line of `/proc/self/status`, in kB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "the peak is read from /proc")]
fn a_million_samples_take_less_than_64_megabytes() {
    const BOUND_KB: u64 = 64 * 1024;
    let inputs = inputs(&worked_case());
    let analysis: Analysis = serde_json::from_value(json!({
        "analysis": "monte-carlo", "samples": 1_000_000, "seed": 1, "metrics": ["lcop", "npv", "payback", "irr", "msp"],
        "inputs": [{ "input": "/products/jet/price", "unit": "USD/t",
                     "distribution": { "kind": "normal", "mean": 3000, "standard_deviation": 300 } }]
    }))
    .unwrap();
    let before = status("VmRSS");
    let mut job = analysis.start(&inputs).unwrap();
    let mut after_a_tenth = None;
    while !job.is_done() {
        let progress = job.step();
        if progress.done * 10 > progress.total {
            after_a_tenth.get_or_insert_with(|| status("VmHWM"));
        }
    }
    job.finish().unwrap();
    let peak = status("VmHWM");
    assert!(peak - before <= BOUND_KB, "{} kB", peak - before);
    let grown = peak - after_a_tenth.unwrap();
    assert!(grown <= 4 * 1024, "the last nine tenths took {grown} kB more");
}
