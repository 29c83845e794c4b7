//! The internal rate of return of any cash flow.

use std::borrow::Cow;

use crate::answer::Answer;
use crate::solve::{Point, ascending_root};

use super::polynomial::{self, roots_in_unit_interval, sign_changes, vanishes_at};

/// The rates r > −1 at which NPV is zero.
///
/// # Formula
///
/// `Σ CF_t · x^t = 0` with `x = 1/(1+r)`, so the roots x > 0 are wanted.
///
/// Descartes' rule of signs decides how hard that is. No change of sign: there is no rate. One change:
/// there is exactly one. More: every root is isolated and the answer may be none, one or several.
/// Roots x > 1 are sought as roots y = 1/x = 1+r of the reversed polynomial, so that no power overflows.
///
/// # Source
///
/// Norstrøm, *A sufficient condition for a unique nonnegative internal rate of return*, Journal of
/// Financial and Quantitative Analysis 7(3), 1972, for why a cash flow may have several.
///
/// ```
/// use safire_engine::{Answer, finance::irr};
///
/// assert_eq!(irr(&[-100.0, 125.0]), Answer::Found { value: 0.25 });
/// assert_eq!(irr(&[-1600.0, 10_000.0, -10_000.0]), Answer::Several { values: vec![0.25, 4.0] });
/// assert_eq!(irr(&[-100.0, -5.0]), Answer::none("the cash flow is never positive"));
/// ```
pub fn irr(cash_flow: &[f64]) -> Answer {
    if !cash_flow.iter().all(|money| money.is_finite()) {
        return Answer::none("the cash flow is not a finite number in every year");
    }
    let flow = trimmed(cash_flow);
    match sign_changes(flow) {
        0 => Answer::none(never_turns(flow)),
        1 => only_rate(&bounded(flow)),
        changes => all_rates(&bounded(flow), changes),
    }
}

/// The flow from its first to its last year with money: zeros at the ends move no root.
fn trimmed(cash_flow: &[f64]) -> &[f64] {
    let is_money = |money: &f64| *money != 0.0;
    let first = cash_flow.iter().position(is_money).unwrap_or(cash_flow.len());
    let end = cash_flow.iter().rposition(is_money).map_or(first, |last| last + 1);
    &cash_flow[first..end]
}

fn never_turns(flow: &[f64]) -> &'static str {
    match flow.first() {
        None => "the cash flow is zero in every year",
        Some(money) if *money < 0.0 => "the cash flow is never positive",
        Some(_) => "the cash flow is never negative",
    }
}

/// The flow, scaled down where a sum over its years could overflow. A power of two changes no digit.
fn bounded(flow: &[f64]) -> Cow<'_, [f64]> {
    const LARGE: f64 = 1e270;
    const SCALE: f64 = 1.0 / (1u128 << 127) as f64;
    if flow.iter().all(|money| money.abs() < LARGE) {
        return Cow::Borrowed(flow);
    }
    flow.iter().map(|money| money * SCALE).collect()
}

/// The rate of a flow that changes sign once.
fn only_rate(flow: &[f64]) -> Answer {
    let undiscounted: f64 = flow.iter().sum();
    let rate = if undiscounted == 0.0 {
        Some(0.0)
    } else if (undiscounted > 0.0) == ends_positive(flow) {
        above_zero(flow)
    } else {
        below_zero(flow)
    };
    rate.map_or_else(beyond_numbers, |value| Answer::Found { value })
}

fn beyond_numbers() -> Answer {
    Answer::none("the rate of return is closer to −1, or to infinity, than a number can be")
}

fn ends_positive(flow: &[f64]) -> bool {
    flow[flow.len() - 1] > 0.0
}

/// The rate, given that it is positive: x lies between 0 and 1.
fn above_zero(flow: &[f64]) -> Option<f64> {
    let sign = if ends_positive(flow) { 1.0 } else { -1.0 };
    let root = ascending_root(signed(flow, sign), 0.0, 1.0, perpetuity_discount(flow)).ok()?;
    rate_of_discount(root.at)
}

/// The rate, given that it is negative: y = 1+r lies between 0 and 1.
fn below_zero(flow: &[f64]) -> Option<f64> {
    const USUAL_GROWTH: f64 = 0.9;
    let sign = if ends_positive(flow) { -1.0 } else { 1.0 };
    let reversed: Vec<f64> = flow.iter().rev().copied().collect();
    let root = ascending_root(signed(&reversed, sign), 0.0, 1.0, USUAL_GROWTH).ok()?;
    rate_of_growth(root.at)
}

