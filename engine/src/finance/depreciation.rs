//! How an investment is written off.

use crate::inputs::Depreciation;

use super::straight_line_depreciation;

/// The share of the investment that is written off by year of operation under MACRS; empty for a method
/// that is not MACRS.
///
/// # Source
///
/// IRS Publication 946, *How To Depreciate Property*, appendix A, Table A-1 (half-year convention):
/// 200 % declining balance for 5-, 7- and 10-year property, 150 % for 15- and 20-year property, changing
/// to straight line. The table's own rounding is the law's, so it is copied and not computed.
///
/// ```
/// use safire_engine::{finance::macrs, inputs::Depreciation};
/// assert_eq!(macrs(Depreciation::Macrs7)[..2], [0.1429, 0.2449]);
/// ```
pub fn macrs(method: Depreciation) -> &'static [f64] {
    match method {
        Depreciation::StraightLine => &[],
        Depreciation::Macrs5 => &[0.2, 0.32, 0.192, 0.1152, 0.1152, 0.0576],
        Depreciation::Macrs7 => &[0.1429, 0.2449, 0.1749, 0.1249, 0.0893, 0.0892, 0.0893, 0.0446],
        Depreciation::Macrs10 => &[0.1, 0.18, 0.144, 0.1152, 0.0922, 0.0737, 0.0655, 0.0655, 0.0656, 0.0655, 0.0328],
        Depreciation::Macrs15 => &[
            0.05, 0.095, 0.0855, 0.077, 0.0693, 0.0623, 0.059, 0.059, 0.0591, 0.059, 0.0591, 0.059, 0.0591, 0.059,
            0.0591, 0.0295,
        ],
        Depreciation::Macrs20 => &[
            0.0375, 0.07219, 0.06677, 0.06177, 0.05713, 0.05285, 0.04888, 0.04522, 0.04462, 0.04461, 0.04462, 0.04461,
            0.04462, 0.04461, 0.04462, 0.04461, 0.04462, 0.04461, 0.04462, 0.04461, 0.02231,
        ],
    }
}

/// What is written off in a year of operation, the first being 1.
///
/// # Formula
///
/// `TCI / n_D` while t ≤ n_D for the straight line, `TCI · share_t` of the table for MACRS, 0 afterwards.
/// What the plant's lifetime cuts off is never written off.
///
/// ```
/// use safire_engine::{finance::depreciation, inputs::Depreciation};
/// assert_eq!(depreciation(500.0, Depreciation::StraightLine, 10, 10), 50.0);
/// assert_eq!(depreciation(500.0, Depreciation::StraightLine, 10, 11), 0.0);
/// assert_eq!(depreciation(500.0, Depreciation::Macrs5, 10, 2), 160.0);
/// ```
pub fn depreciation(investment: f64, method: Depreciation, period: u32, year: u32) -> f64 {
    if method == Depreciation::StraightLine {
        return if year <= period { straight_line_depreciation(investment, period) } else { 0.0 };
    }
    let row = (year as usize).wrapping_sub(1);
    investment * macrs(method).get(row).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::macrs;
    use crate::inputs::Depreciation;

    #[test]
    fn every_table_writes_off_everything_and_nothing_more() {
        for method in Depreciation::ALL.iter().filter(|method| **method != Depreciation::StraightLine) {
            let sum: f64 = macrs(*method).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{method:?}: {sum}");
        }
    }
}
