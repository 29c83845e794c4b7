//! How an uncertain input is distributed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::analysis::check::{Complaints, allowed};
use crate::analysis::model::Reach;
use crate::inputs::{Place, object::objects_only};

objects_only!(Distribution);

/// A distribution; its parameters are in the unit that is given beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields, remote = "Self")]
#[serde(expecting = "an object with the `kind` of a distribution")]
pub enum Distribution {
    /// The normal distribution.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        standard_deviation: f64,
    },
    /// The distribution of a number whose logarithm is normal.
    Lognormal {
        /// Its median.
        median: f64,
        /// The standard deviation of the natural logarithm, without unit.
        sigma: f64,
    },
    /// All values between two alike.
    Uniform {
        /// The least value.
        min: f64,
        /// The greatest value.
        max: f64,
    },
    /// The triangular distribution.
    Triangular {
        /// The least value.
        min: f64,
        /// The most likely value.
        mode: f64,
        /// The greatest value.
        max: f64,
    },
    /// The PERT distribution: a beta distribution with exponents `1 + 4 (mode − min) / (max − min)` and
    /// `1 + 4 (max − mode) / (max − min)`.
    Pert {
        /// The least value.
        min: f64,
        /// The most likely value.
        mode: f64,
        /// The greatest value.
        max: f64,
    },
    /// One of some values.
    Discrete {
        /// The values and how likely they are.
        outcomes: Vec<Outcome>,
    },
}

/// A value of a discrete distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The value.
    pub value: f64,
    /// How likely it is, in proportion to the other weights.
    pub weight: f64,
}

/// Discrete distributions have at most this many outcomes.
pub const MAX_OUTCOMES: usize = 64;

const LARGEST: f64 = 1e15;

/// Normal numbers are made of probabilities that are never nearer to 0 or 1 than 2^-53, and lie between ±8.57.
const GREATEST_SCORE: f64 = 9.0;

impl Distribution {
    /// Between which values lies what is drawn of it alone.
    pub(crate) fn reach(&self) -> Reach {
        let between = |least, greatest| Reach { least, greatest };
        match self {
            Self::Normal { mean, standard_deviation } => {
                between(mean - GREATEST_SCORE * standard_deviation, mean + GREATEST_SCORE * standard_deviation)
            }
            Self::Lognormal { median, sigma } => {
                between(median * (-GREATEST_SCORE * sigma).exp(), median * (GREATEST_SCORE * sigma).exp())
            }
            Self::Uniform { min, max } | Self::Triangular { min, max, .. } | Self::Pert { min, max, .. } => {
                between(*min, *max)
            }
            Self::Discrete { outcomes } => {
                let values = || outcomes.iter().map(|outcome| outcome.value);
                between(values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
            }
        }
    }

    /// The same in base units, with complaints about what is wrong.
    ///
    /// A parameter that is a possible value of the input must lie in the input's range; the tails of a normal or
    /// lognormal distribution may leave it.
    pub(crate) fn checked(&self, at: &str, place: Place, unit: &str, complaints: &mut Complaints) -> Self {
        let mut value = |name: &str, given: f64| {
            let what = format!("{name} of {}", place.field.label);
            complaints.value(format!("{at}/distribution/{name}"), &what, place, unit, given)
        };
        match *self {
            Self::Normal { mean, standard_deviation } => {
                let mean = value("mean", mean);
                let pointer = format!("{at}/distribution/standard_deviation");
                let standard_deviation = complaints.converted(&pointer, place.field.group, unit, standard_deviation);
                let range = allowed(place, 0.0, LARGEST, true);
                complaints.number(pointer, "standard_deviation", standard_deviation, range);
                Self::Normal { mean, standard_deviation }
            }
            Self::Lognormal { median, sigma } => {
                let median = value("median", median);
                let mut range = allowed(place, 0.0, LARGEST, true);
                complaints.number(format!("{at}/distribution/median"), "median", median, range.clone());
                (range.max, range.unit) = (10.0, "1");
                complaints.number(format!("{at}/distribution/sigma"), "sigma", sigma, range);
                Self::Lognormal { median, sigma }
            }
            Self::Uniform { min, max } => {
                let (min, max) = (value("min", min), value("max", max));
                complaints.ascending(format!("{at}/distribution"), "min and max", min, max);
                Self::Uniform { min, max }
            }
            Self::Triangular { min, mode, max } => {
                let (min, mode, max) = (value("min", min), value("mode", mode), value("max", max));
                three(at, complaints, (min, mode, max));
                Self::Triangular { min, mode, max }
            }
            Self::Pert { min, mode, max } => {
                let (min, mode, max) = (value("min", min), value("mode", mode), value("max", max));
                three(at, complaints, (min, mode, max));
                Self::Pert { min, mode, max }
            }
            Self::Discrete { ref outcomes } => discrete(outcomes, at, place, unit, complaints),
        }
    }
}

/// The mode may lie at an end, the ends must differ.
fn three(at: &str, complaints: &mut Complaints, (min, mode, max): (f64, f64, f64)) {
    complaints.ascending(format!("{at}/distribution"), "min and max", min, max);
    if mode < min || mode > max {
        complaints.ascending(format!("{at}/distribution/mode"), "min, mode and max", mode.max(max), mode.min(max));
    }
}

fn discrete(outcomes: &[Outcome], at: &str, place: Place, unit: &str, complaints: &mut Complaints) -> Distribution {
    let pointer = format!("{at}/distribution/outcomes");
    complaints.list(&pointer, "outcomes", outcomes, MAX_OUTCOMES);
    let mut converted = Vec::with_capacity(outcomes.len());
    for (index, outcome) in outcomes.iter().enumerate() {
        let value = complaints.value(format!("{pointer}/{index}/value"), "outcome", place, unit, outcome.value);
        let mut range = allowed(place, 0.0, LARGEST, true);
        range.unit = "1";
        complaints.number(format!("{pointer}/{index}/weight"), "weight", outcome.weight, range);
        converted.push(Outcome { value, weight: outcome.weight });
    }
    Distribution::Discrete { outcomes: converted }
}