fn signed(flow: &[f64], sign: f64) -> impl Fn(f64) -> Point {
    move |x| {
        let Point { value, slope } = polynomial::point(flow, x);
        Point { value: sign * value, slope: sign * slope }
    }
}

/// The discount factor if the mean yearly flow came for ever: where the search starts.
fn perpetuity_discount(flow: &[f64]) -> f64 {
    let later: f64 = flow[1..].iter().sum();
    let years = (flow.len() - 1) as f64;
    let rate = later / years / -flow[0];
    1.0 / (1.0 + rate)
}

fn rate_of_discount(discount: f64) -> Option<f64> {
    let rate = 1.0 / discount - 1.0;
    rate.is_finite().then_some(rate)
}

fn rate_of_growth(growth: f64) -> Option<f64> {
    let rate = growth - 1.0;
    (rate > -1.0).then_some(rate)
}

/// The rates of a flow that changes sign several times.
fn all_rates(flow: &[f64], changes: usize) -> Answer {
    let reversed: Vec<f64> = flow.iter().rev().copied().collect();
    let growths = roots_in_unit_interval(&reversed);
    let discounts = roots_in_unit_interval(flow);

    let mut rates: Vec<f64> = growths.into_iter().filter_map(rate_of_growth).collect();
    if vanishes_at(flow, 1.0) {
        rates.push(0.0);
    }
    rates.extend(discounts.into_iter().rev().filter_map(rate_of_discount));
    // Two roots are one where NPV between them cannot be told from zero.
    rates.dedup_by(|next, rate| npv_vanishes(flow, &reversed, f64::midpoint(*rate, *next)));

    match rates.as_slice() {
        [] => Answer::none(format!(
            "the cash flow changes sign {changes} times, but its present value is zero at no rate"
        )),
        [value] => Answer::Found { value: *value },
        _ => Answer::Several { values: rates },
    }
}

fn npv_vanishes(flow: &[f64], reversed: &[f64], rate: f64) -> bool {
    if rate < 0.0 { vanishes_at(reversed, 1.0 + rate) } else { vanishes_at(flow, 1.0 / (1.0 + rate)) }
}

#[cfg(test)]
mod tests {
    use super::irr;
    use crate::answer::Answer;

    #[test]
    fn a_negative_rate_is_found() {
        assert_eq!(irr(&[-100.0, 75.0]), Answer::Found { value: -0.25 });
    }

    #[test]
    fn a_flow_that_just_returns_the_money_has_rate_zero() {
        assert_eq!(irr(&[-100.0, 50.0, 50.0]), Answer::Found { value: 0.0 });
    }

    #[test]
    fn a_flow_that_never_turns_says_which_way() {
        let reason = |flow: &[f64]| match irr(flow) {
            Answer::None { reason } => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(&[-1.0, 0.0, -2.0]), "the cash flow is never positive");
        assert_eq!(reason(&[0.0, 3.0]), "the cash flow is never negative");
        assert_eq!(reason(&[0.0, 0.0]), "the cash flow is zero in every year");
        assert_eq!(reason(&[]), "the cash flow is zero in every year");
    }

    #[test]
    fn two_changes_of_sign_without_a_root_are_no_rate() {
        assert!(matches!(irr(&[1.0, -1.0, 1.0]), Answer::None { .. }));
    }

    #[test]
    fn rates_below_and_above_zero_are_both_found() {
        // −(x − 2)(x − 1/2): x = 2 is −50 %, x = 1/2 is +100 %.
        let Answer::Several { values } = irr(&[-1.0, 2.5, -1.0]) else {
            panic!("two rates expected");
        };
        assert_eq!(values.len(), 2);
        assert!((values[0] + 0.5).abs() < 1e-15 && (values[1] - 1.0).abs() < 1e-15, "{values:?}");
    }

    #[test]
    fn a_double_rate_counts_once() {
        // (x − 1)²: the present value touches zero at r = 0.
        assert_eq!(irr(&[1.0, -2.0, 1.0]), Answer::Found { value: 0.0 });
    }

    #[test]
    fn enormous_and_tiny_flows_neither_overflow_nor_vanish() {
        assert_eq!(irr(&[-1e308, 1.25e308]), Answer::Found { value: 0.25 });
        assert_eq!(irr(&[-1e-300, 1.25e-300]), Answer::Found { value: 0.25 });
        assert!(matches!(irr(&[-1e-300, 1e300]), Answer::None { .. }));
        assert!(matches!(irr(&[-1e300, 1e-300]), Answer::None { .. }));
    }
}
