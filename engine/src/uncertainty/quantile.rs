//! From probabilities to values: the quantile functions of the distributions.

use statrs::function::beta::{beta_reg, ln_beta};

use super::distribution::{Distribution, Outcome};
use super::normal;
use super::variates::Triangle;
use crate::lanes::{Column, TILE, exp};
use crate::solve::{Point, ascending_root};

/// A distribution, prepared to turn columns of numbers into values.
#[derive(Debug, Clone)]
pub(crate) enum Quantile {
    Normal { mean: f64, standard_deviation: f64 },
    Lognormal { median: f64, sigma: f64 },
    Uniform { min: f64, width: f64 },
    Triangular(Triangular),
    Pert { min: f64, width: f64, table: Box<ScoreTable> },
    Discrete { values: Vec<f64>, ends: Vec<f64> },
}

impl Quantile {
    /// Prepares a distribution that passed its check.
    pub fn of(distribution: &Distribution) -> Self {
        match *distribution {
            Distribution::Normal { mean, standard_deviation } => Self::Normal { mean, standard_deviation },
            Distribution::Lognormal { median, sigma } => Self::Lognormal { median, sigma },
            Distribution::Uniform { min, max } => Self::Uniform { min, width: max - min },
            Distribution::Triangular { min, mode, max } => Self::Triangular(Triangular::new(min, mode, max)),
            Distribution::Pert { min, mode, max } => {
                let width = max - min;
                let exponents = (1.0 + 4.0 * (mode - min) / width, 1.0 + 4.0 * (max - mode) / width);
                Self::Pert { min, width, table: Box::new(ScoreTable::beta(exponents)) }
            }
            Distribution::Discrete { ref outcomes } => discrete(outcomes),
        }
    }

    /// Turns probabilities into values.
    #[inline(always)]
    pub fn of_probabilities(&self, column: &mut Column) {
        match self {
            Self::Normal { .. } | Self::Lognormal { .. } | Self::Pert { .. } => {
                normal::quantiles(column);
                self.of_scores(column);
            }
            Self::Uniform { min, width } => {
                for i in 0..TILE {
                    column[i] = width.mul_add(column[i], *min);
                }
            }
            Self::Triangular(triangular) => triangular.values(column),
            Self::Discrete { values, ends } => {
                let given = *column;
                *column = Column::of(values[0]);
                for (value, end) in values[1..].iter().zip(ends) {
                    for i in 0..TILE {
                        column[i] = if given[i] >= *end { *value } else { column[i] };
                    }
                }
            }
        }
    }

    /// Turns standard normal numbers into values; `probability` is the table of [`ScoreTable::probabilities`].
    #[inline(always)]
    pub fn of_correlated_scores(&self, column: &mut Column, probability: &ScoreTable) {
        match self {
            Self::Normal { .. } | Self::Lognormal { .. } | Self::Pert { .. } => self.of_scores(column),
            Self::Uniform { .. } | Self::Triangular(_) | Self::Discrete { .. } => {
                probability.values(column);
                self.of_probabilities(column);
            }
        }
    }

    /// For the distributions that are functions of a standard normal number.
    #[inline(always)]
    pub fn of_scores(&self, column: &mut Column) {
        match self {
            Self::Normal { mean, standard_deviation } => {
                for i in 0..TILE {
                    column[i] = standard_deviation.mul_add(column[i], *mean);
                }
            }
            Self::Lognormal { median, sigma } => {
                for i in 0..TILE {
                    column[i] = median * exp(sigma * column[i]);
                }
            }
            Self::Pert { min, width, table } => {
                table.values(column);
                for i in 0..TILE {
                    column[i] = min + width * column[i];
                }
            }
            Self::Uniform { .. } | Self::Triangular(_) | Self::Discrete { .. } => {}
        }
    }
}

/// A triangular distribution.
///
/// # Formula
///
/// `min + √(p · w · (mode − min))` up to the mode, `max − √((1 − p) · w · (max − mode))` from there, w = max − min.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Triangular {
    /// The same distribution, to be drawn from two probabilities.
    pub triangle: Triangle,
    max: f64,
    width: f64,
    below_mode: f64,
}

