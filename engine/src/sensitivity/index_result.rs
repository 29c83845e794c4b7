//! What a variance-based sensitivity analysis answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::metric::Metric;

/// The indices of each metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SobolResult {
    /// The metrics, in the order in which they were asked for.
    pub metrics: Vec<MetricIndices>,
}

/// The indices of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricIndices {
    /// The metric.
    pub metric: Metric,
    /// Its unit; the variance has the square of it.
    pub unit: String,
    /// What became of the samples.
    pub samples: IndexCounts,
    /// The variance; null where the metric does not vary.
    pub variance: Option<f64>,
    /// The indices of each input.
    pub inputs: Vec<SobolIndex>,
}

/// What became of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexCounts {
    /// How many were drawn.
    pub drawn: u64,
    /// How many count.
    pub used: u64,
    /// How many do not: in one of their evaluations the scenario cannot be, or the metric has no value.
    pub left_out: u64,
}

/// What an input brings to the variance of a metric; null where the metric does not vary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SobolIndex {
    /// The input, as a JSON pointer.
    pub input: String,
    /// The share that the input brings alone.
    pub first_order: Option<f64>,
    /// Its bootstrap confidence interval.
    pub first_order_interval: Option<[f64; 2]>,
    /// The share that would be left if all other inputs were known.
    pub total_order: Option<f64>,
    /// Its bootstrap confidence interval.
    pub total_order_interval: Option<[f64; 2]>,
}
