//! Analyses of a scenario: what they are asked, how they run in small steps, what they answer.
//!
//! An [`Analysis`] is checked against the scenario's [`Inputs`] and becomes a [`Job`], which one thread drives step by
//! step, or several chunk by chunk; the [`AnalysisResult`] has the same bytes either way.
//!
//! ```
//! use safire_engine::{Analysis, AnalysisResult, InputDocument, Metric, resolve};
//!
//! let example: serde_json::Value =
//!     serde_json::from_str(include_str!("../../../examples/hefa-uco-usa.json")).unwrap();
//! let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
//! let inputs = resolve(&given, None).unwrap().inputs;
//!
//! let analysis: Analysis = serde_json::from_str(r#"{
//!     "analysis": "monte-carlo", "samples": 5000, "seed": 1, "metrics": ["npv"],
//!     "inputs": [{ "input": "/economics/discount_rate", "unit": "%",
//!                  "distribution": { "kind": "triangular", "min": 5, "mode": 7, "max": 12 } }]
//! }"#).unwrap();
//! let mut job = analysis.start(&inputs).unwrap();
//! while !job.is_done() {
//!     let progress = job.step();
//!     assert!(progress.done <= progress.total);
//! }
//! let AnalysisResult::MonteCarlo(result) = job.finish().unwrap() else { panic!() };
//! assert_eq!(result.metrics[0].metric, Metric::Npv);
//! assert!(result.metrics[0].statistics.as_ref().unwrap().percentiles.p50 > 2.0e9);
//! ```

mod base;
pub(crate) mod check;
pub(crate) mod job;
mod kernel;
pub(crate) mod model;
pub(crate) mod result;

pub use check::codes;
pub use job::{Chunk, Job, Progress, UNFINISHED};
pub use result::AnalysisResult;

use base::BaseStage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::inputs::{Inputs, Invalid, object::objects_only};
use crate::sensitivity::{Sobol, Spider, Sweep, Tornado};
use crate::uncertainty::{MonteCarlo, MonteCarloStages};

objects_only!(Analysis);

/// An analysis of a scenario, as a user asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "analysis": "monte-carlo", "samples": 10000, "seed": 1, "metrics": ["npv", "msp"],
    "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t",
                 "distribution": { "kind": "triangular", "min": 800, "mode": 930, "max": 1200 } }]
}))]
#[serde(tag = "analysis", rename_all = "kebab-case", deny_unknown_fields, remote = "Self")]
#[serde(expecting = "an object with the kind of the `analysis`")]
pub enum Analysis {
    /// The base analysis alone.
    Base {},
    /// How metrics are distributed when inputs are.
    MonteCarlo(MonteCarlo),
    /// Which share of a metric's variance each input brings.
    Sobol(Sobol),
    /// Which inputs matter most, one at a time.
    Tornado(Tornado),
    /// How metrics bend with each input.
    Spider(Spider),
    /// Metrics over the ranges of one or two inputs.
    Sweep(Sweep),
}

impl Analysis {
    /// Checks the specification against a scenario and gets ready; everything that is wrong comes at once.
    pub fn start(&self, inputs: &Inputs) -> Result<Job, Invalid> {
        Ok(match self {
            Self::Base {} => Job::new(BaseStage::Waiting(Box::new(inputs.clone()))),
            Self::MonteCarlo(spec) => Job::new(MonteCarloStages::start(spec, inputs)?),
            Self::Sobol(spec) => Job::new(spec.start(inputs)?),
            Self::Tornado(spec) => Job::new(spec.start(inputs)?),
            Self::Spider(spec) => Job::new(spec.start(inputs)?),
            Self::Sweep(spec) => Job::new(spec.start(inputs)?),
        })
    }
}
