//! Money over time: capital recovery, net present value, rate of return, payback, break-even.
//!
//! A cash flow is a slice: element t is the money that comes in (or goes out, negative) at the end of
//! year t, year 0 being the investment.

mod breakeven;
mod depreciation;
mod irr;
mod loan;
mod payback;
mod polynomial;

pub use breakeven::{gross_for_cash_flow, required_annual_cash_flow};
pub use depreciation::{depreciation, macrs};
pub use irr::irr;
pub use loan::{Loan, instalment};
pub use payback::{Repayment, discounted_payback, payback, repaid};

/// The share of an investment that repays it with interest in equal yearly parts.
///
/// # Formula
///
/// `CRF = r(1+r)^n / ((1+r)^n − 1)`, and `1/n` where r = 0.
///
/// Computed as `r / (1 − (1+r)^−n)` with `ln_1p` and `exp_m1`, because the textbook form loses every
/// digit when r is small.
///
/// # Source
///
/// Short, Packey and Holt, *A Manual for the Economic Evaluation of Energy Efficiency and Renewable Energy
/// Technologies*, NREL/TP-462-5173, 1995.
///
/// ```
/// use safire_engine::finance::crf;
/// assert_eq!(format!("{:.10}", crf(0.07, 20)), "0.0943929257");
/// assert_eq!(crf(0.0, 20), 0.05);
/// assert_eq!(crf(1e-300, 20), 0.05);
/// ```
pub fn crf(rate: f64, years: u32) -> f64 {
    let years = f64::from(years);
    if rate == 0.0 {
        return 1.0 / years;
    }
    let discounted_away = -(-years * rate.ln_1p()).exp_m1();
    rate / discounted_away
}

/// What a cash flow is worth today.
///
/// # Formula
///
/// `NPV = Σ CF_t / (1+r)^t`, by Horner's rule.
///
/// ```
/// use safire_engine::finance::npv;
/// assert_eq!(npv(0.25, &[-100.0, 125.0]), 0.0);
/// ```
pub fn npv(rate: f64, cash_flow: &[f64]) -> f64 {
    let discount = 1.0 / (1.0 + rate);
    polynomial::value(cash_flow, discount)
}

/// What a cash flow that begins in year `first_year` is worth in year 0.
///
/// # Formula
///
/// `NPV = (1+r)^−t₁ · Σ CF_s / (1+r)^s`, s from 0: years of construction before year 0 gain interest.
///
/// ```
/// use safire_engine::finance::npv_from;
/// assert_eq!(npv_from(-1, 0.25, &[-80.0, 0.0, 125.0]), 0.0);
/// ```
pub fn npv_from(first_year: i32, rate: f64, cash_flow: &[f64]) -> f64 {
    npv(rate, cash_flow) * (1.0 + rate).powi(-first_year)
}

/// The weighted average cost of capital, after tax.
///
/// # Formula
///
/// `WACC = (1 − d) · r + d · r_d · (1 − τ)`
///
/// # Source
///
/// Short, Packey and Holt, NREL/TP-462-5173, 1995, section 2.
///
/// ```
/// use safire_engine::finance::weighted_cost_of_capital;
/// assert_eq!(weighted_cost_of_capital(0.10, 0.5, 0.08, 0.25), 0.08);
/// ```
pub fn weighted_cost_of_capital(equity_rate: f64, debt_share: f64, debt_rate: f64, tax_rate: f64) -> f64 {
    (1.0 - debt_share) * equity_rate + debt_share * debt_rate * (1.0 - tax_rate)
}

/// Depreciation per year, in equal parts over the lifetime.
///
/// # Formula
///
/// `D = TCI / n`
///
/// ```
/// use safire_engine::finance::straight_line_depreciation;
/// assert_eq!(straight_line_depreciation(400e6, 20), 20e6);
/// ```
pub fn straight_line_depreciation(investment: f64, years: u32) -> f64 {
    investment / f64::from(years)
}

/// Tax per year on what is left after depreciation; a loss is neither taxed nor carried forward.
///
/// # Formula
///
/// `T = max(0, G − D) · τ`
///
/// ```
/// use safire_engine::finance::tax;
/// assert_eq!(tax(120.0, 20.0, 0.25), 25.0);
/// assert_eq!(tax(10.0, 20.0, 0.25), 0.0);
/// ```
pub fn tax(gross: f64, depreciation: f64, rate: f64) -> f64 {
    (gross - depreciation).max(0.0) * rate
}
