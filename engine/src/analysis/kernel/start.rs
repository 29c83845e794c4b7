//! Where the search for a rate of return begins.

use crate::lanes::{Column, TILE, polynomial};

const TERMS: usize = 16;
/// Below this share of the investment earned back over the lifetime the rate is near −1.
pub(crate) const LEAST_RETURN: f64 = 0.3;

/// The rate of return as a polynomial, for one lifetime and one working capital per TCI: within 1e-6 of the rate for
/// usual lifetimes.
///
/// # Formula
///
/// `(1 + w) · r = q + P(u)` with u linear in `1 / (1 + c · q)` and between −1 and 1 for all q from
/// [`LEAST_RETURN`] / n on: P is what is left of the rate above its asymptote, interpolated at Chebyshev's nodes.
///
/// # Source
///
/// Trefethen, *Approximation Theory and Approximation Practice*, chapters 2 and 3.
#[derive(Debug, Clone)]
pub(crate) struct FittedStart {
    scale: f64,
    /// u = shift + stretch / (1 + scale · q)
    shift: f64,
    stretch: f64,
    polynomial: [f64; TERMS],
    per_asymptote: f64,
}

impl FittedStart {
    /// The start for a lifetime and a working capital.
    pub fn new(years: f64, working_capital: f64) -> Self {
        // Found by trying: this spreads what is left most evenly.
        let (scale, least) = (years / (2.0 + 40.0 * working_capital).min(12.0), LEAST_RETURN / years);
        let stretch = 2.0 * (1.0 + scale * least);
        let left = |u: f64| {
            let q = (stretch / (u + 1.0) - 1.0) / scale;
            rate(q, years, working_capital) * (1.0 + working_capital) - q
        };
        let per_asymptote = 1.0 / (1.0 + working_capital);
        Self { scale, shift: -1.0, stretch, polynomial: interpolated(left), per_asymptote }
    }

    /// The start for each cash flow per TCI, which are at least [`LEAST_RETURN`] / n.
    #[inline(always)]
    pub fn of(&self, yielded: &Column) -> Column {
        let mut start = Column::of(0.0);
        for i in 0..TILE {
            let u = self.shift + self.stretch / yielded[i].mul_add(self.scale, 1.0);
            start[i] = (yielded[i] + polynomial(&self.polynomial, u)) * self.per_asymptote;
        }
        start
    }
}

/// The coefficients, ascending, of the polynomial that agrees with a function at Chebyshev's nodes.
fn interpolated(function: impl Fn(f64) -> f64) -> [f64; TERMS] {
    let angle = |node: usize| std::f64::consts::PI * (node as f64 + 0.5) / TERMS as f64;
    let values: [f64; TERMS] = std::array::from_fn(|node| function(angle(node).cos()));
    let mut sum = [0.0; TERMS];
    // Chebyshev's polynomials T and the one before, ascending.
    let (mut before, mut now) = ([0.0; TERMS], [0.0; TERMS]);
    now[0] = 1.0;
    for order in 0..TERMS {
        let terms = values.iter().enumerate().map(|(node, value)| value * (order as f64 * angle(node)).cos());
        let coefficient = terms.sum::<f64>() * if order == 0 { 1.0 } else { 2.0 } / TERMS as f64;
        for (sum, power) in sum.iter_mut().zip(&now) {
            *sum += coefficient * power;
        }
        let factor = if order == 0 { 1.0 } else { 2.0 };
        let next = std::array::from_fn(|power| if power == 0 { 0.0 } else { factor * now[power - 1] } - before[power]);
        (before, now) = (now, next);
    }
    sum
}

/// The rate by Newton's method from the asymptote or the tangent at 0, whichever is lower.
fn rate(q: f64, years: f64, working_capital: f64) -> f64 {
    let tangent = (q - 1.0 / years) / (0.5 + 0.5 / years + working_capital);
    let mut r = tangent.min(q / (1.0 + working_capital)).max(-0.9);
    for _ in 0..40 {
        let last = (1.0 + r).powf(-years);
        let d = 1.0 - last;
        let above = r * d + (working_capital * r - q) * (d * d);
        let slope = d - r * years * (last / (1.0 + r)) + working_capital * (d * d);
        let step = above / slope;
        if !step.is_finite() || step.abs() < 1e-12 {
            break;
        }
        r -= step;
    }
    r
}

#[cfg(test)]
mod tests {
    use super::{Column, FittedStart, LEAST_RETURN, rate};

    #[test]
    fn the_start_is_near_the_rate() {
        for years in [5.0, 10.0, 20.0, 30.0, 50.0] {
            for working_capital in [0.0, 0.05, 0.3, 1.0] {
                let start = FittedStart::new(years, working_capital);
                for step in 0..400 {
                    let q = LEAST_RETURN / years * 1.03f64.powi(step);
                    let exact = rate(q, years, working_capital);
                    let off = start.of(&Column::of(q))[0] - exact;
                    assert!(off.abs() < 3e-6 * (1.0 + exact), "{years} years, {working_capital}, {q}: off by {off:e}");
                }
            }
        }
    }
}
