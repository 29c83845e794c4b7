//! Rank correlations of the pilot, a column at a time.

use super::ranks::{correlation, ranks};
use crate::analysis::job::Work;

/// Ranks the inputs, then each metric, and correlates.
pub(crate) struct RankStage {
    inputs: Vec<Vec<f64>>,
    metrics: Vec<Vec<f64>>,
    input_ranks: Vec<Vec<f64>>,
    /// The ranks of the metric in hand, over the samples that have it.
    metric_ranks: Vec<f64>,
    /// For each metric, the coefficient with each input.
    pub correlations: Vec<Vec<Option<f64>>>,
}

impl RankStage {
    pub fn new(inputs: Vec<Vec<f64>>, metrics: Vec<Vec<f64>>) -> Self {
        Self { inputs, metrics, input_ranks: Vec::new(), metric_ranks: Vec::new(), correlations: Vec::new() }
    }

    fn rank_metric(&mut self) {
        let values = &self.metrics[self.correlations.len()];
        let present: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        self.metric_ranks = ranks(&present);
    }

    fn correlate_next(&mut self, input: usize) {
        let values = &self.metrics[self.correlations.len() - 1];
        let coefficient = if self.metric_ranks.len() == values.len() {
            correlation(&self.input_ranks[input], &self.metric_ranks)
        } else {
            let drawn = self.inputs[input].iter().zip(values);
            let present: Vec<f64> = drawn.filter(|(_, value)| !value.is_nan()).map(|(drawn, _)| *drawn).collect();
            correlation(&ranks(&present), &self.metric_ranks)
        };
        if let Some(row) = self.correlations.last_mut() {
            row.push(coefficient);
        }
    }
}

impl Work for RankStage {
    fn step(&mut self) -> bool {
        let (ranked, inputs) = (self.input_ranks.len(), self.inputs.len());
        if ranked < inputs {
            self.input_ranks.push(ranks(&self.inputs[ranked]));
            return true;
        }
        match self.correlations.last().map(Vec::len) {
            Some(done) if done < inputs => self.correlate_next(done),
            _ if self.correlations.len() < self.metrics.len() => {
                self.rank_metric();
                self.correlations.push(Vec::with_capacity(inputs));
            }
            _ => return false,
        }
        true
    }

    fn done(&self) -> u64 {
        0
    }
}
