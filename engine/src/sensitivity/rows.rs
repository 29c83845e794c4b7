//! The rows of the scheme: two independent samples, and the first with each input of the second in turn.

use std::sync::Arc;

use multiversion::multiversion;

use super::block::{Blocks, add_row};
use crate::analysis::job::Work;
use crate::analysis::model::{FINE, Model, Outcomes};
use crate::lanes::{Column, TILE};
use crate::uncertainty::draws::Draws;

/// What all chunks share.
pub(crate) struct Plan<M> {
    pub first: Draws,
    pub second: Draws,
    pub model: M,
    pub metrics: usize,
    pub samples: u64,
}

impl<M> Plan<M> {
    fn inputs(&self) -> usize {
        self.first.len()
    }

    /// How often the model is asked for a row: of the first sample, the second, and each mixture.
    fn width(&self) -> usize {
        self.inputs() + 2
    }
}

/// Samples that say what a typical value is.
const LOOKED_AT: u64 = 1024;

/// The mean of each metric over the first samples: what is subtracted from all values.
pub(crate) struct PivotRows<M> {
    plan: Arc<Plan<M>>,
    next: u64,
    sums: Vec<(f64, f64)>,
}

impl<M: Model> PivotRows<M> {
    pub fn new(plan: &Arc<Plan<M>>) -> Self {
        Self { plan: Arc::clone(plan), next: 0, sums: vec![(0.0, 0.0); plan.metrics] }
    }

    /// The means; 0 where there is no value.
    pub fn pivots(&self) -> Vec<f64> {
        let mean = |(sum, count): &(f64, f64)| if *count > 0.0 && sum.is_finite() { sum / count } else { 0.0 };
        self.sums.iter().map(mean).collect()
    }
}

impl<M: Model + 'static> Work for PivotRows<M> {
    fn step(&mut self) -> bool {
        let end = self.plan.samples.min(LOOKED_AT);
        let mut inputs = vec![Column::of(0.0); self.plan.inputs()];
        let mut outcomes = Outcomes::of(self.plan.metrics);
        let used = (end - self.next).min(TILE as u64) as usize;
        evaluate_first(&self.plan, &mut inputs, &mut outcomes, self.next, used);
        for (sum, values) in self.sums.iter_mut().zip(&outcomes.values) {
            for sample in (0..used).filter(|sample| outcomes.fates[*sample] == FINE && values[*sample].is_finite()) {
                *sum = (sum.0 + values[sample], sum.1 + 1.0);
            }
        }
        self.next += used as u64;
        self.next < end
    }

    fn done(&self) -> u64 {
        0
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn evaluate_first<M: Model>(plan: &Plan<M>, inputs: &mut [Column], outcomes: &mut Outcomes, sample: u64, used: usize) {
    plan.first.fill(sample, inputs);
    plan.model.evaluate(inputs, used, outcomes);
}

/// A chunk of rows.
pub(crate) struct Rows<M> {
    plan: Arc<Plan<M>>,
    pivots: Arc<Vec<f64>>,
    first: u64,
    length: u64,
    next: u64,
    blocks: Blocks,
    bench: Bench,
}

/// A tile of rows.
struct Bench {
    first: Vec<Column>,
    second: Vec<Column>,
    mixed: Vec<Column>,
    /// Results of the first sample, the second, and each mixture.
    outcomes: Vec<Outcomes>,
    /// How many of them are there.
    known: usize,
}

impl<M: Model> Rows<M> {
    pub fn new(plan: &Arc<Plan<M>>, pivots: &Arc<Vec<f64>>, first: u64, length: u64, blocks: Blocks) -> Self {
        let columns = vec![Column::of(0.0); plan.inputs()];
        let outcomes = vec![Outcomes::of(plan.metrics); plan.width()];
        let bench = Bench { first: columns.clone(), second: columns.clone(), mixed: columns, outcomes, known: 0 };
        Self { plan: Arc::clone(plan), pivots: Arc::clone(pivots), first, length, next: 0, blocks, bench }
    }

    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn into_blocks(self) -> Blocks {
        self.blocks
    }

    /// Asks the model once more for the rows of the tile in hand.
    fn advance(&mut self) {
        let used = (self.length - self.next).min(TILE as u64) as usize;
        evaluate_next(&self.plan, &mut self.bench, self.first + self.next, used);
        if self.bench.known == self.plan.width() {
            self.add(used);
            self.next += used as u64;
            self.bench.known = 0;
        }
    }

    /// Adds the rows of the tile in hand to their blocks; a row without a value in one place is left out.
    fn add(&mut self, used: usize) {
        let outcomes = &self.bench.outcomes;
        for metric in 0..self.plan.metrics {
            let pivot = self.pivots[metric];
            for sample in 0..used {
                let mut fates = outcomes.iter().map(|outcomes| outcomes.fates[sample]);
                let value = |which: usize| outcomes[which].values[metric][sample] - pivot;
                let there = fates.all(|fate| fate == FINE) && (0..outcomes.len()).all(|which| value(which).is_finite());
                if there {
                    let sums = self.blocks.at(self.next + sample as u64, metric);
                    add_row(sums, value(0), value(1), (2..outcomes.len()).map(value));
                }
            }
        }
    }
}

impl<M: Model + 'static> Work for Rows<M> {
    fn step(&mut self) -> bool {
        for _ in 0..self.plan.model.tiles_per_slice() {
            if self.next < self.length {
                self.advance();
            }
        }
        self.next < self.length
    }

    fn done(&self) -> u64 {
        self.next * self.plan.width() as u64
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn evaluate_next<M: Model>(plan: &Plan<M>, bench: &mut Bench, sample: u64, used: usize) {
    let Bench { first, second, mixed, outcomes, known } = bench;
    if *known == 0 {
        plan.first.fill(sample, first);
        plan.second.fill(sample, second);
    }
    mixed.copy_from_slice(if *known == 1 { second } else { first });
    if let Some(input) = known.checked_sub(2) {
        mixed[input] = second[input];
    }
    plan.model.evaluate(mixed, used, &mut outcomes[*known]);
    *known += 1;
}
