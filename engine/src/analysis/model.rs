//! The base analysis of many variations of one scenario.

use crate::base::analyse;
use crate::inputs::{Inputs, Place, Variation};
use crate::lanes::{Column, TILE};
use crate::trace::Plain;

use super::kernel::{Kernel, lanes_suffice};
use crate::metric::Metric;

/// What became of the samples of a tile.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes {
    /// For each sample one of [`FINE`], [`FAILED`], [`UNBALANCED`], or [`OUT_OF_RANGE`] and more.
    pub fates: [u8; TILE],
    /// For each metric its values; NaN where there is none. Only where the fate is [`FINE`].
    pub values: Vec<Column>,
}

/// The analysis has a result.
pub(crate) const FINE: u8 = 0;
/// A result would not be a finite number.
pub(crate) const FAILED: u8 = 1;
/// The products would not be made of the feedstocks.
pub(crate) const UNBALANCED: u8 = 2;
/// The first varied input would leave its range; one more for the second, and so on.
pub(crate) const OUT_OF_RANGE: u8 = 3;

impl Outcomes {
    /// Room for the results of one tile.
    pub fn of(metrics: usize) -> Self {
        Self { fates: [FINE; TILE], values: vec![Column::of(f64::NAN); metrics] }
    }

    /// Whether every sample of the tile has every result.
    #[inline(always)]
    pub fn all_fine(&self) -> bool {
        self.fates.iter().fold(0, |any, fate| any | fate) == FINE
    }
}

/// A function from some inputs to some results, tile by tile.
pub(crate) trait Model: Send + Sync {
    /// Works out the first `used` samples of a tile; the columns hold one input each and may be changed.
    fn evaluate(&self, inputs: &mut [Column], used: usize, outcomes: &mut Outcomes);

    /// How many tiles are worked out in about a third of a millisecond.
    fn tiles_per_slice(&self) -> u64;
}

/// The base analysis as a function of some of its inputs.
pub(crate) struct BaseModel {
    base: Inputs,
    places: Vec<Place>,
    metrics: Vec<Metric>,
    kernel: Option<Kernel>,
}

impl BaseModel {
    /// The metrics of a scenario as functions of the numbers at some places.
    pub fn new(base: &Inputs, places: Vec<Place>, metrics: Vec<Metric>) -> Self {
        let kernel = lanes_suffice(base, &metrics).then(|| Kernel::new(base, &places, &metrics));
        Self { base: base.clone(), places, metrics, kernel }
    }

    /// The same without lanes: each sample by the base analysis itself.
    #[cfg(test)]
    pub fn scalar(base: &Inputs, places: Vec<Place>, metrics: Vec<Metric>) -> Self {
        Self { kernel: None, ..Self::new(base, places, metrics) }
    }

    /// One sample, by the base analysis itself.
    fn evaluate_one(&self, inputs: &[Column], sample: usize, outcomes: &mut Outcomes) {
        outcomes.fates[sample] = self.fate_of_one(inputs, sample, &mut outcomes.values);
    }

    fn fate_of_one(&self, inputs: &[Column], sample: usize, values: &mut [Column]) -> u8 {
        let mut variation = Variation::of(&self.base);
        for (number, (place, column)) in self.places.iter().zip(inputs).enumerate() {
            if !variation.put(*place, column[sample]) {
                return OUT_OF_RANGE + number as u8;
            }
        }
        let Some(varied) = variation.balanced() else { return UNBALANCED };
        let Ok(result) = analyse(varied, &mut Plain) else { return FAILED };
        for (metric, column) in self.metrics.iter().zip(values) {
            column[sample] = metric.of(&result).unwrap_or(f64::NAN);
        }
        FINE
    }
}

impl Model for BaseModel {
    #[inline(always)]
    fn evaluate(&self, inputs: &mut [Column], used: usize, outcomes: &mut Outcomes) {
        let doubtful = match &self.kernel {
            Some(kernel) => kernel.evaluate(inputs, outcomes),
            None => u64::MAX,
        };
        if doubtful != 0 {
            for sample in (0..used).filter(|sample| doubtful >> sample & 1 == 1) {
                self.evaluate_one(inputs, sample, outcomes);
            }
        }
    }

    fn tiles_per_slice(&self) -> u64 {
        if self.kernel.is_some() { 64 } else { 4 }
    }
}
