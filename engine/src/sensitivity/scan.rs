//! Results at given points: what tornado, spider and sweep have in common.

use std::any::Any;
use std::sync::Arc;

use multiversion::multiversion;

use super::breakeven::{Search, Sought};
use crate::analysis::job::{Stages, Work};
use crate::analysis::model::{BaseModel, FINE, Model, Outcomes};
use crate::analysis::result::AnalysisResult;
use crate::failure::Failure;
use crate::inputs::Place;
use crate::lanes::{Column, TILE};

/// Where the results are wanted, in base units.
pub(crate) enum Points {
    /// For each input its value at every point.
    Listed(Vec<Vec<f64>>),
    /// All values of the first input with each value of the second.
    Mesh(Vec<f64>, Vec<f64>),
}

impl Points {
    /// How many points there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Listed(inputs) => inputs.first().map_or(0, Vec::len),
            Self::Mesh(x, y) => x.len() * y.len(),
        }
    }

    /// The inputs at the points from `first` on, the last point over and over where there are no more.
    fn fill(&self, first: usize, columns: &mut [Column]) {
        let last = self.count() - 1;
        for i in 0..TILE {
            let point = (first + i).min(last);
            match self {
                Self::Listed(inputs) => {
                    for (column, values) in columns.iter_mut().zip(inputs) {
                        column[i] = values[point];
                    }
                }
                Self::Mesh(x, y) => {
                    columns[0][i] = x[point % x.len()];
                    columns[1][i] = y[point / x.len()];
                }
            }
        }
    }
}

/// For each metric its value at every point; NaN where there is none.
pub(crate) type Values = Vec<Vec<f64>>;

/// For each value that was sought, the points found.
pub(crate) type Found = Vec<Vec<Vec<f64>>>;

/// The points of a scan and what is asked there.
pub(crate) struct Plan {
    pub model: BaseModel,
    pub points: Points,
    pub inputs: Vec<Place>,
    pub metrics: usize,
}

/// What becomes of the values of a scan.
pub(crate) trait Asked: Send {
    /// What is to be looked for between the points.
    fn sought(&self) -> Vec<Sought> {
        Vec::new()
    }

    /// The result, given the points found for each that was sought.
    fn answer(self: Box<Self>, values: Values, found: Found) -> Result<AnalysisResult, Failure>;
}

/// A scan under way.
pub(crate) struct Scan {
    plan: Arc<Plan>,
    asked: Box<dyn Asked>,
    next: usize,
    values: Values,
    found: Found,
    stage: Stage,
}

enum Stage {
    Points,
    Search { taken: bool },
    Done,
}

/// Points of a chunk.
const CHUNK: usize = 16_384;

impl Scan {
    pub fn new(plan: Plan, asked: impl Asked + 'static) -> Self {
        let values = vec![Vec::with_capacity(plan.points.count()); plan.metrics];
        let asked = Box::new(asked);
        Self { plan: Arc::new(plan), asked, next: 0, values, found: Vec::new(), stage: Stage::Points }
    }

    fn next_points(&mut self) -> Option<Box<dyn Work>> {
        let first = self.next;
        let end = self.plan.points.count().min(first + CHUNK);
        self.next = end;
        let inputs = vec![Column::of(0.0); self.plan.inputs.len()];
        let outcomes = Outcomes::of(self.plan.metrics);
        let values = vec![Vec::with_capacity(end - first); self.plan.metrics];
        let piece = Piece { plan: Arc::clone(&self.plan), first, at: first, end, inputs, outcomes, values };
        (first < end).then(|| Box::new(piece) as Box<dyn Work>)
    }

    fn merge_points(&mut self, piece: &Piece) {
        for (all, more) in self.values.iter_mut().zip(&piece.values) {
            all.extend_from_slice(more);
        }
        if piece.end == self.plan.points.count() {
            let sought = !self.asked.sought().is_empty();
            self.stage = if sought { Stage::Search { taken: false } } else { Stage::Done };
        }
    }
}

