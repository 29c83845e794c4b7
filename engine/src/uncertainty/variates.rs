//! Random numbers of certain distributions, from two probabilities each, without their quantile functions.
//!
//! They take fewer operations than quantiles, but need numbers that are independent: the Sobol sequence is not.

use super::stream::{Stream, probability};
use crate::lanes::{Column, TILE, circle, ln};

const HALF_TILE: usize = TILE / 2;

/// Standard normal numbers for the tile of samples that begins with `first`, up to ±8.57. Sample i of the first half
/// and sample i of the second share what is drawn for both.
///
/// # Formula
///
/// `√(−2 · ln u) · cos θ` and `√(−2 · ln u) · sin θ`, with u and θ evenly distributed over 0 to 1 and a full turn.
///
/// # Source
///
/// Box and Muller, *A note on the generation of random normal deviates*, Ann. Math. Statist. 29, 1958.
#[inline(always)]
pub(crate) fn normals(stream: Stream, first: u64, column: &mut Column) {
    for i in 0..HALF_TILE {
        let (near, far) = (stream.bits(first + i as u64), stream.bits(first + (i + HALF_TILE) as u64));
        let radius = (-2.0 * ln(probability(near))).sqrt();
        let (sine, cosine) = circle(probability(far) - 0.5);
        // Half a turn so far; the last bit, which is not part of the probability, chooses the other half.
        let cosine = f64::from_bits(cosine.to_bits() ^ far << 63);
        column[i] = radius * cosine;
        column[i + HALF_TILE] = radius * sine;
    }
}

/// Triangular numbers.
///
/// # Formula
///
/// `min + (max − mode) · min(u, v) + (mode − min) · max(u, v)`: the points (min(u, v), max(u, v)) fill a triangle evenly,
/// and its corners have the values min, mode and max.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Triangle {
    pub min: f64,
    pub rising: f64,
    pub falling: f64,
}

impl Triangle {
    pub fn new(min: f64, mode: f64, max: f64) -> Self {
        Self { min, rising: mode - min, falling: max - mode }
    }

    /// Numbers for the tile of samples that begins with `first`.
    #[inline(always)]
    pub fn fill(&self, stream: Stream, first: u64, column: &mut Column) {
        let second = stream.second();
        for i in 0..TILE {
            let (u, v) = (probability(stream.bits(first + i as u64)), probability(second.bits(first + i as u64)));
            let (low, high) = if u < v { (u, v) } else { (v, u) };
            column[i] = high.mul_add(self.rising, low.mul_add(self.falling, self.min));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Stream, TILE, Triangle, normals};

    const TILES: u64 = 20_000;

    fn normal_probability(z: f64) -> f64 {
        statrs::function::erf::erfc(-z * std::f64::consts::FRAC_1_SQRT_2) / 2.0
    }

    fn drawn(fill: impl Fn(u64, &mut Column)) -> Vec<f64> {
        let mut all = Vec::new();
        for tile in 0..TILES {
            let mut column = Column::of(f64::NAN);
            fill(tile * TILE as u64, &mut column);
            all.extend_from_slice(&column[..]);
        }
        all
    }

    /// √n times the greatest distance between the share of numbers below x and the probability of that
    /// (Kolmogorov and Smirnov); 2.3 and more once in 20,000 times.
    fn distance(mut numbers: Vec<f64>, probability: impl Fn(f64) -> f64) -> f64 {
        numbers.sort_by(f64::total_cmp);
        let n = numbers.len() as f64;
        let ranks = numbers.iter().zip(0..);
        let off = ranks.map(|(x, rank)| (probability(*x) - (f64::from(rank) + 0.5) / n).abs() + 0.5 / n);
        off.fold(0.0, f64::max) * n.sqrt()
    }

    #[test]
    fn normal_numbers_are_normal() {
        let numbers = drawn(|first, column| normals(Stream::new(5, 2), first, column));
        let n = numbers.len() as f64;
        let moment = |power: i32| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / n;
        // Four standard errors: the variances of the powers are those of the normal distribution.
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
            assert!((moment(power) - expected).abs() < 4.0 * (variance / n).sqrt(), "{power}: {}", moment(power));
        }
        let beyond = numbers.iter().filter(|x| x.abs() > 4.0).count() as f64;
        let expected = 2.0 * normal_probability(-4.0) * n;
        assert!((beyond - expected).abs() < 4.0 * expected.sqrt(), "{beyond} beyond 4, not {expected}");
        assert!(distance(numbers, normal_probability) < 2.3);
    }

    #[test]
    fn normal_numbers_that_share_their_draws_are_independent() {
        let numbers = drawn(|first, column| normals(Stream::new(6, 0), first, column));
        let (mut product, mut squares, mut pairs) = (0.0, 0.0, 0.0);
        for tile in numbers.chunks(TILE) {
            for (a, b) in tile[..TILE / 2].iter().zip(&tile[TILE / 2..]) {
                product += a * b;
                squares += (a * a - 1.0) * (b * b - 1.0);
                pairs += 1.0f64;
            }
        }
        assert!((product / pairs).abs() < 4.0 / pairs.sqrt(), "{}", product / pairs);
        assert!((squares / pairs).abs() < 4.0 * 2.0 / pairs.sqrt(), "{}", squares / pairs);
    }

    #[test]
    fn triangular_numbers_are_triangular() {
        for (min, mode, max) in [(1.0, 2.0, 5.0), (0.0, 0.0, 1.0), (-3.0, 4.0, 4.0)] {
            let numbers = drawn(|first, column| Triangle::new(min, mode, max).fill(Stream::new(7, 1), first, column));
            assert!(numbers.iter().all(|x| min <= *x && *x <= max));
            let below = |x: f64| (x - min).powi(2) / ((max - min) * (mode - min));
            let above = |x: f64| 1.0 - (max - x).powi(2) / ((max - min) * (max - mode));
            let off = distance(numbers, |x| if x < mode { below(x) } else { above(x) });
            assert!(off < 2.3, "{min}, {mode}, {max}: {off}");
        }
    }
}
