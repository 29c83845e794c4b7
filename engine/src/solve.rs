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

/// How often a bracket is doubled before a search gives up.
const DOUBLINGS: u32 = 200;
/// Steps of bisection that are enough for any two numbers of the same sign.
const HALVINGS: u32 = 2100;

/// Where a function that never falls passes zero, searched from `start` outwards in steps of `scale`, doubled.
///
/// `None` where it keeps its sign as far as is looked, or is not a number.
///
/// ```
/// use safire_engine::solve::rising_root;
///
/// assert_eq!(rising_root(|x| 2.0 * x + 9.0, 100.0, 1.0), Some(-4.5));
/// assert_eq!(rising_root(|_| 1.0, 0.0, 1.0), None);
/// ```
pub fn rising_root(mut f: impl FnMut(f64) -> f64, start: f64, scale: f64) -> Option<f64> {
    let at_start = f(start);
    if at_start == 0.0 {
        return Some(start);
    }
    let outwards = if at_start < 0.0 { scale } else { -scale };
    let (mut near, mut value_near, mut step) = (start, at_start, outwards);
    for _ in 0..DOUBLINGS {
        let far = near + step;
        let value_far = f(far);
        if value_far.is_nan() || !far.is_finite() {
            return None;
        }
        if (value_far < 0.0) != (at_start < 0.0) {
            return root_between(f, (near, value_near), (far, value_far));
        }
        (near, value_near, step) = (far, value_far, step * 2.0);
    }
    None
}

/// Where a continuous function passes zero between two points at which its signs differ: regula falsi in the
/// Illinois form, with a bisection whenever it does not halve the bracket in three steps, and a step of a few numbers
/// where the secant moves no further.
///
/// # Source
///
/// Dowell and Jarratt, *A modified regula falsi method for computing the root of an equation*, BIT 11, 1971.
///
/// ```
/// use safire_engine::solve::root_between;
///
/// let cube = |x: f64| x * x * x - 2.0;
/// let root = root_between(cube, (0.0, -2.0), (2.0, 6.0)).unwrap();
/// assert!((root - 2f64.cbrt()).abs() < 1e-15);
/// assert_eq!(root_between(cube, (2.0, 6.0), (3.0, 25.0)), None);
/// ```
pub fn root_between(mut f: impl FnMut(f64) -> f64, from: (f64, f64), to: (f64, f64)) -> Option<f64> {
    let ((mut a, mut value_a), (mut b, mut value_b)) = (from, to);
    if value_a == 0.0 || value_b == 0.0 {
        return Some(if value_a == 0.0 { a } else { b });
    }
    if (value_a < 0.0) == (value_b < 0.0) {
        return None;
    }
    let mut width = (b - a).abs();
    for step in 0..HALVINGS {
        let middle = f64::midpoint(a, b);
        if middle == a || middle == b {
            break;
        }
        let secant = b - value_b * ((b - a) / (value_b - value_a));
        // Beside a root that is hit all but exactly the secant does not move: a few numbers further it changes sign.
        let least = 2.0 * f64::EPSILON * b.abs();
        let next = if (secant - b).abs() < least { b + least.copysign(a - b) } else { secant };
        let inside = next > a.min(b) && next < a.max(b);
        let slow = step % 3 == 2 && (b - a).abs() > 0.5 * std::mem::replace(&mut width, (b - a).abs());
        let at = if inside && !slow { next } else { middle };
        let value = f(at);
        if value == 0.0 {
            return Some(at);
        }
        if value.is_nan() {
            return None;
        }
        if (value < 0.0) == (value_b < 0.0) {
            value_a *= 0.5;
        } else {
            (a, value_a) = (b, value_b);
        }
        (b, value_b) = (at, value);
    }
    Some(b)
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
    use super::{Ended, NoBracket, Point, ascending_root, root_between};

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
    fn a_search_that_has_hit_the_root_ends_soon() {
        for target in [0.3, 2.0, 1e-9, 7e12] {
            let mut evaluations = 0;
            let cube = |x: f64| {
                evaluations += 1;
                x * x * x - target
            };
            let (low, high) = (0.6 * target.cbrt(), 1.7 * target.cbrt());
            let root = root_between(cube, (low, low.powi(3) - target), (high, high.powi(3) - target)).unwrap();
            assert!((root / target.cbrt() - 1.0).abs() < 1e-15, "{root}");
            assert!(evaluations <= 15, "{target}: {evaluations}");
        }
    }

    #[test]
    fn a_search_without_a_bracket_says_so() {
        assert_eq!(ascending_root(line(1.0), 2.0, 1.0, 1.5), Err(NoBracket::Ends));
        assert_eq!(ascending_root(line(1.0), 0.0, f64::NAN, 1.5), Err(NoBracket::Ends));
        let nowhere = |_| Point { value: f64::NAN, slope: 0.0 };
        assert_eq!(ascending_root(nowhere, 0.0, 1.0, 0.5), Err(NoBracket::NotANumber));
    }
}
