//! The stages of a Monte Carlo analysis.
//!
//! The first chunk is the pilot: its values are kept, they say where each metric's values lie, and the rank
//! correlations are theirs. All other chunks leave only counts and sums behind.

use std::any::Any;
use std::sync::Arc;

use multiversion::multiversion;

use super::draws::Draws;
use super::grid::Grid;
use super::rank_stage::RankStage;
use super::result::{Counted, MonteCarloResult};
use super::sketch::{ChunkSketch, Sketch};
use super::spec::MonteCarlo;
use crate::analysis::job::{Stages, Work};
use crate::analysis::model::{BaseModel, FINE, Model, OUT_OF_RANGE, Outcomes};
use crate::analysis::result::AnalysisResult;
use crate::failure::Failure;
use crate::inputs::{Inputs, Invalid};
use crate::lanes::{Column, TILE};

/// Samples of the pilot.
pub(crate) const PILOT: u64 = 8192;
/// Samples of every other chunk; fits the counts of a [`ChunkSketch`].
const CHUNK: u64 = 65_472;

/// What all chunks share.
struct Plan {
    draws: Draws,
    model: BaseModel,
    metrics: usize,
}

/// A Monte Carlo analysis under way.
pub(crate) struct MonteCarloStages {
    spec: MonteCarlo,
    plan: Arc<Plan>,
    stage: Stage,
    sketches: Vec<Sketch>,
    counted: Counted,
    pilot: Kept,
    correlations: Vec<Vec<Option<f64>>>,
}

enum Stage {
    Pilot {
        taken: bool,
    },
    /// The first sample of the next chunk, and how many samples are merged.
    Samples {
        next: u64,
        merged: u64,
    },
    Ranks {
        taken: bool,
    },
    Done,
}

impl MonteCarloStages {
    /// Checks the specification against the scenario.
    pub fn start(spec: &MonteCarlo, base: &Inputs) -> Result<Self, Invalid> {
        let (draws, places) = spec.checked(base)?;
        let model = BaseModel::new(base, places, spec.metrics.clone()).within(draws.reaches());
        let counted = Counted::of(draws.len());
        let plan = Plan { draws, model, metrics: spec.metrics.len() };
        Ok(Self {
            spec: spec.clone(),
            plan: Arc::new(plan),
            stage: Stage::Pilot { taken: false },
            sketches: Vec::new(),
            counted,
            pilot: Kept::default(),
            correlations: Vec::new(),
        })
    }

    fn merge_pilot(&mut self, pilot: Pilot) {
        const LOOKED_AT: usize = 4096;
        self.counted.add(&pilot.counted);
        for (metric, values) in self.spec.metrics.iter().zip(&pilot.kept.metrics) {
            let present = values.iter().filter(|value| !value.is_nan());
            let mut looked_at: Vec<f64> = present.copied().take(LOOKED_AT).collect();
            let grid = Grid::of(&mut looked_at, metric.is_whole());
            let mut sketch = Sketch::new(grid);
            sketch.merge(&sketch_of(values, grid));
            self.sketches.push(sketch);
        }
        self.pilot = pilot.kept;
        let drawn = PILOT.min(self.spec.samples);
        self.stage = self.after_samples(drawn, drawn);
    }

    fn merge_samples(&mut self, chunk: Samples) {
        self.counted.add(&chunk.counted);
        for (sketch, chunk) in self.sketches.iter_mut().zip(&chunk.sketches) {
            sketch.merge(chunk);
        }
        if let Stage::Samples { next, merged } = self.stage {
            self.stage = self.after_samples(next, merged + chunk.range.length);
        }
    }

    fn after_samples(&self, next: u64, merged: u64) -> Stage {
        if merged < self.spec.samples { Stage::Samples { next, merged } } else { Stage::Ranks { taken: false } }
    }
}

/// Counts values that are already there.
fn sketch_of(values: &[f64], grid: Grid) -> ChunkSketch {
    let mut sketch = ChunkSketch::new(grid);
    for values in values.chunks(TILE) {
        let mut column = Column::of(f64::NAN);
        column[..values.len()].copy_from_slice(values);
        sketch.take_some(&column, TILE - values.len());
    }
    sketch
}

impl Stages for MonteCarloStages {
    fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Pilot { .. } => "pilot",
            Stage::Samples { .. } => "samples",
            Stage::Ranks { .. } => "rank correlations",
            Stage::Done => "done",
        }
    }

    fn total(&self) -> u64 {
        self.spec.samples
    }

    fn next(&mut self) -> Option<Box<dyn Work>> {
        match &mut self.stage {
            Stage::Pilot { taken } if !*taken => {
                *taken = true;
                Some(Box::new(Pilot::new(&self.plan, PILOT.min(self.spec.samples))))
            }
            Stage::Samples { next, .. } if *next < self.spec.samples => {
                let range = Range { first: *next, length: CHUNK.min(self.spec.samples - *next), done: 0 };
                *next += range.length;
                let grids: Vec<Grid> = self.sketches.iter().map(|sketch| sketch.grid).collect();
                Some(Box::new(Samples::new(&self.plan, range, &grids)))
            }
            Stage::Ranks { taken } if !*taken => {
                *taken = true;
                let Kept { inputs, metrics } = std::mem::take(&mut self.pilot);
                Some(Box::new(RankStage::new(inputs, metrics)))
            }
            Stage::Pilot { .. } | Stage::Samples { .. } | Stage::Ranks { .. } | Stage::Done => None,
        }
    }

    fn merge(&mut self, work: Box<dyn Any>) {
        let work = match work.downcast::<Samples>() {
            Ok(samples) => return self.merge_samples(*samples),
            Err(other) => other,
        };
        match work.downcast::<Pilot>() {
            Ok(pilot) => self.merge_pilot(*pilot),
            Err(other) => {
                self.correlations = other.downcast::<RankStage>().map(|ranks| ranks.correlations).unwrap_or_default();
                self.stage = Stage::Done;
            }
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn finish(self: Box<Self>) -> Result<AnalysisResult, Failure> {
        let result = MonteCarloResult::of(&self.spec, self.counted, &self.sketches, self.correlations)?;
        Ok(AnalysisResult::MonteCarlo(result))
    }
}

/// Consecutive samples, and how many of them are done.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u64,
    length: u64,
    done: u64,
}

