//! Fine bins over all numbers, densest where the values are.

use crate::lanes::{Column, TILE};

/// How many bins there are.
pub(crate) const BINS: usize = 8192;

/// Where values are counted.
///
/// # Formula
///
/// With `t = (x − c) / s`, c the median and s the distance of the quartiles, seven eighths of the bins are equally wide,
/// 1.1e-3 · s, and reach to |t| = 4, beyond which lies one of 15 million numbers of a normal distribution. The others
/// reach to infinity: the share `u / (4 + u)` of them lies below `u = |t| − 4`, so that no value is too large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grid {
    /// Around a centre, with a scale.
    Around { centre: f64, scale: f64 },
    /// A bin for each whole number from 0 on.
    Whole,
}

const HALF: f64 = BINS as f64 / 2.0;
/// Distances up to which bins are equally wide, and how many there are of them on either side.
const REACH: f64 = 4.0;
const EVEN: f64 = HALF * 7.0 / 8.0;

impl Grid {
    /// The grid for values like these, which are reordered.
    pub fn of(values: &mut [f64], whole: bool) -> Self {
        if whole {
            return Self::Whole;
        }
        let Some(last) = values.len().checked_sub(1) else {
            return Self::Around { centre: 0.0, scale: 1.0 };
        };
        let mut order = |rank: usize| *values.select_nth_unstable_by(rank, f64::total_cmp).1;
        let (low, centre, high) = (order(last / 4), order(last / 2), order(last - last / 4));
        let (least, greatest) = (order(0), order(last));
        let scales = [high - low, greatest - least, centre.abs() * 1e-6, 1.0];
        let usable = |scale: &f64| *scale > centre.abs() * 1e-12 && scale.is_finite() && *scale > f64::MIN_POSITIVE;
        Self::Around { centre, scale: scales.into_iter().find(usable).unwrap_or(1.0) }
    }

    /// Values as distances from the centre, in scales; the distance of a NaN is NaN.
    #[inline(always)]
    pub fn distances(&self, values: &Column) -> Column {
        let (centre, scale) = self.unit();
        let per_scale = 1.0 / scale;
        let mut distances = Column::of(0.0);
        for i in 0..TILE {
            distances[i] = (values[i] - centre) * per_scale;
        }
        distances
    }

    /// The bins of a column of distances; the bin of a NaN is [`BINS`].
    #[inline(always)]
    pub fn bins(&self, distances: &Column) -> [u16; TILE] {
        let mut bins = [0; TILE];
        match self {
            Self::Around { .. } => {
                for i in 0..TILE {
                    let t = distances[i] as f32;
                    let beyond = t.abs() - REACH as f32;
                    let outer = ((HALF - EVEN) as f32).mul_add(beyond / (REACH as f32 + beyond), EVEN as f32);
                    let place = if beyond > 0.0 { HALF as f32 + outer.copysign(t) } else { near(t) };
                    bins[i] = bin(t, place);
                }
            }
            Self::Whole => {
                for i in 0..TILE {
                    let t = distances[i] as f32;
                    bins[i] = bin(t, t + 0.5);
                }
            }
        }
        bins
    }

    /// The bins of distances all of which [`are_near`].
    #[inline(always)]
    pub fn bins_nearby(distances: &Column) -> [u16; TILE] {
        let mut bins = [0; TILE];
        for i in 0..TILE {
            bins[i] = last_bits(near(distances[i] as f32) - 0.5);
        }
        bins
    }

    /// The bin of a value.
    pub fn bin_of(&self, value: f64) -> usize {
        usize::from(self.bins(&self.distances(&Column::of(value)))[0])
    }

    /// Centre and scale.
    pub fn unit(&self) -> (f64, f64) {
        match *self {
            Self::Around { centre, scale } => (centre, scale),
            Self::Whole => (0.0, 1.0),
        }
    }

    /// Where a bin begins.
    pub fn edge(&self, bin: usize) -> f64 {
        match *self {
            Self::Around { centre, scale } => {
                let place = bin as f64 - HALF;
                let outer = (place.abs() - EVEN) / (HALF - EVEN);
                let t = if outer > 0.0 { REACH + REACH * outer / (1.0 - outer) } else { place.abs() * REACH / EVEN };
                centre + scale * t.copysign(place)
            }
            Self::Whole => bin as f64,
        }
    }
}

/// Whether no distance is absent or beyond the bins that are equally wide.
#[inline(always)]
pub(crate) fn are_near(distances: &Column) -> bool {
    // Less, so that the uppermost is within the bins, too.
    distances.iter().fold(true, |all, t| all & (t.abs() < REACH))
}

#[inline(always)]
fn near(t: f32) -> f32 {
    t.mul_add((EVEN / REACH) as f32, HALF as f32)
}

/// The whole part of a place, as the last bits of a number in which one is the last bit.
///
/// Single precision is enough to tell bins apart: an edge is off by at most 1/1000 of a bin.
#[inline(always)]
fn bin(distance: f32, place: f32) -> u16 {
    const LAST: f32 = BINS as f32 - 1.0;
    let floor = place - 0.5;
    let floor = if floor > 0.0 { floor } else { 0.0 };
    let floor = if floor < LAST { floor } else { LAST };
    // Infinity is a distance beyond single precision.
    let floor = if distance == f32::INFINITY { LAST } else { floor };
    let known = if distance.is_nan() { BINS as f32 } else { floor };
    last_bits(known)
}

#[inline(always)]
fn last_bits(whole: f32) -> u16 {
    const TWO_TO_23: f32 = 8_388_608.0;
    (whole + TWO_TO_23).to_bits() as u16
}

#[cfg(test)]
mod tests {
    use super::{BINS, Grid};

    #[test]
    fn a_value_lies_between_the_edges_of_its_bin() {
        let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i).powi(2)).collect();
        let grid = Grid::of(&mut values, false);
        for value in [-1e200, -5.0, 0.0, 77.3, 250_000.0, 1e6, 1e18] {
            let bin = grid.bin_of(value);
            assert!(bin < BINS);
            let (low, high) = (grid.edge(bin), grid.edge(bin + 1));
            let slack = 1e-3 * (high.min(1e100) - low.max(-1e100));
            assert!(low - slack <= value && value <= high + slack, "{low} {value} {high}");
        }
    }

    #[test]
    fn absent_values_have_a_bin_of_their_own() {
        let grid = Grid::of(&mut [1.0, 2.0], false);
        assert_eq!(grid.bin_of(f64::NAN), BINS);
        assert_eq!(Grid::Whole.bin_of(f64::NAN), BINS);
        assert_eq!(Grid::Whole.bin_of(7.0), 7);
    }

    #[test]
    fn values_that_are_all_alike_have_a_grid() {
        for value in [0.0, 4e8, -1e-300, 1e300] {
            let grid = Grid::of(&mut [value; 9], false);
            let bin = grid.bin_of(value);
            assert!((grid.edge(bin) - value).abs() <= 1e-3 * value.abs().max(1.0), "{value} {grid:?}");
        }
    }
}
