//! How far the indices could be from the truth: the blocks are drawn again, with replacement.

use super::block::{Block, Blocks};
use crate::analysis::job::Work;
use crate::uncertainty::stream::Stream;

/// The ends of a confidence interval; none where an index has no value in half of the resamples.
pub(crate) type Interval = Option<[f64; 2]>;

/// The resampling under way, a metric at a time.
///
/// # Source
///
/// Efron, *Bootstrap methods: another look at the jackknife*, Ann. Statist. 7, 1979 (percentile intervals); Archer,
/// Saltelli and Sobol', *Sensitivity measures, ANOVA-like techniques and the use of bootstrap*, J. Stat. Comput.
/// Simul. 58, 1997, for the indices.
pub(crate) struct Bootstrap {
    blocks: Blocks,
    stream: Stream,
    resamples: u64,
    confidence: f64,
    next: u64,
    sum: Block,
    /// First and total order of each input in turn, in the resamples of the metric in hand so far.
    drawn: Vec<Vec<f64>>,
    /// For each metric the intervals of first and total order of each input in turn.
    pub intervals: Vec<Vec<Interval>>,
}

impl Bootstrap {
    pub fn new(blocks: Blocks, seed: u64, resamples: u64, confidence: f64) -> Self {
        let drawn = vec![Vec::new(); 2 * blocks.inputs()];
        let sum = Block::empty(blocks.inputs());
        let stream = Stream::new(!seed, u64::MAX);
        Self { blocks, stream, resamples, confidence, next: 0, sum, drawn, intervals: Vec::new() }
    }

    fn resample(&mut self) {
        let (count, metric) = (self.blocks.count(), self.intervals.len());
        self.sum.clear();
        for draw in 0..count as u64 {
            // The same draws for every metric.
            let block = self.stream.below(self.next * count as u64 + draw, count);
            self.sum.add(self.blocks.block(block, metric));
        }
        for (input, pair) in self.drawn.chunks_exact_mut(2).enumerate() {
            if let Some((first, total)) = self.sum.indices(input) {
                pair[0].push(first);
                pair[1].push(total);
            }
        }
    }

    fn close_metric(&mut self) {
        let (confidence, least) = (self.confidence, self.resamples as usize / 2);
        let intervals = self.drawn.iter_mut().map(|drawn| interval(drawn, confidence, least.max(2)));
        let intervals = intervals.collect();
        self.intervals.push(intervals);
        self.drawn.iter_mut().for_each(Vec::clear);
        self.next = 0;
    }
}

/// The middle share of the drawn values.
fn interval(drawn: &mut [f64], confidence: f64, least: usize) -> Interval {
    if drawn.len() < least {
        return None;
    }
    drawn.sort_unstable_by(f64::total_cmp);
    let last = (drawn.len() - 1) as f64;
    let at = |share: f64| {
        let place = share * last;
        let (below, within) = (place.floor(), place.fract());
        let next = drawn[(below as usize + 1).min(drawn.len() - 1)];
        drawn[below as usize] + within * (next - drawn[below as usize])
    };
    let outside = (1.0 - confidence) / 2.0;
    Some([at(outside), at(1.0 - outside)])
}

impl Work for Bootstrap {
    fn step(&mut self) -> bool {
        const RESAMPLES_PER_SLICE: u64 = 10;
        // Whoever is given a finished chunk asks once more.
        if self.intervals.len() == self.blocks.metrics() {
            return false;
        }
        let end = self.resamples.min(self.next + RESAMPLES_PER_SLICE);
        while self.next < end {
            self.resample();
            self.next += 1;
        }
        if self.next == self.resamples {
            self.close_metric();
        }
        self.intervals.len() < self.blocks.metrics()
    }

    fn done(&self) -> u64 {
        0
    }
}
