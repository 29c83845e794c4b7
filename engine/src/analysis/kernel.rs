//! The base analysis in lanes: the same formulas for all samples of a tile at once.

use crate::inputs::{Inputs, Place};
use crate::lanes::Column;

use crate::metric::Metric;
use super::model::Outcomes;

/// Whether the lanes compute what the base analysis would.
pub(crate) fn lanes_suffice(_base: &Inputs, _metrics: &[Metric]) -> bool {
    false
}

pub(crate) struct Kernel;

impl Kernel {
    pub fn new(_base: &Inputs, _places: &[Place], _metrics: &[Metric]) -> Self {
        Self
    }

    pub fn evaluate(&self, _inputs: &mut [Column], _outcomes: &mut Outcomes) -> u64 {
        u64::MAX
    }
}
