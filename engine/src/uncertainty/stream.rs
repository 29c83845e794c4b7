//! Random numbers by their place: the number of a sample depends on seed, input and sample alone.

use crate::lanes::{Column, TILE};

/// A stream of probabilities for one input.
///
/// # Source
///
/// SplitMix64: Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014, with the
/// finalizer Mix13 of Stafford, *Better bit mixing*, 2011. The state of step i is `key + i · γ`, so that any place
/// of the stream can be gone to directly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    key: u64,
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    /// The stream of one input of a run; streams of other inputs or seeds start elsewhere in the cycle.
    pub fn new(seed: u64, input: u64) -> Self {
        Self { key: mixed(mixed(seed.wrapping_add(GAMMA)) ^ input.wrapping_mul(GAMMA).wrapping_add(1)) }
    }

    /// Another stream of the same input.
    pub fn second(self) -> Self {
        Self { key: mixed(!self.key) }
    }

    /// The bits of a sample.
    #[inline(always)]
    pub fn bits(self, sample: u64) -> u64 {
        mixed(self.key.wrapping_add(sample.wrapping_add(1).wrapping_mul(GAMMA)))
    }

    /// The probabilities of a tile of samples, from `first` on.
    #[inline(always)]
    pub fn fill(self, first: u64, column: &mut Column) {
        for i in 0..TILE {
            column[i] = probability(self.bits(first + i as u64));
        }
    }

    /// A whole number below `bound`, which is not 0. The excess of small numbers is below bound / 2^64.
    pub fn below(self, sample: u64, bound: usize) -> usize {
        let wide = u128::from(self.bits(sample)) * bound as u128;
        (wide >> 64) as usize
    }
}

/// The middle of one of 2^52 equal parts of the interval from 0 to 1: never 0, never 1.
#[inline(always)]
pub(crate) fn probability(bits: u64) -> f64 {
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const HALF_PART: f64 = 1.0 / (1u64 << 53) as f64;
    f64::from_bits((bits >> 12) | ONE) - (1.0 - HALF_PART)
}

#[inline(always)]
fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Column, Stream, TILE, probability};

    #[test]
    fn probabilities_are_strictly_between_zero_and_one() {
        assert_eq!(probability(0), 2f64.powi(-53));
        assert_eq!(probability(u64::MAX), 1.0 - 2f64.powi(-53));
    }

    #[test]
    fn a_tile_is_a_piece_of_the_stream() {
        let stream = Stream::new(7, 3);
        let mut column = Column::of(0.0);
        stream.fill(1000, &mut column);
        for i in 0..TILE {
            assert_eq!(column[i], probability(stream.bits(1000 + i as u64)));
        }
    }

    #[test]
    fn streams_of_two_inputs_are_uniform_and_not_correlated() {
        let (a, b) = (Stream::new(1, 0), Stream::new(1, 1));
        let n = 100_000;
        let (mut mean, mut square, mut product) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let (x, y) = (probability(a.bits(i)) - 0.5, probability(b.bits(i)) - 0.5);
            mean += x;
            square += x * x;
            product += x * y;
        }
        let n = n as f64;
        // Four standard errors.
        assert!((mean / n).abs() < 4.0 * (1.0 / 12.0 / n).sqrt());
        assert!((square / n - 1.0 / 12.0).abs() < 4.0 * (1.0 / 180.0 / n).sqrt());
        assert!((product / n).abs() < 4.0 / 12.0 / n.sqrt());
    }
}