impl Triangular {
    fn new(min: f64, mode: f64, max: f64) -> Self {
        let width = max - min;
        Self { triangle: Triangle::new(min, mode, max), max, width, below_mode: (mode - min) / width }
    }

    #[inline(always)]
    fn values(&self, column: &mut Column) {
        let Triangle { min, rising, falling } = self.triangle;
        for i in 0..TILE {
            let p = column[i];
            let up = p < self.below_mode;
            let square = if up { p * (self.width * rising) } else { (1.0 - p) * (self.width * falling) };
            let distance = square.sqrt();
            column[i] = if up { min + distance } else { self.max - distance };
        }
    }
}

fn discrete(outcomes: &[Outcome]) -> Quantile {
    let total: f64 = outcomes.iter().map(|outcome| outcome.weight).sum();
    let mut below = 0.0;
    let mut ends = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        below += outcome.weight;
        ends.push(below / total);
    }
    Quantile::Discrete { values: outcomes.iter().map(|outcome| outcome.value).collect(), ends }
}

/// A smooth function of a standard normal number, between 0 and 1, as cubic pieces.
///
/// Piece by piece it agrees with the function and its slope at both ends: with 1,024 pieces the error is below
/// 1e-9, and beyond ±8.5, where one drawn number in 10^17 lies, the function stays at its ends.
///
/// # Source
///
/// Cubic Hermite interpolation, error h⁴/384 · max |f⁗|: Stoer and Bulirsch, *Introduction to Numerical Analysis*,
/// section 2.1.5.
#[derive(Debug, Clone)]
pub(crate) struct ScoreTable {
    /// Value and slope (per piece) at each node.
    values: [f64; NODES],
    slopes: [f64; NODES],
}

const PIECES: usize = 1024;
/// One node more than pieces, filled up to a power of two so that a mask keeps every index inside.
const NODES: usize = 2 * PIECES;
const END: f64 = 8.5;
const PIECE: f64 = 2.0 * END / PIECES as f64;

impl ScoreTable {
    /// Φ itself.
    pub fn probabilities() -> Self {
        Self::tabulated(|z| (normal::probability(z), normal::density(z)))
    }

