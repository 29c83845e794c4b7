//! Where a result crosses a value, between two points of a sweep.

use std::sync::Arc;

use multiversion::multiversion;

use super::scan::{Found, Plan, Points, Values};
use crate::analysis::job::Work;
use crate::analysis::model::{FINE, Model, Outcomes};
use crate::inputs::Place;
use crate::lanes::{Column, TILE};

/// Two neighbouring points, with the value between them or with the end of the metric's existence.
#[derive(Debug, Clone)]
pub(crate) struct Bracket {
    from: Vec<f64>,
    to: Vec<f64>,
    /// The metric is above the value at `from`, where it exists.
    falling: bool,
    /// The metric less the value at `from`.
    beside: f64,
    /// The metric was seen beyond the value.
    is_crossed: bool,
}

impl Bracket {
    /// The bracket at a place of the grid, if there is one. Places are first those along x, point by point, then those
    /// along y: twice as many as points.
    fn at(points: &Points, values: &[f64], value: f64, place: usize) -> Option<Self> {
        let (count, width) = (points.count(), points.width());
        let (here, there) = match place.checked_sub(count) {
            None => (!(place + 1).is_multiple_of(width)).then_some((place, place + 1))?,
            Some(point) => (point.checked_sub(width)?, point),
        };
        let (before, after) = (values[here] - value, values[there] - value);
        let is_between = (before < 0.0 && after >= 0.0) || (before > 0.0 && after <= 0.0);
        // Where the metric exists at one end only, it may pass the value on the way to where it ceases to.
        let (here, there, before) = match (is_between, before.is_nan(), after.is_nan()) {
            (true, ..) | (_, false, true) => (here, there, before),
            (_, true, false) => (there, here, after),
            _ => return None,
        };
        let (from, to) = (points.at(here), points.at(there));
        (before != 0.0).then_some(Self { from, to, falling: before > 0.0, beside: before, is_crossed: is_between })
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

/// A value of a metric to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought {
    pub metric: usize,
    pub value: f64,
    /// The metric less the value where the metric is as wanted, if it takes only whole numbers: it is so up to
    /// where it ceases to exist.
    pub wanted: Option<f64>,
}

/// The search for what is sought, after all points are known.
pub(crate) struct Search {
    plan: Arc<Plan>,
    pub values: Values,
    sought: Vec<Sought>,
    /// The points found for each that is done.
    pub found: Found,
    place: usize,
    brackets: Vec<Bracket>,
    /// Brackets that are narrow, and halvings of those of the tile in hand.
    narrow: usize,
    halved: u32,
}

impl Search {
    pub fn new(plan: &Arc<Plan>, values: Values, sought: Vec<Sought>) -> Self {
        let plan = Arc::clone(plan);
        Self { plan, values, sought, found: Vec::new(), place: 0, brackets: Vec::new(), narrow: 0, halved: 0 }
    }

    /// Looks for brackets at some more places.
    fn look(&mut self, sought: Sought) {
        const PLACES: usize = 16_384;
        let end = (2 * self.plan.points.count()).min(self.place + PLACES);
        let values = &self.values[sought.metric];
        let found = (self.place..end).filter_map(|place| Bracket::at(&self.plan.points, values, sought.value, place));
        self.brackets.extend(found);
        self.place = end;
    }

    /// Halves the brackets of a tile. A metric that has no value inside a bracket is followed to where its values end.
    fn narrow(&mut self, sought: Sought) {
        let end = self.brackets.len().min(self.narrow + TILE);
        let halvings = (self.plan.model.tiles_per_slice() as u32).min(HALVINGS - self.halved);
        halve(&self.plan, sought, &mut self.brackets[self.narrow..end], halvings);
        self.halved += halvings;
        if self.halved == HALVINGS {
            (self.narrow, self.halved) = (end, 0);
        }
    }
}

impl Work for Search {
    fn step(&mut self) -> bool {
        let Some(sought) = self.sought.get(self.found.len()).copied() else { return false };
        if self.place < 2 * self.plan.points.count() {
            self.look(sought);
        } else if self.narrow < self.brackets.len() {
            self.narrow(sought);
        } else {
            let found = self.brackets.drain(..).filter(|bracket| bracket.is_found(sought));
            let found = found.map(|bracket| bracket.point(&self.plan.inputs)).collect();
            self.found.push(found);
            (self.place, self.narrow) = (0, 0);
        }
        self.found.len() < self.sought.len()
    }

    fn done(&self) -> u64 {
        0
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn halve(plan: &Plan, sought: Sought, brackets: &mut [Bracket], halvings: u32) {
    let mut inputs = vec![Column::of(0.0); plan.inputs.len()];
    let mut outcomes = Outcomes::of(plan.metrics);
    for _ in 0..halvings {
        for i in 0..TILE {
            let middle = brackets[i.min(brackets.len() - 1)].middle();
            for (column, value) in inputs.iter_mut().zip(middle) {
                column[i] = value;
            }
        }
        plan.model.evaluate(&mut inputs, brackets.len(), &mut outcomes);
        for (i, bracket) in brackets.iter_mut().enumerate() {
            let middle = bracket.middle();
            let beyond =
                if outcomes.fates[i] == FINE { outcomes.values[sought.metric][i] - sought.value } else { f64::NAN };
            let is_beyond = if bracket.falling { beyond <= 0.0 } else { beyond >= 0.0 };
            if is_beyond || beyond.is_nan() {
                bracket.to = middle;
                bracket.is_crossed |= is_beyond;
            } else {
                (bracket.from, bracket.beside) = (middle, beyond);
            }
        }
    }
}

impl Bracket {
    fn middle(&self) -> Vec<f64> {
        self.from.iter().zip(&self.to).map(|(from, to)| f64::midpoint(*from, *to)).collect()
    }

    /// The metric passes the value there; a metric of whole numbers also has it up to where it ceases to exist.
    fn is_found(&self, sought: Sought) -> bool {
        self.is_crossed || sought.wanted == Some(self.beside)
    }

    /// The point; of an input of whole numbers, the first number beyond.
    fn point(&self, places: &[Place]) -> Vec<f64> {
        let coordinate = |((place, middle), to): ((&Place, f64), &f64)| {
            if place.field.range.whole { to.round() } else { middle }
        };
        places.iter().zip(self.middle()).zip(&self.to).map(coordinate).collect()
    }
}
