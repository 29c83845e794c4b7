//! Finding a root between two points, and saying how the search ended.

/// A root, and how it was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Root {
    /// Where the function is zero, as closely as numbers can say.
    pub at: f64,
    /// How the search ended.
    pub ended: Ended,
    /// How often the function was evaluated.
    pub evaluations: u32,
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The function is exactly 0 there.
    Exactly,
    /// A further step would be smaller than the distance between two numbers.
    Converged,
}

/// Why there was nothing to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBracket {
    /// The ends are not finite, not at least 0, or not in order.
    #[error("the ends of the search are not two ascending numbers of at least 0")]
    Ends,
    /// The function became NaN on the way.
    #[error("the function has no value inside the bracket")]
    NotANumber,
}

/// A function value with the slope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The function.
    pub value: f64,
    /// Its derivative.
    pub slope: f64,
}

/// Newton steps are given up after this many; what is left is then halved, at most 63 times.
const NEWTON_STEPS: u32 = 64;

/// The root of an ascending-through-zero function between `low` and `high`, both at least 0.
///
/// The caller promises that `f` is at most 0 at `low` and at least 0 at `high`; the ends themselves are
/// never evaluated. Newton's method from `start`, safeguarded: a step that leaves the bracket, or does not
/// halve the last one, is replaced by halving the *count of floating-point numbers* in the bracket. That
/// finds a root of size 1e-300 as surely as one of size 0.5, and bounds the whole search.
///
/// # Source
///
/// Safeguarded Newton: Press et al., *Numerical Recipes*, 3rd ed., section 9.4. Halving the numbers
/// instead of the distance follows from IEEE 754: non-negative floats are ordered like their bits.
///
/// ```
/// use safire_engine::solve::{Ended, Point, ascending_root};
///
/// let square = |x: f64| Point { value: x * x - 2.0, slope: 2.0 * x };
/// let root = ascending_root(square, 0.0, 2.0, 1.0).unwrap();
/// assert!((root.at - 2f64.sqrt()).abs() < 1e-15);
/// assert!(root.evaluations < 10);
/// ```
pub fn ascending_root(mut f: impl FnMut(f64) -> Point, low: f64, high: f64, start: f64) -> Result<Root, NoBracket> {
    if !(low >= 0.0 && low < high && high.is_finite()) {
        return Err(NoBracket::Ends);
    }
    let mut bracket = Bracket { low, high };
    let mut at = if start > low && start < high { start } else { bracket.middle() };
    let mut last_step = f64::INFINITY;
    for evaluations in 1.. {
        let Point { value, slope } = f(at);
        let ended = |ended| Ok(Root { at, ended, evaluations });
        if value.is_nan() {
            return Err(NoBracket::NotANumber);
        }
        if value == 0.0 {
            return ended(Ended::Exactly);
        }
        bracket.narrow(at, value);
        if bracket.is_spent() {
            return ended(Ended::Converged);
        }
        let step = value / slope;
        let next = at - step;
        if next == at {
            return ended(Ended::Converged);
        }
        let newton = evaluations < NEWTON_STEPS && bracket.contains(next) && step.abs() <= 0.5 * last_step;
        (at, last_step) = if newton { (next, step.abs()) } else { (bracket.middle(), f64::INFINITY) };
    }
    Err(NoBracket::NotANumber)
}

/// The function is below zero at `low` and above at `high`.
struct Bracket {
    low: f64,
    high: f64,
}

impl Bracket {
    fn narrow(&mut self, at: f64, value: f64) {
        if value < 0.0 {
            self.low = at;
        } else {
            self.high = at;
        }
    }

    fn contains(&self, x: f64) -> bool {
        x > self.low && x < self.high
    }

    /// No number is left between the ends.
    fn is_spent(&self) -> bool {
        self.high.to_bits() - self.low.to_bits() <= 1
    }

    fn middle(&self) -> f64 {
        let (low, high) = (self.low.to_bits(), self.high.to_bits());
        f64::from_bits(low + (high - low) / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ended, NoBracket, Point, ascending_root};

    fn line(root: f64) -> impl FnMut(f64) -> Point {
        move |x| Point { value: x - root, slope: 1.0 }
    }

    #[test]
    fn a_root_far_below_the_bracket_is_found_to_the_last_bit() {
        let root = ascending_root(line(1e-300), 0.0, 1.0, 0.5).unwrap();
        assert_eq!(root.at, 1e-300);
        assert_eq!(root.ended, Ended::Exactly);
    }

    #[test]
    fn a_function_with_a_wrong_slope_still_converges_by_halving() {
        let wrong = |x: f64| Point { value: x * x * x - 0.3, slope: 0.0 };
        let root = ascending_root(wrong, 0.0, 1.0, 0.5).unwrap();
        assert!((root.at - 0.3f64.cbrt()).abs() < 1e-15);
        assert!(root.evaluations <= 128, "{root:?}");
    }

    #[test]
    fn a_search_without_a_bracket_says_so() {
        assert_eq!(ascending_root(line(1.0), 2.0, 1.0, 1.5), Err(NoBracket::Ends));
        assert_eq!(ascending_root(line(1.0), 0.0, f64::NAN, 1.5), Err(NoBracket::Ends));
        let nowhere = |_| Point { value: f64::NAN, slope: 0.0 };
        assert_eq!(ascending_root(nowhere, 0.0, 1.0, 0.5), Err(NoBracket::NotANumber));
    }
}
