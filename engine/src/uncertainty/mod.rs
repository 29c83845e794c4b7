//! Uncertainty: how the results of the base analysis are distributed when inputs are.

mod copula;
mod directions;
mod distribution;
pub(crate) mod draws;
mod grid;
mod monte_carlo;
mod normal;
mod quantile;
mod rank_stage;
mod ranks;
mod result;
mod sketch;
pub(crate) mod sobol;
mod spec;
pub(crate) mod stream;
mod variates;

pub use copula::Correlation;
pub use distribution::{Distribution, MAX_OUTCOMES, Outcome};
pub(crate) use monte_carlo::MonteCarloStages;
pub use result::{
    Histogram, MetricDistribution, MonteCarloResult, NOTHING_LEFT, Percentiles, RankCorrelation, RefusedSamples,
    SampleCounts, Statistics,
};
pub(crate) use spec::CheckedInputs;
pub use spec::{MAX_INPUTS, MAX_SAMPLES, MonteCarlo, Sequence, UncertainInput};
