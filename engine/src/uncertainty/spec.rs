//! What a Monte Carlo analysis is asked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::copula::{Copula, Correlation};
use super::distribution::Distribution;
use super::draws::{Draws, Source};
use super::sobol::Coordinate;
use super::stream::Stream;
use crate::analysis::check::Complaints;
use crate::inputs::{Inputs, Invalid, Place};
use crate::metric::Metric;

/// At most this many samples.
pub const MAX_SAMPLES: u64 = 10_000_000;
/// At most this many uncertain inputs.
pub const MAX_INPUTS: usize = 50;

/// A Monte Carlo analysis: the base analysis of many samples of uncertain inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MonteCarlo {
    /// How many samples are drawn, 2 to 10,000,000.
    pub samples: u64,
    /// The same seed gives the same samples.
    #[serde(default)]
    pub seed: u64,
    /// Where the samples come from.
    #[serde(default)]
    pub sequence: Sequence,
    /// The uncertain inputs, 1 to 50; every other input keeps its value.
    pub inputs: Vec<UncertainInput>,
    /// Which of them go together; all others are independent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub correlations: Vec<Correlation>,
    /// The results asked for.
    pub metrics: Vec<Metric>,
    /// How many bins the histograms have, 1 to 500.
    #[serde(default = "usual_bins")]
    pub histogram_bins: u64,
}

fn usual_bins() -> u64 {
    50
}

/// Where samples come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sequence {
    /// Pseudo-random numbers.
    #[default]
    PseudoRandom,
    /// The Sobol sequence, shifted by the seed: more even, so that means and percentiles converge faster.
    Sobol,
}

/// An input and how it is distributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UncertainInput {
    /// The input, as a JSON pointer such as `/economics/discount_rate`.
    pub input: String,
    /// The unit of the distribution's parameters.
    pub unit: String,
    /// Its distribution.
    pub distribution: Distribution,
}

/// Uncertain inputs that passed their checks.
pub(crate) struct CheckedInputs {
    pub places: Vec<Place>,
    pub distributions: Vec<Distribution>,
}

impl CheckedInputs {
    /// Checks uncertain inputs against the scenario. As many as are right come out: the caller looks at the
    /// complaints before it uses them.
    pub fn of(uncertain: &[UncertainInput], base: &Inputs, complaints: &mut Complaints) -> Self {
        let names: Vec<&str> = uncertain.iter().map(|input| input.input.as_str()).collect();
        complaints.list("/inputs", "inputs", &names, MAX_INPUTS);
        let (mut places, mut distributions) = (Vec::new(), Vec::new());
        for (index, input) in uncertain.iter().enumerate().take(MAX_INPUTS) {
            let at = format!("/inputs/{index}");
            let Some(place) = complaints.place_in_unit(&at, base, &input.input, &input.unit) else { continue };
            distributions.push(input.distribution.checked(&at, place, &input.unit, complaints));
            places.push(place);
        }
        Self { places, distributions }
    }
}

impl MonteCarlo {
    /// The prepared draws and where they go.
    pub(crate) fn checked(&self, base: &Inputs) -> Result<(Draws, Vec<Place>), Invalid> {
        let mut complaints = Complaints::default();
        complaints.count("/samples", "the number of samples", self.samples, (2, MAX_SAMPLES));
        let CheckedInputs { places, distributions } = CheckedInputs::of(&self.inputs, base, &mut complaints);
        let names: Vec<&str> = self.inputs.iter().map(|input| input.input.as_str()).take(MAX_INPUTS).collect();
        let copula = Copula::checked(&self.correlations, &names, &mut complaints);
        complaints.list("/metrics", "metrics", &self.metrics, Metric::ALL.len());
        complaints.count("/histogram_bins", "the number of bins", self.histogram_bins, (1, 500));
        complaints.resolve()?;
        Ok((Draws::new(self.sources(), &distributions, copula), places))
    }

    fn sources(&self) -> Vec<Source> {
        let source = |input: usize| match self.sequence {
            Sequence::PseudoRandom => Source::Random(Stream::new(self.seed, input as u64)),
            Sequence::Sobol => Source::Sobol(Box::new(Coordinate::new(input, self.seed))),
        };
        (0..self.inputs.len()).map(source).collect()
    }
}
