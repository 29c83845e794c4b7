//! What an analyst asks first: analyses of a scenario's prices and investment, when nothing else is said.

use safire_engine::{
    Analysis, Metric, ResolvedInput,
    sensitivity::{Axis, LowAndHigh, Sobol, Spider, Sweep, Tornado},
    uncertainty::{Distribution, MonteCarlo, Sequence, UncertainInput},
};

use crate::run::{Kind, base};

/// How far each input is moved, down and up, as a share of its value.
const SPREAD: f64 = 0.2;

/// Inputs that are moved at most.
const MOST: usize = 8;

const METRICS: [Metric; 5] = [Metric::Lcop, Metric::Npv, Metric::Irr, Metric::Payback, Metric::Msp];

/// The analysis of that kind with every price and the investment moved by a fifth.
pub fn usual(kind: Kind, inputs: &[ResolvedInput]) -> Analysis {
    let moved: Vec<_> = inputs.iter().filter(|input| is_moved(input)).take(MOST).collect();
    let metrics = METRICS.to_vec();
    let uncertain = |distribution: fn(f64) -> Distribution| {
        let input = |given: &&ResolvedInput| UncertainInput {
            input: given.pointer.clone(),
            unit: given.unit.clone(),
            distribution: distribution(given.value),
        };
        moved.iter().map(input).collect()
    };
    match kind {
        Kind::Base => base(),
        Kind::MonteCarlo => Analysis::MonteCarlo(MonteCarlo {
            samples: 100_000,
            seed: 1,
            sequence: Sequence::PseudoRandom,
            inputs: uncertain(triangular),
            correlations: Vec::new(),
            metrics,
            histogram_bins: 50,
        }),
        Kind::Sobol => Analysis::Sobol(Sobol {
            samples: 4096,
            seed: 1,
            inputs: uncertain(uniform),
            metrics,
            resamples: 100,
            confidence: 0.95,
        }),
        Kind::Tornado => {
            Analysis::Tornado(Tornado { inputs: moved.iter().map(|input| low_and_high(input)).collect(), metrics })
        }
        Kind::Spider => Analysis::Spider(Spider {
            inputs: moved.iter().map(|input| input.pointer.clone()).collect(),
            changes: vec![-SPREAD, -SPREAD / 2.0, 0.0, SPREAD / 2.0, SPREAD],
            metrics,
        }),
        Kind::Sweep => Analysis::Sweep(Sweep {
            x: moved.first().map_or_else(nothing, |input| axis(input)),
            y: moved.get(1).map(|input| axis(input)),
            metrics: vec![Metric::Npv],
            breakeven: Vec::new(),
        }),
    }
}

fn is_moved(input: &ResolvedInput) -> bool {
    let pointer = input.pointer.as_str();
    let price = pointer.ends_with("/price") && !pointer.starts_with("/fossil");
    input.value > 0.0 && (price || pointer == "/economics/tci_reference")
}

fn triangular(mode: f64) -> Distribution {
    Distribution::Triangular { min: mode * (1.0 - SPREAD), mode, max: mode * (1.0 + SPREAD) }
}

fn uniform(middle: f64) -> Distribution {
    Distribution::Uniform { min: middle * (1.0 - SPREAD), max: middle * (1.0 + SPREAD) }
}

fn low_and_high(input: &ResolvedInput) -> LowAndHigh {
    let (low, high) = (input.value * (1.0 - SPREAD), input.value * (1.0 + SPREAD));
    LowAndHigh { input: input.pointer.clone(), unit: input.unit.clone(), low, high }
}

fn axis(input: &ResolvedInput) -> Axis {
    let LowAndHigh { input, unit, low, high } = low_and_high(input);
    Axis { input, unit, from: low, to: high, steps: 11 }
}

/// An axis that the check of the analysis refuses: a scenario without any price has nothing to sweep.
fn nothing() -> Axis {
    Axis { input: String::new(), unit: String::new(), from: 0.0, to: 0.0, steps: 2 }
}
