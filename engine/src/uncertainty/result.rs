//! What a Monte Carlo analysis answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::monte_carlo::PILOT;
use super::sketch::Sketch;
use super::spec::MonteCarlo;
use crate::failure::Failure;
use crate::metric::Metric;

/// The code of a [`Failure`] without a single sample that has a result.
pub const NOTHING_LEFT: &str = "uncertainty.no_sample_left";

/// The distribution of each metric over all samples that have a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MonteCarloResult {
    /// What became of the samples.
    pub samples: SampleCounts,
    /// The metrics, in the order in which they were asked for.
    pub metrics: Vec<MetricDistribution>,
}

/// What became of the samples. Those that were refused or failed count in no statistic: the distributions are
/// conditional on a scenario that can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleCounts {
    /// How many were drawn.
    pub drawn: u64,
    /// How many have results.
    pub analysed: u64,
    /// How many were refused because an input left its allowed range, by the first such input; only where any.
    pub out_of_range: Vec<RefusedSamples>,
    /// How many were refused because the products would not be made of the feedstocks.
    pub unbalanced: u64,
    /// How many have a result that is not a finite number.
    pub failed: u64,
    /// The rank correlations are those of this many samples, the first.
    pub ranked: u64,
}

/// Samples in which an input left its allowed range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedSamples {
    /// The input, as a JSON pointer.
    pub input: String,
    /// How many.
    pub samples: u64,
}

/// How a metric is distributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricDistribution {
    /// The metric.
    pub metric: Metric,
    /// The unit of all its values.
    pub unit: String,
    /// How many analysed samples have no value, or several.
    pub absent: u64,
    /// The statistics; null where no sample has a value.
    pub statistics: Option<Statistics>,
    /// Spearman's coefficient with each uncertain input, in their order; null where one of the two never changes.
    pub rank_correlations: Vec<RankCorrelation>,
}

/// The statistics of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub standard_deviation: f64,
    /// Share of the values that are below zero, exactly counted: P(NPV < 0) for the NPV.
    pub below_zero: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The 5th, 10th, 25th, 50th, 75th, 90th and 95th percentile.
    pub percentiles: Percentiles,
    /// Counts by value.
    pub histogram: Histogram,
    /// The values at 0 %, 1 %, … 100 % of the cumulative distribution.
    pub cdf: Vec<f64>,
}

/// Percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub p5: f64,
    pub p10: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
}

/// Exact counts between edges that are almost evenly spaced from the 0.1th to the 99.9th percentile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// One edge more than counts, ascending.
    pub edges: Vec<f64>,
    /// How many values lie between an edge and the next.
    pub counts: Vec<u64>,
    /// How many lie below the first edge.
    pub below: u64,
    /// How many lie above the last edge.
    pub above: u64,
}

/// Spearman's coefficient of a metric with an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RankCorrelation {
    /// The input, as a JSON pointer.
    pub input: String,
    /// The coefficient, −1 to 1.
    pub coefficient: Option<f64>,
}

/// Fates of samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    analysed: u64,
    pub(super) failed: u64,
    pub(super) unbalanced: u64,
    pub(super) out_of_range: Vec<u64>,
}

impl Counted {
    pub fn of(inputs: usize) -> Self {
        Self { out_of_range: vec![0; inputs], ..Self::default() }
    }

    pub fn fine(&mut self, samples: u64) {
        self.analysed += samples;
    }

    pub fn add(&mut self, other: &Self) {
        self.analysed += other.analysed;
        self.failed += other.failed;
        self.unbalanced += other.unbalanced;
        for (mine, theirs) in self.out_of_range.iter_mut().zip(&other.out_of_range) {
            *mine += theirs;
        }
    }

    fn shown(self, spec: &MonteCarlo) -> SampleCounts {
        let refused = spec.inputs.iter().zip(self.out_of_range);
        SampleCounts {
            drawn: spec.samples,
            analysed: self.analysed,
            out_of_range: refused
                .filter(|(_, samples)| *samples > 0)
                .map(|(input, samples)| RefusedSamples { input: input.input.clone(), samples })
                .collect(),
            unbalanced: self.unbalanced,
            failed: self.failed,
            ranked: spec.samples.min(PILOT),
        }
    }
}

impl MonteCarloResult {
    pub(super) fn of(
        spec: &MonteCarlo,
        counted: Counted,
        sketches: &[Sketch],
        correlations: Vec<Vec<Option<f64>>>,
    ) -> Result<Self, Failure> {
        if counted.analysed == 0 {
            let message = format!("none of {} samples is a scenario that can be analysed", spec.samples);
            return Err(Failure::new(NOTHING_LEFT, message));
        }
        let mut metrics = Vec::with_capacity(spec.metrics.len());
        for ((metric, sketch), coefficients) in spec.metrics.iter().zip(sketches).zip(correlations) {
            let inputs = spec.inputs.iter().zip(coefficients);
            metrics.push(MetricDistribution {
                metric: *metric,
                unit: metric.unit().to_owned(),
                absent: sketch.absent(),
                statistics: statistics(*metric, sketch, spec.histogram_bins as usize)?,
                rank_correlations: inputs
                    .map(|(input, coefficient)| RankCorrelation { input: input.input.clone(), coefficient })
                    .collect(),
            });
        }
        Ok(Self { samples: counted.shown(spec), metrics })
    }
}

fn statistics(metric: Metric, sketch: &Sketch, bins: usize) -> Result<Option<Statistics>, Failure> {
    let present = sketch.present();
    if present == 0 {
        return Ok(None);
    }
    let finite = |what: &str, value: f64| {
        if value.is_finite() {
            Ok(value + 0.0)
        } else {
            Err(Failure::not_finite(format!("{what} of {metric:?}"), value))
        }
    };
    let distribution = sketch.distribution();
    let (edges, counts, below, above) = distribution.histogram(bins);
    Ok(Some(Statistics {
        mean: finite("mean", sketch.mean())?,
        standard_deviation: finite("standard deviation", sketch.standard_deviation())?,
        below_zero: sketch.negative as f64 / present as f64,
        min: sketch.least,
        max: sketch.greatest,
        percentiles: Percentiles {
            p5: distribution.quantile(0.05),
            p10: distribution.quantile(0.10),
            p25: distribution.quantile(0.25),
            p50: distribution.quantile(0.50),
            p75: distribution.quantile(0.75),
            p90: distribution.quantile(0.90),
            p95: distribution.quantile(0.95),
        },
        histogram: Histogram { edges, counts, below, above },
        cdf: (0..=100).map(|percent| distribution.quantile(f64::from(percent) / 100.0)).collect(),
    }))
}
