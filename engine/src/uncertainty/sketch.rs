//! What is kept of the values of one metric: counts, moments, extremes. Its size does not grow with the samples.

use multiversion::multiversion;

use super::grid::{BINS, Grid, are_near};
use crate::lanes::{Column, TILE};

/// Partial sums, so that sums over a column need no order but that of the lanes.
const SUMS: usize = 16;

/// Samples of one chunk, at most 65,535.
#[derive(Debug, Clone)]
pub(crate) struct ChunkSketch {
    grid: Grid,
    /// One more than bins: the last counts what is absent. Of a grid of whole numbers, see [`Slots`].
    counts: Vec<u16>,
    moments: Moments,
}

/// Partial sums of values, and their extremes. A grid of whole numbers does without: its counts say all.
#[derive(Debug, Clone, Copy)]
struct Moments {
    sums: [f64; SUMS],
    squares: [f64; SUMS],
    least: [f64; SUMS],
    greatest: [f64; SUMS],
    negative: u64,
}

impl Moments {
    fn new() -> Self {
        Self {
            sums: [0.0; SUMS],
            squares: [0.0; SUMS],
            least: [f64::INFINITY; SUMS],
            greatest: [f64::NEG_INFINITY; SUMS],
            negative: 0,
        }
    }

    /// Takes in values; the distance of one that is absent is 0.
    #[inline(always)]
    fn take(&mut self, values: &Column, distances: &Column) {
        let Self { mut sums, mut squares, mut least, mut greatest, .. } = *self;
        let mut negative = [0; SUMS];
        for start in (0..TILE).step_by(SUMS) {
            for lane in 0..SUMS {
                let (value, t) = (values[start + lane], distances[start + lane]);
                sums[lane] += t;
                squares[lane] = t.mul_add(t, squares[lane]);
                least[lane] = if value < least[lane] { value } else { least[lane] };
                greatest[lane] = if value > greatest[lane] { value } else { greatest[lane] };
                negative[lane] += u64::from(value < 0.0);
            }
        }
        let negative = self.negative + negative.iter().sum::<u64>();
        *self = Self { sums, squares, least, greatest, negative };
    }
}

/// Where the whole numbers below [`Slots::SPREAD`] are counted: in eight places by turns, because a number that is
/// added to again and again has to wait for itself each time.
struct Slots;

impl Slots {
    const SPREAD: u16 = 1024;
    const TURNS: u16 = 8;
    const COUNT: usize = BINS + 1 + (Self::SPREAD * (Self::TURNS - 1)) as usize;

    #[inline(always)]
    fn of(mut bins: [u16; TILE]) -> [u16; TILE] {
        for (sample, bin) in bins.iter_mut().enumerate() {
            let spread = bin.wrapping_mul(Self::TURNS) + sample as u16 % Self::TURNS;
            *bin = if *bin < Self::SPREAD { spread } else { *bin + Self::SPREAD * (Self::TURNS - 1) };
        }
        bins
    }

    /// The counts of the bins.
    fn gathered(slots: &[u16]) -> Vec<u16> {
        let (spread, others) = slots.split_at(usize::from(Self::SPREAD * Self::TURNS));
        let spread = spread.chunks(usize::from(Self::TURNS)).map(|turns| turns.iter().sum());
        spread.chain(others.iter().copied()).collect()
    }
}

impl ChunkSketch {
    pub fn new(grid: Grid) -> Self {
        let counts = if grid == Grid::Whole { Slots::COUNT } else { BINS + 1 };
        Self { grid, counts: vec![0; counts], moments: Moments::new() }
    }

    /// Takes in the values of a tile; NaN is absent.
    #[inline(always)]
    pub fn take(&mut self, values: &Column) {
        let distances = self.grid.distances(values);
        let bins = match self.grid {
            Grid::Whole => Slots::of(self.grid.bins(&distances)),
            Grid::Around { .. } if are_near(&distances) => {
                self.moments.take(values, &distances);
                Grid::bins_nearby(&distances)
            }
            Grid::Around { .. } => {
                let mut present = distances;
                present.iter_mut().for_each(|t| *t = if t.is_nan() { 0.0 } else { *t });
                self.moments.take(values, &present);
                self.grid.bins(&distances)
            }
        };
        let counts = &mut self.counts[..];
        for bin in bins {
            counts[usize::from(bin)] += 1;
        }
    }

    /// Takes in the values of a tile of which only some count; the others must be NaN and are not absent.
    pub fn take_some(&mut self, values: &Column, uncounted: usize) {
        self.take(values);
        if let Some(absent) = self.counts.last_mut() {
            *absent -= uncounted as u16;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add(counts: &mut [u64], more: &[u16]) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count += u64::from(*more);
    }
}

/// Samples of all chunks so far, merged in their order.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    pub grid: Grid,
    counts: Vec<u64>,
    sum: f64,
    square: f64,
    pub least: f64,
    pub greatest: f64,
    pub negative: u64,
}

