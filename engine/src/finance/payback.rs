//! When the money is back.

use crate::answer::Answer;

/// The first year in which the cash flow so far is not negative.
///
/// # Formula
///
/// `min { t : Σ_{s ≤ t} CF_s ≥ 0 }`
///
/// ```
/// use safire_engine::finance::payback;
/// assert_eq!(payback(&[-100.0, 60.0, 60.0]).value(), Some(2.0));
/// assert_eq!(payback(&[-100.0, 60.0]).value(), None);
/// ```
pub fn payback(cash_flow: &[f64]) -> Answer {
    first_year(cash_flow, 1.0, "the cash flow never repays the investment")
}

/// The first year in which the discounted cash flow so far is not negative.
///
/// # Formula
///
/// `min { t : Σ_{s ≤ t} CF_s / (1+r)^s ≥ 0 }`
///
/// ```
/// use safire_engine::finance::discounted_payback;
/// assert_eq!(discounted_payback(0.25, &[-100.0, 62.5, 62.5, 62.5]).value(), Some(3.0));
/// ```
pub fn discounted_payback(rate: f64, cash_flow: &[f64]) -> Answer {
    let never = "the discounted cash flow never repays the investment";
    first_year(cash_flow, 1.0 / (1.0 + rate), never)
}

fn first_year(cash_flow: &[f64], discount: f64, never: &str) -> Answer {
    let mut sum = 0.0;
    let mut factor = 1.0;
    for (year, money) in cash_flow.iter().enumerate() {
        sum += money * factor;
        if sum >= 0.0 {
            return Answer::Found { value: year as f64 };
        }
        factor *= discount;
    }
    Answer::none(never)
}
