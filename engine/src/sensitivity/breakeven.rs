//! Where a result crosses a value, between two points of a sweep.

use super::scan::{Plan, Points};
use crate::analysis::model::{FINE, Model, Outcomes};
use crate::lanes::{Column, TILE};

/// Two neighbouring points with the value between them.
#[derive(Debug, Clone)]
pub(crate) struct Bracket {
    from: Vec<f64>,
    to: Vec<f64>,
    /// Whether the metric is above the value at `from`.
    falling: bool,
}

impl Bracket {
    /// All brackets along the grid lines: along x for each y, then along y for each x.
    pub fn all(points: &Points, values: &[f64], value: f64) -> Vec<Self> {
        let mut found = Vec::new();
        let mut look = |here: usize, there: usize| {
            let (before, after) = (values[here] - value, values[there] - value);
            if (before < 0.0 && after >= 0.0) || (before > 0.0 && after <= 0.0) {
                found.push(Self { from: points.at(here), to: points.at(there), falling: before > 0.0 });
            }
        };
        let width = points.width();
        for point in (0..points.count()).filter(|point| (point + 1) % width != 0) {
            look(point, point + 1);
        }
        for point in width..points.count() {
            look(point - width, point);
        }
        found
    }
}

impl Points {
    /// Points that follow each other along x.
    fn width(&self) -> usize {
        match self {
            Self::Listed(_) => self.count(),
            Self::Mesh(x, _) => x.len(),
        }
    }

    fn at(&self, point: usize) -> Vec<f64> {
        match self {
            Self::Listed(inputs) => inputs.iter().map(|values| values[point]).collect(),
            Self::Mesh(x, y) => vec![x[point % x.len()], y[point / x.len()]],
        }
    }
}

/// Halvings of a bracket: what is left is 2^−45 of a step.
const HALVINGS: u32 = 45;

/// The search for the crossings of one metric.
pub(crate) struct Breakevens<'a> {
    pub plan: &'a Plan,
    pub metric: usize,
    pub value: f64,
}

impl Breakevens<'_> {
    /// The crossings in their brackets. A metric that has no value inside a bracket is followed to where its values
    /// end.
    pub fn refine(&self, mut brackets: Vec<Bracket>) -> Vec<Vec<f64>> {
        let mut inputs = vec![Column::of(0.0); self.plan.inputs.len()];
        let mut outcomes = Outcomes::of(self.plan.metrics);
        for tile in brackets.chunks_mut(TILE) {
            for _ in 0..HALVINGS {
                self.halve(tile, &mut inputs, &mut outcomes);
            }
        }
        brackets.iter().map(Bracket::middle).collect()
    }

    fn halve(&self, brackets: &mut [Bracket], inputs: &mut [Column], outcomes: &mut Outcomes) {
        for i in 0..TILE {
            let middle = brackets[i.min(brackets.len() - 1)].middle();
            for (column, value) in inputs.iter_mut().zip(middle) {
                column[i] = value;
            }
        }
        self.plan.model.evaluate(inputs, brackets.len(), outcomes);
        for (i, bracket) in brackets.iter_mut().enumerate() {
            let middle = bracket.middle();
            let beyond = outcomes.values[self.metric][i] - self.value;
            let crossed = if bracket.falling { beyond <= 0.0 } else { beyond >= 0.0 };
            if crossed && outcomes.fates[i] == FINE {
                bracket.to = middle;
            } else {
                bracket.from = middle;
            }
        }
    }
}

impl Bracket {
    fn middle(&self) -> Vec<f64> {
        self.from.iter().zip(&self.to).map(|(from, to)| f64::midpoint(*from, *to)).collect()
    }
}
