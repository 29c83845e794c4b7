//! Polynomials on the unit interval: a cash flow is one, in the discount factor.
//!
//! Coefficients are in ascending order: `[a, b, c]` is a + b·x + c·x².

use crate::solve::{Point, ascending_root};

/// The polynomial at `x`, by Horner's rule.
pub(crate) fn value(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, a| sum * x + a)
}

/// The polynomial and its slope at `x`, by Horner's rule.
pub(crate) fn point(coefficients: &[f64], x: f64) -> Point {
    let start = Point { value: 0.0, slope: 0.0 };
    coefficients.iter().rev().fold(start, |sum, a| Point { value: sum.value * x + a, slope: sum.slope * x + sum.value })
}

/// How often the sign changes along the coefficients, zeros left out. Descartes: there are at most as
/// many positive roots, and exactly one where it changes once.
pub(crate) fn sign_changes(coefficients: &[f64]) -> usize {
    let mut changes = 0;
    let mut last = 0.0;
    for a in coefficients.iter().copied().filter(|a| *a != 0.0) {
        let changed = last != 0.0 && (a < 0.0) != (last < 0.0);
        changes += usize::from(changed);
        last = a;
    }
    changes
}

/// The roots in the open interval (0, 1), ascending, each once.
///
/// Between two neighbouring roots of the derivative the polynomial is monotone and has at most one root,
/// found by a bracketed search. The derivative's roots are found in the same way, down to a derivative
/// whose coefficients do not change sign, which has none (Descartes). A root that only touches zero
/// lies *at* a root of the derivative; it counts as one where the value is within the rounding error of
/// its own evaluation.
pub(crate) fn roots_in_unit_interval(coefficients: &[f64]) -> Vec<f64> {
    if sign_changes(coefficients) == 0 {
        return Vec::new();
    }
    let coefficients = without_roots_at_zero(coefficients);
    let mut ends = vec![0.0];
    ends.extend(roots_in_unit_interval(&derivative(coefficients)));
    ends.push(1.0);

    let mut roots = Vec::new();
    for pair in ends.windows(2) {
        roots.extend(root_between(coefficients, pair[0], pair[1]));
        if pair[1] < 1.0 && vanishes_at(coefficients, pair[1]) {
            roots.push(pair[1]);
        }
    }
    roots
}

fn without_roots_at_zero(coefficients: &[f64]) -> &[f64] {
    let first = coefficients.iter().position(|a| *a != 0.0).unwrap_or(0);
    &coefficients[first..]
}

/// The derivative divided by the degree: its roots are the same, its coefficients do not grow.
fn derivative(coefficients: &[f64]) -> Vec<f64> {
    let degree = (coefficients.len() - 1) as f64;
    let terms = coefficients.iter().enumerate().skip(1);
    terms.map(|(power, a)| a * (power as f64 / degree)).collect()
}

/// The root strictly between two ends where the polynomial has opposite signs.
fn root_between(coefficients: &[f64], low: f64, high: f64) -> Option<f64> {
    let falling = match (sign_at(coefficients, low), sign_at(coefficients, high)) {
        (Sign::Minus, Sign::Plus) => false,
        (Sign::Plus, Sign::Minus) => true,
        _ => return None,
    };
    let rising = |x| {
        let Point { value, slope } = point(coefficients, x);
        if falling { Point { value: -value, slope: -slope } } else { Point { value, slope } }
    };
    let root = ascending_root(rising, low, high, f64::midpoint(low, high));
    root.ok().map(|root| root.at)
}

/// Whether the polynomial at `x` cannot be told from zero.
pub(crate) fn vanishes_at(coefficients: &[f64], x: f64) -> bool {
    sign_at(coefficients, x) == Sign::Zero
}

#[derive(PartialEq)]
enum Sign {
    Minus,
    Zero,
    Plus,
}

/// The sign at `x`, `Zero` where rounding could have produced the value.
fn sign_at(coefficients: &[f64], x: f64) -> Sign {
    let value = value(coefficients, x);
    if value.abs() <= rounding_error(coefficients, x) {
        Sign::Zero
    } else if value < 0.0 {
        Sign::Minus
    } else {
        Sign::Plus
    }
}

/// The bound on the error of Horner's rule.
///
/// # Source
///
/// Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 5.1: 2n·u·Σ|a_i|·|x|^i.
fn rounding_error(coefficients: &[f64], x: f64) -> f64 {
    let size = coefficients.iter().rev().fold(0.0, |sum, a| sum * x + a.abs());
    let degree = (coefficients.len() - 1) as f64;
    degree * f64::EPSILON * size
}

#[cfg(test)]
mod tests {
    use super::{roots_in_unit_interval, sign_changes};

    #[test]
    fn zeros_do_not_count_as_a_change_of_sign() {
        assert_eq!(sign_changes(&[-1.0, 0.0, 0.0, 2.0, 0.0, -3.0]), 2);
        assert_eq!(sign_changes(&[0.0, 1.0, 0.0]), 0);
    }

    #[test]
    fn every_root_of_a_product_of_linear_factors_is_found() {
        // (x − 1/4)(x − 1/2)(x − 3/4) · 32
        let roots = roots_in_unit_interval(&[-3.0, 22.0, -48.0, 32.0]);
        assert_eq!(roots.len(), 3);
        for (root, expected) in roots.iter().zip([0.25, 0.5, 0.75]) {
            assert!((root - expected).abs() < 1e-14, "{root} is not {expected}");
        }
    }

    #[test]
    fn a_root_that_only_touches_zero_is_found_once() {
        // (x − 1/2)² · 4
        let roots = roots_in_unit_interval(&[1.0, -4.0, 4.0]);
        assert_eq!(roots.len(), 1);
        assert!((roots[0] - 0.5).abs() < 1e-7);
    }

    #[test]
    fn a_polynomial_that_stays_above_zero_has_no_root() {
        assert!(roots_in_unit_interval(&[1.0, -1.0, 1.0]).is_empty());
    }
}
