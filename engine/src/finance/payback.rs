//! When the money is back.

use crate::answer::Answer;
use crate::inputs::Payback;

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

/// The first year in which the cash flow so far counts as back, in a flow that begins in year `first`.
///
/// ```
/// use safire_engine::finance::repaid;
/// use safire_engine::inputs::Payback;
///
/// let flow = [-50.0, -50.0, 100.0, 10.0];
/// assert_eq!(repaid(-1, 0.0, &flow, Payback::NotNegative).value(), Some(1.0));
/// assert_eq!(repaid(-1, 0.0, &flow, Payback::Positive).value(), Some(2.0));
/// ```
pub fn repaid(first: i32, rate: f64, cash_flow: &[f64], rule: Payback) -> Answer {
    let (mut sum, mut factor) = (0.0, 1.0);
    for (year, money) in (first..).zip(cash_flow) {
        sum += money * factor;
        let back = match rule {
            Payback::NotNegative => sum >= 0.0,
            Payback::Positive => sum > 0.0,
        };
        if back {
            return Answer::Found { value: year.into() };
        }
        factor /= 1.0 + rate;
    }
    Answer::none("the cash flow never repays the investment")
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
