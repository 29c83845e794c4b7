//! The break-even of a plant whose operating years are all alike, in closed form.

use crate::answer::Answer;

/// The yearly cash flow (after tax) that makes NPV zero.
///
/// # Formula
///
/// `A = TCI · CRF + W · r`
///
/// NPV = −TCI − W + A / CRF + W·(1+r)^−n, and (1 − (1+r)^−n) · CRF = r: working capital W is lent to the
/// plant and only its interest has to be earned.
///
/// ```
/// use safire_engine::finance::{crf, npv, required_annual_cash_flow};
/// let yearly = required_annual_cash_flow(100.0, 10.0, 0.25, 2, crf(0.25, 2));
/// assert!(npv(0.25, &[-110.0, yearly, yearly + 10.0]).abs() < 1e-12);
/// ```
pub fn required_annual_cash_flow(tci: f64, working_capital: f64, rate: f64, years: u32, crf: f64) -> f64 {
    if rate == 0.0 {
        // The same division as depreciation, so that break-even without interest is exactly untaxed.
        return super::straight_line_depreciation(tci, years);
    }
    tci * crf + working_capital * rate
}

/// The gross margin (before tax) that leaves `cash_flow` after tax: the piecewise tax, inverted.
///
/// # Formula
///
/// `G = A` while `A ≤ D`, else `G = (A − τ·D) / (1 − τ)`
///
/// At a tax rate of 1 nothing beyond the depreciation can be kept.
///
/// ```
/// use safire_engine::finance::gross_for_cash_flow;
/// assert_eq!(gross_for_cash_flow(95.0, 20.0, 0.25).value(), Some(120.0));
/// assert_eq!(gross_for_cash_flow(10.0, 20.0, 1.0).value(), Some(10.0));
/// assert_eq!(gross_for_cash_flow(21.0, 20.0, 1.0).value(), None);
/// ```
pub fn gross_for_cash_flow(cash_flow: f64, depreciation: f64, tax_rate: f64) -> Answer {
    if cash_flow <= depreciation {
        return Answer::Found { value: cash_flow };
    }
    if tax_rate == 1.0 {
        return Answer::none("all profit is taxed away: no price repays the interest on capital");
    }
    Answer::Found { value: (cash_flow - tax_rate * depreciation) / (1.0 - tax_rate) }
}