impl Range {
    /// The next tile: its first sample and how many samples it has.
    #[inline(always)]
    fn tile(&mut self) -> (u64, usize) {
        let first = self.first + self.done;
        let used = (self.length - self.done).min(TILE as u64);
        self.done += used;
        (first, used as usize)
    }

    fn is_left(&self) -> bool {
        self.done < self.length
    }
}

/// Room for a tile.
struct Bench {
    inputs: Vec<Column>,
    outcomes: Outcomes,
}

impl Bench {
    fn of(plan: &Plan) -> Self {
        Self { inputs: vec![Column::of(0.0); plan.draws.len()], outcomes: Outcomes::of(plan.metrics) }
    }
}

/// Inputs and results of the pilot's samples that have results.
#[derive(Debug, Default)]
struct Kept {
    inputs: Vec<Vec<f64>>,
    metrics: Vec<Vec<f64>>,
}

struct Pilot {
    plan: Arc<Plan>,
    range: Range,
    bench: Bench,
    kept: Kept,
    counted: Counted,
}

impl Pilot {
    fn new(plan: &Arc<Plan>, length: u64) -> Self {
        let (inputs, metrics) = (plan.draws.len(), plan.metrics);
        Self {
            plan: Arc::clone(plan),
            range: Range { first: 0, length, done: 0 },
            bench: Bench::of(plan),
            kept: Kept { inputs: vec![Vec::new(); inputs], metrics: vec![Vec::new(); metrics] },
            counted: Counted::of(inputs),
        }
    }
}

impl Work for Pilot {
    fn step(&mut self) -> bool {
        for _ in 0..self.plan.model.tiles_per_slice() {
            if !self.range.is_left() {
                return false;
            }
            pilot_tile(self);
        }
        self.range.is_left()
    }

    fn done(&self) -> u64 {
        self.range.done
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn pilot_tile(pilot: &mut Pilot) {
    let (first, used) = pilot.range.tile();
    let Bench { inputs, outcomes } = &mut pilot.bench;
    pilot.plan.draws.fill(first, inputs);
    // The model may round the inputs, so they are kept before.
    let drawn = inputs.clone();
    pilot.plan.model.evaluate(inputs, used, outcomes);
    for sample in 0..used {
        if pilot.counted.count(outcomes.fates[sample]) {
            keep(&mut pilot.kept.inputs, &drawn, sample);
            keep(&mut pilot.kept.metrics, &outcomes.values, sample);
        }
    }
}

fn keep(kept: &mut [Vec<f64>], columns: &[Column], sample: usize) {
    for (kept, column) in kept.iter_mut().zip(columns) {
        kept.push(column[sample]);
    }
}

struct Samples {
    plan: Arc<Plan>,
    range: Range,
    bench: Bench,
    sketches: Vec<ChunkSketch>,
    counted: Counted,
}

impl Samples {
    fn new(plan: &Arc<Plan>, range: Range, grids: &[Grid]) -> Self {
        Self {
            plan: Arc::clone(plan),
            range,
            bench: Bench::of(plan),
            sketches: grids.iter().map(|grid| ChunkSketch::new(*grid)).collect(),
            counted: Counted::of(plan.draws.len()),
        }
    }
}

impl Work for Samples {
    fn step(&mut self) -> bool {
        sample_tiles(self);
        self.range.is_left()
    }

    fn done(&self) -> u64 {
        self.range.done
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sample_tiles(samples: &mut Samples) {
    let plan = &samples.plan;
    let Bench { inputs, outcomes } = &mut samples.bench;
    for _ in 0..plan.model.tiles_per_slice() {
        if !samples.range.is_left() {
            return;
        }
        let (first, used) = samples.range.tile();
        plan.draws.fill(first, inputs);
        plan.model.evaluate(inputs, used, outcomes);
        if used == TILE && outcomes.all_fine() {
            samples.counted.fine(TILE as u64);
            for (sketch, values) in samples.sketches.iter_mut().zip(&outcomes.values) {
                sketch.take(values);
            }
        } else {
            let left_out = samples.counted.leave_out(outcomes, used);
            for (sketch, values) in samples.sketches.iter_mut().zip(&outcomes.values) {
                sketch.take_some(values, left_out);
            }
        }
    }
}

impl Counted {
    /// Counts the fates of a tile and makes the values of those without results NaN; how many these are.
    fn leave_out(&mut self, outcomes: &mut Outcomes, used: usize) -> usize {
        let mut left_out = 0;
        for sample in 0..TILE {
            if sample < used && self.count(outcomes.fates[sample]) {
                continue;
            }
            left_out += 1;
            for values in &mut outcomes.values {
                values[sample] = f64::NAN;
            }
        }
        left_out
    }

    /// Counts one fate; whether it is one with results.
    fn count(&mut self, fate: u8) -> bool {
        match fate {
            FINE => self.fine(1),
            crate::analysis::model::FAILED => self.failed += 1,
            crate::analysis::model::UNBALANCED => self.unbalanced += 1,
            _ => self.out_of_range[usize::from(fate - OUT_OF_RANGE)] += 1,
        }
        fate == FINE
    }
}