impl Stages for Scan {
    fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Points => "points",
            Stage::Search { .. } => "break-evens",
            Stage::Done => "done",
        }
    }

    fn total(&self) -> u64 {
        self.plan.points.count() as u64
    }

    fn next(&mut self) -> Option<Box<dyn Work>> {
        match &mut self.stage {
            Stage::Points => self.next_points(),
            Stage::Search { taken } if !*taken => {
                *taken = true;
                let values = std::mem::take(&mut self.values);
                Some(Box::new(Search::new(&self.plan, values, self.asked.sought())))
            }
            Stage::Search { .. } | Stage::Done => None,
        }
    }

    fn merge(&mut self, work: Box<dyn Any>) {
        match work.downcast::<Piece>() {
            Ok(piece) => self.merge_points(&piece),
            Err(other) => {
                if let Ok(search) = other.downcast::<Search>() {
                    (self.values, self.found) = (search.values, search.found);
                }
                self.stage = Stage::Done;
            }
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn finish(self: Box<Self>) -> Result<AnalysisResult, Failure> {
        self.asked.answer(self.values, self.found)
    }
}

struct Piece {
    plan: Arc<Plan>,
    first: usize,
    at: usize,
    end: usize,
    inputs: Vec<Column>,
    outcomes: Outcomes,
    values: Values,
}

impl Work for Piece {
    fn step(&mut self) -> bool {
        for _ in 0..self.plan.model.tiles_per_slice() {
            if self.at < self.end {
                tile(self);
            }
        }
        self.at < self.end
    }

    fn done(&self) -> u64 {
        (self.at - self.first) as u64
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn tile(piece: &mut Piece) {
    let used = TILE.min(piece.end - piece.at);
    piece.plan.points.fill(piece.at, &mut piece.inputs);
    piece.plan.model.evaluate(&mut piece.inputs, used, &mut piece.outcomes);
    for sample in 0..used {
        let fine = piece.outcomes.fates[sample] == FINE;
        for (values, column) in piece.values.iter_mut().zip(&piece.outcomes.values) {
            values.push(if fine { column[sample] } else { f64::NAN });
        }
    }
    piece.at += used;
}

/// A value that is there.
pub(crate) fn known(value: f64) -> Option<f64> {
    value.is_finite().then_some(value + 0.0)
}

#[cfg(test)]
mod tests {
    use super::{BaseModel, Column, Model, Outcomes, TILE};
    use crate::{Analysis, AnalysisResult, InputDocument, Metric, resolve};

    #[test]
    fn the_widest_vectors_give_the_bits_of_the_narrowest() {
        let example = include_str!("../../../examples/hefa-uco-usa.json");
        let example: serde_json::Value = serde_json::from_str(example).unwrap();
        let document: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
        let base = resolve(&document, None).unwrap().inputs;
        let sweep: Analysis = serde_json::from_str(
            r#"{ "analysis": "sweep", "metrics": ["npv", "irr", "msp"],
                 "x": { "input": "/economics/discount_rate", "unit": "1", "from": 0.01, "to": 0.64, "steps": 64 } }"#,
        )
        .unwrap();
        let AnalysisResult::Sweep(widest) = sweep.start(&base).unwrap().finish().unwrap() else { panic!() };

        let metrics = vec![Metric::Npv, Metric::Irr, Metric::Msp];
        let model = BaseModel::new(&base, vec![base.place("/economics/discount_rate").unwrap()], metrics);
        let mut column = Column::of(0.0);
        column.copy_from_slice(&widest.x);
        let mut outcomes = Outcomes::of(3);
        // Called from here, the model is compiled for the least machine.
        model.evaluate(&mut [column], TILE, &mut outcomes);
        for (metric, values) in widest.metrics.iter().zip(&outcomes.values) {
            let narrowest: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            assert_eq!(metric.values, narrowest, "{:?}", metric.metric);
        }
    }
}
