//! The Sobol sequence: points that fill a cube more evenly than random ones.

use super::directions::DIRECTIONS;
use super::stream::{Stream, probability};
use crate::lanes::{Column, TILE};

/// Binary digits of a point's number, enough for 2^32 points.
const DIGITS: usize = 32;

/// One coordinate of the sequence, shifted by a seed.
///
/// # Formula
///
/// `x_n = ⊕ v_k` over the binary digits k of `n ⊕ ⌊n/2⌋` (Gray code), then `x_n ⊕ s` with a random shift s: every
/// seed gives another sequence, and each is as even as the first.
///
/// # Source
///
/// Sobol', *USSR Comput. Math. Math. Phys.* 7(4), 1967; Bratley and Fox, *Algorithm 659*, ACM TOMS 14(1), 1988,
/// for the recurrence of the direction numbers; Antonov and Saleev, 1979, for the Gray code; L'Ecuyer and Lemieux,
/// *Recent advances in randomized quasi-Monte Carlo methods*, 2002, for the digital shift.
#[derive(Debug, Clone)]
pub(crate) struct Coordinate {
    directions: [u64; DIGITS],
    /// The points of the first tile, which all other tiles repeat with other leading digits.
    first_tile: [u64; TILE],
    shift: u64,
}

impl Coordinate {
    /// The coordinate `dimension`, of which there are 100, shifted by `seed`.
    pub fn new(dimension: usize, seed: u64) -> Self {
        let shift = Stream::new(!seed, dimension as u64).bits(0);
        Self::shifted(dimension, shift)
    }

    fn shifted(dimension: usize, shift: u64) -> Self {
        let directions = directions(dimension);
        let mut first_tile = [0; TILE];
        for (n, point) in first_tile.iter_mut().enumerate() {
            *point = unshifted(&directions, n as u64);
        }
        Self { directions, first_tile, shift }
    }

    /// The coordinates of a tile of points from `first` on, a multiple of the size of a tile.
    #[inline(always)]
    pub fn fill(&self, first: u64, column: &mut Column) {
        let leading = unshifted(&self.directions, first) ^ self.shift;
        for i in 0..TILE {
            column[i] = probability(leading ^ self.first_tile[i]);
        }
    }
}

/// The binary fraction of a point, as the leading digits of 64.
fn unshifted(directions: &[u64; DIGITS], n: u64) -> u64 {
    let gray = n ^ (n >> 1);
    let digits = directions.iter().enumerate();
    digits.filter(|(k, _)| gray >> k & 1 == 1).fold(0, |point, (_, v)| point ^ v)
}

/// v_k = m_k / 2^k as binary fractions.
fn directions(dimension: usize) -> [u64; DIGITS] {
    let mut m = [1u64; DIGITS];
    if let Some((polynomial, first)) = dimension.checked_sub(1).map(|index| DIRECTIONS[index]) {
        let degree = first.len();
        for (m, first) in m.iter_mut().zip(first) {
            *m = u64::from(*first);
        }
        for k in degree..DIGITS {
            m[k] = m[k - degree] ^ (m[k - degree] << degree);
            for j in 1..degree {
                let coefficient = u64::from(polynomial >> (degree - j) & 1);
                m[k] ^= coefficient * (m[k - j] << j);
            }
        }
    }
    std::array::from_fn(|k| m[k] << (63 - k))
}

#[cfg(test)]
mod tests {
    use super::{Coordinate, DIRECTIONS};
    use crate::lanes::{Column, TILE};

    /// The first points of `scipy.stats.qmc.Sobol(100, scramble=False)`.
    const SCIPY: &str = include_str!("../../tests/fixtures/sobol.json");

    #[test]
    fn the_points_are_those_of_scipy() {
        let points: Vec<Vec<f64>> = serde_json::from_str(SCIPY).unwrap();
        for dimension in 0..=DIRECTIONS.len() {
            let coordinate = Coordinate::shifted(dimension, 0);
            for (tile, points) in points.chunks(TILE).enumerate() {
                let mut column = Column::of(0.0);
                coordinate.fill((tile * TILE) as u64, &mut column);
                for (i, point) in points.iter().enumerate() {
                    let half_part = 2f64.powi(-53);
                    assert_eq!(column[i] - half_part, point[dimension], "dimension {dimension}, point {i}");
                }
            }
        }
    }

    #[test]
    fn every_shift_keeps_one_point_in_each_of_equal_parts() {
        for seed in 0..5 {
            for dimension in [0, 1, 7, 99] {
                let coordinate = Coordinate::new(dimension, seed);
                let mut seen = [false; 256];
                for tile in 0..4 {
                    let mut column = Column::of(0.0);
                    coordinate.fill(tile * TILE as u64, &mut column);
                    column.iter().for_each(|x| seen[(x * 256.0) as usize] = true);
                }
                assert!(seen.iter().all(|seen| *seen), "seed {seed}, dimension {dimension}");
            }
        }
    }
}
