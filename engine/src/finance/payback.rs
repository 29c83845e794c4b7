//! When the money is back.

use crate::answer::Answer;
use crate::inputs::Payback;

/// A payback, and whether it lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Repayment {
    /// The first year in which the sum of the cash flow counts as back, once money has been spent.
    pub answer: Answer,
    /// The first year after it in which the sum is negative again.
    pub negative_again: Option<i32>,
}

/// The first year in which the cash flow so far is not negative, once money has been spent.
///
/// # Formula
///
/// `min { t : Σ_{s ≤ t} CF_s ≥ 0, Σ_{s ≤ u} CF_s < 0 for some u < t }`
///
/// ```
/// use safire_engine::finance::payback;
/// assert_eq!(payback(&[-100.0, 60.0, 60.0]).answer.value(), Some(2.0));
/// assert_eq!(payback(&[0.0, -100.0, 60.0, 60.0]).answer.value(), Some(3.0));
/// assert_eq!(payback(&[-100.0, 60.0]).answer.value(), None);
/// assert_eq!(payback(&[-100.0, 120.0, -50.0]).negative_again, Some(2));
/// ```
pub fn payback(cash_flow: &[f64]) -> Repayment {
    repayment(0, cash_flow, Payback::NotNegative, |factor| factor)
}

/// The first year in which the discounted cash flow so far is not negative, once money has been spent.
///
/// # Formula
///
/// `min { t : Σ_{s ≤ t} CF_s / (1+r)^s ≥ 0, Σ_{s ≤ u} CF_s / (1+r)^s < 0 for some u < t }`
///
/// ```
/// use safire_engine::finance::discounted_payback;
/// assert_eq!(discounted_payback(0.25, &[-100.0, 62.5, 62.5, 62.5]).answer.value(), Some(3.0));
/// ```
pub fn discounted_payback(rate: f64, cash_flow: &[f64]) -> Repayment {
    let discount = 1.0 / (1.0 + rate);
    repayment(0, cash_flow, Payback::NotNegative, |factor| factor * discount)
}

/// The first year in which the cash flow so far counts as back, in a flow that begins in year `first`.
///
/// ```
/// use safire_engine::finance::repaid;
/// use safire_engine::inputs::Payback;
///
/// let flow = [-50.0, -50.0, 100.0, 10.0];
/// assert_eq!(repaid(-1, 0.0, &flow, Payback::NotNegative).answer.value(), Some(1.0));
/// assert_eq!(repaid(-1, 0.0, &flow, Payback::Positive).answer.value(), Some(2.0));
/// ```
pub fn repaid(first: i32, rate: f64, cash_flow: &[f64], rule: Payback) -> Repayment {
    repayment(first, cash_flow, rule, |factor| factor / (1.0 + rate))
}

fn repayment(first: i32, cash_flow: &[f64], rule: Payback, next: impl Fn(f64) -> f64) -> Repayment {
    let (mut sum, mut factor, mut is_spent, mut back) = (0.0, 1.0, false, None);
    for (year, money) in (first..).zip(cash_flow) {
        sum += money * factor;
        if let Some(back) = back
            && sum < 0.0
        {
            return found(back, Some(year));
        }
        if back.is_none() && is_spent && is_back(rule, sum) {
            back = Some(year);
        }
        is_spent |= sum < 0.0;
        factor = next(factor);
    }
    match back {
        Some(year) => found(year, None),
        None => Repayment { answer: Answer::none("the cash flow never repays the investment"), negative_again: None },
    }
}

fn is_back(rule: Payback, sum: f64) -> bool {
    match rule {
        Payback::NotNegative => sum >= 0.0,
        Payback::Positive => sum > 0.0,
    }
}

fn found(year: i32, negative_again: Option<i32>) -> Repayment {
    Repayment { answer: Answer::Found { value: year.into() }, negative_again }
}