impl Sketch {
    pub fn new(grid: Grid) -> Self {
        let (least, greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { grid, counts: vec![0; BINS + 1], sum: 0.0, square: 0.0, least, greatest, negative: 0 }
    }

    /// Adds a chunk.
    pub fn merge(&mut self, chunk: &ChunkSketch) {
        if self.grid == Grid::Whole {
            let counts = Slots::gathered(&chunk.counts);
            add(&mut self.counts, &counts);
            return self.add_whole_numbers(&counts[..BINS]);
        }
        add(&mut self.counts, &chunk.counts);
        let Moments { sums, squares, least, greatest, negative } = &chunk.moments;
        self.sum += sums.iter().sum::<f64>();
        self.square += squares.iter().sum::<f64>();
        self.least = least.iter().fold(self.least, |least, value| least.min(*value));
        self.greatest = greatest.iter().fold(self.greatest, |greatest, value| greatest.max(*value));
        self.negative += negative;
    }

    fn add_whole_numbers(&mut self, counts: &[u16]) {
        for (value, count) in (0u32..).zip(counts).filter(|(_, count)| **count > 0) {
            let (value, count) = (f64::from(value), f64::from(*count));
            self.sum += value * count;
            self.square += value * value * count;
            self.least = self.least.min(value);
            self.greatest = self.greatest.max(value);
        }
    }

    /// How many samples have a value.
    pub fn present(&self) -> u64 {
        self.counts[..BINS].iter().sum()
    }

    /// How many samples have none.
    pub fn absent(&self) -> u64 {
        self.counts[BINS]
    }

    /// The mean.
    ///
    /// # Formula
    ///
    /// `c + s · Σt / n` with `t = (x − c) / s`: subtracting a typical value first keeps the digits of the variance.
    pub fn mean(&self) -> f64 {
        let (centre, scale) = self.grid.unit();
        centre + scale * (self.sum / self.present() as f64)
    }

    /// The standard deviation of the samples, 0 where there is only one.
    ///
    /// # Formula
    ///
    /// `s · √((Σt² − (Σt)² / n) / (n − 1))`
    pub fn standard_deviation(&self) -> f64 {
        let (_, scale) = self.grid.unit();
        let n = self.present() as f64;
        let spread = (self.square - self.sum * self.sum / n).max(0.0);
        if n > 1.0 { scale * (spread / (n - 1.0)).sqrt() } else { 0.0 }
    }

    /// The cumulative distribution.
    pub fn distribution(&self) -> Cumulative<'_> {
        let mut sum = 0;
        let counts = self.counts[..BINS].iter();
        let up_to = counts.map(|count| {
            sum += count;
            sum
        });
        Cumulative { sketch: self, up_to: up_to.collect() }
    }
}

/// Counts up to each bin, itself included.
pub(crate) struct Cumulative<'a> {
    sketch: &'a Sketch,
    up_to: Vec<u64>,
}

impl Cumulative<'_> {
    /// The value below which a share of the samples lies: within its bin as if the samples of the bin were evenly
    /// spread; for whole numbers the first with at least that share at or below it.
    pub fn quantile(&self, share: f64) -> f64 {
        let Sketch { grid, least, greatest, .. } = *self.sketch;
        let wanted = share * self.up_to[BINS - 1] as f64;
        let reached = |up_to: &u64| *up_to > 0 && *up_to as f64 >= wanted;
        let bin = self.up_to.partition_point(|up_to| !reached(up_to));
        if bin == BINS {
            return greatest;
        }
        let (low, high) = (grid.edge(bin).clamp(least, greatest), grid.edge(bin + 1).clamp(least, greatest));
        let count = self.sketch.counts[bin] as f64;
        let below = self.up_to[bin] as f64 - count;
        let within = if grid == Grid::Whole { 0.0 } else { (wanted - below) / count };
        low + (high - low) * within.clamp(0.0, 1.0)
    }

    /// Counts between edges near equal distances, as (edges, counts, below, above). No sample is split: every edge is
    /// the edge of a fine bin, or a whole number.
    pub fn histogram(&self, bins: usize) -> (Vec<f64>, Vec<u64>, u64, u64) {
        let (low, high) = (self.quantile(0.001), self.quantile(0.999));
        let value = |edge: usize| low + (high - low) * edge as f64 / bins as f64;
        let mut fine: Vec<usize> = (0..=bins).map(|edge| self.sketch.nearest_edge(value(edge))).collect();
        if let Some(last) = fine.last_mut() {
            // What lies at the upper end belongs to the last bin.
            *last += 1;
        }
        fine.dedup();
        let counts = &self.sketch.counts;
        let between = fine.windows(2).map(|pair| counts[pair[0]..pair[1]].iter().sum()).collect();
        let below = counts[..fine[0]].iter().sum();
        let above = counts[fine[fine.len() - 1]..BINS].iter().sum();
        let edges = fine.into_iter().map(|bin| self.sketch.grid.edge(bin).clamp(f64::MIN, f64::MAX)).collect();
        (edges, between, below, above)
    }
}

impl Sketch {
    /// The fine bin that begins nearest to a value, below the last.
    fn nearest_edge(&self, value: f64) -> usize {
        let bin = self.grid.bin_of(value).min(BINS - 2);
        if self.grid == Grid::Whole {
            return bin;
        }
        let (low, high) = (self.grid.edge(bin), self.grid.edge(bin + 1));
        if value - low <= high - value { bin } else { bin + 1 }
    }
}
