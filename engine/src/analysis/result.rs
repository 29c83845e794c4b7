//! What an analysis answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::BaseAnalysis;
use crate::sensitivity::{SobolResult, SpiderResult, SweepResult, TornadoResult};
use crate::uncertainty::MonteCarloResult;

/// The result of an analysis, tagged like its specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "analysis", rename_all = "kebab-case")]
pub enum AnalysisResult {
    /// The base analysis.
    Base(Box<BaseAnalysis>),
    /// How metrics are distributed.
    MonteCarlo(MonteCarloResult),
    /// Shares of the variance by input.
    Sobol(SobolResult),
    /// Metrics at the ends of each input.
    Tornado(TornadoResult),
    /// Metrics along each input.
    Spider(SpiderResult),
    /// Metrics over ranges of inputs.
    Sweep(SweepResult),
}
