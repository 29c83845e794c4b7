//! Arithmetic on many numbers at once.
//!
//! Loops over a [`Column`] have a fixed length, no branches and no calls, so that the compiler turns them into
//! vector instructions, of whatever width the function around them is compiled for. Only operations that IEEE 754
//! rounds exactly are used (+ − × ÷ √ and the fused `mul_add`, where it is written): every width gives the same bits.

mod elementary;

pub(crate) use elementary::{circle, exp, ln, power};

/// Numbers that are worked on together: enough to keep the widest units busy, few enough for the first-level
/// cache to hold the columns of an analysis.
pub(crate) const TILE: usize = 64;

/// One number for each sample of a tile.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Column([f64; TILE]);

impl Column {
    /// The same number everywhere.
    pub const fn of(value: f64) -> Self {
        Self([value; TILE])
    }

    /// Number by number.
    #[inline(always)]
    pub fn each(number: impl FnMut(usize) -> f64) -> Self {
        Self(std::array::from_fn(number))
    }
}

impl std::ops::Deref for Column {
    type Target = [f64; TILE];

    #[inline(always)]
    fn deref(&self) -> &[f64; TILE] {
        &self.0
    }
}

impl std::ops::DerefMut for Column {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f64; TILE] {
        &mut self.0
    }
}

/// A polynomial with ascending coefficients: even and odd powers apart, by Horner's rule in the square, which halves
/// the chain of operations that wait for each other.
#[inline(always)]
pub(crate) fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let square = x * x;
    let (mut last, mut before) = (coefficients[N - 1], coefficients[N - 2]);
    for i in (0..N - 2).rev() {
        (last, before) = (before, last.mul_add(square, coefficients[i]));
    }
    last.mul_add(x, before)
}