    /// The beta distribution on 0 to 1 with two exponents, both at least 1.
    fn beta((a, b): (f64, f64)) -> Self {
        let mut last = 0.0;
        Self::tabulated(|z| {
            let x = beta_quantile(a, b, z, last);
            last = x;
            let log_density = (a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p() - ln_beta(a, b);
            (x, normal::density(z) / log_density.exp())
        })
    }

    fn tabulated(mut function: impl FnMut(f64) -> (f64, f64)) -> Self {
        let mut table = Self { values: [0.0; NODES], slopes: [0.0; NODES] };
        for node in 0..=PIECES {
            let (value, slope) = function(node as f64 * PIECE - END);
            table.values[node] = value;
            table.slopes[node] = if slope.is_finite() { slope * PIECE } else { 0.0 };
        }
        table
    }

    /// The function of each number of a column.
    #[inline(always)]
    pub fn values(&self, column: &mut Column) {
        const ROUNDING: f64 = 4_503_599_627_370_496.0;
        for i in 0..TILE {
            let at = ((column[i] + END) * (1.0 / PIECE)).clamp(0.0, PIECES as f64 - 0.5);
            let shifted = (at - 0.5).max(0.0) + ROUNDING;
            let node = (shifted.to_bits() & (NODES as u64 / 2 - 1)) as usize;
            let t = at - (shifted - ROUNDING);
            let (low, high) = (self.values[node], self.values[node + 1]);
            let (rise, fall) = (self.slopes[node], self.slopes[node + 1]);
            let step = high - low;
            let square = 3.0 * step - 2.0 * rise - fall;
            let cube = rise + fall - 2.0 * step;
            column[i] = (low + t * (rise + t * (square + t * cube))).clamp(0.0, 1.0);
        }
    }
}

/// The value below which the share Φ(z) of a beta distribution lies; from the nearer tail, so that small shares
/// keep their digits. `least` is a lower bound.
fn beta_quantile(a: f64, b: f64, z: f64, least: f64) -> f64 {
    if z > 0.0 {
        return 1.0 - beta_quantile(b, a, -z, 0.0);
    }
    let share = normal::probability(z);
    let log_beta = ln_beta(a, b);
    let excess = |x: f64| {
        let slope = ((a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p() - log_beta).exp();
        Point { value: beta_reg(a, b, x) - share, slope }
    };
    // The leading term of the series at 0 is where the root lies in the tail.
    let start = (share.ln() + a.ln() + log_beta) / a;
    ascending_root(excess, least, 1.0, start.exp()).map_or(least, |root| root.at)
}

#[cfg(test)]
mod tests {
    use super::{Column, Distribution, Outcome, Quantile, ScoreTable, TILE};
    use crate::uncertainty::normal;

    const SCIPY: &str = include_str!("../../tests/fixtures/distributions.json");

    fn at(quantile: &Quantile, p: f64) -> f64 {
        let mut column = Column::of(p);
        quantile.of_probabilities(&mut column);
        column[TILE - 1]
    }

    #[test]
    fn quantiles_are_those_of_scipy() {
        let oracle: serde_json::Value = serde_json::from_str(SCIPY).unwrap();
        for case in oracle["distributions"].as_array().unwrap() {
            let distribution: Distribution = serde_json::from_value(case["distribution"].clone()).unwrap();
            let quantile = Quantile::of(&distribution);
            let size = case["standard_deviation"].as_f64().unwrap();
            let probabilities = oracle["probabilities"].as_array().unwrap().iter();
            for (p, expected) in probabilities.zip(case["quantiles"].as_array().unwrap()) {
                let (value, expected) = (at(&quantile, p.as_f64().unwrap()), expected.as_f64().unwrap());
                let tolerance = if matches!(quantile, Quantile::Pert { .. }) { 1e-8 } else { 1e-12 };
                assert!(
                    (value - expected).abs() <= tolerance * size.max(expected.abs()),
                    "{distribution:?} at {p}: {value}, {expected}"
                );
            }
        }
    }

    #[test]
    fn an_even_ladder_of_probabilities_has_the_moments_of_scipy() {
        let oracle: serde_json::Value = serde_json::from_str(SCIPY).unwrap();
        for case in oracle["distributions"].as_array().unwrap() {
            let quantile = Quantile::of(&serde_json::from_value(case["distribution"].clone()).unwrap());
            let n = 100_000;
            let values: Vec<f64> = (0..n).map(|i| at(&quantile, (f64::from(i) + 0.5) / f64::from(n))).collect();
            let mean = values.iter().sum::<f64>() / f64::from(n);
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
            let (expected, size) = (case["mean"].as_f64().unwrap(), case["standard_deviation"].as_f64().unwrap());
            assert!((mean - expected).abs() < 1e-5 * size, "{case}: {mean}");
            assert!((variance.sqrt() / size - 1.0).abs() < 1e-4, "{case}: {variance}");
        }
    }

    #[test]
    fn the_table_of_probabilities_is_exact_to_nine_digits() {
        let table = ScoreTable::probabilities();
        for step in -900..900 {
            let z = f64::from(step) / 100.0 + 0.003;
            let mut column = Column::of(z);
            table.values(&mut column);
            assert!((column[0] - normal::probability(z)).abs() < 1e-9, "{z}");
        }
    }

    #[test]
    fn discrete_outcomes_come_in_proportion_to_their_weights() {
        let outcomes = vec![Outcome { value: 20.0, weight: 1.0 }, Outcome { value: 25.0, weight: 3.0 }];
        let quantile = Quantile::of(&Distribution::Discrete { outcomes });
        assert_eq!((at(&quantile, 0.2499), at(&quantile, 0.2501)), (20.0, 25.0));
        assert_eq!(at(&quantile, 1.0 - 1e-16), 25.0);
    }
}
