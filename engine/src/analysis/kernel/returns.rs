//! Interest, and what an equal cash flow in all years of operation returns.

use super::operand::{Operand, each};
use super::rate;
use super::tile::each_with_doubt;
use crate::finance;
use crate::lanes::{Column, TILE, power};

/// Discount rate and lifetime.
pub(super) struct Rate {
    pub rate: Operand,
    pub years: Operand,
}

impl Rate {
    pub fn of(rate: Operand, years: Operand) -> Self {
        Self { rate, years }
    }

    /// One over the lifetime.
    #[inline(always)]
    pub fn per_year(&self, inputs: &[Column]) -> Column {
        if let Some(years) = self.years.value() {
            return Column::of(1.0 / years);
        }
        let years = self.years.at(inputs);
        each(|i| 1.0 / years[i])
    }

    /// Annuity, CRF and the discount factor of the last year.
    ///
    /// # Formula
    ///
    /// `(1 − x) / r`, `r / (1 − x)` and `x = (1 + r)^−n`. Where n · r is small the difference loses digits: doubtful.
    #[inline(always)]
    pub fn factors(&self, inputs: &[Column], doubt: &mut Column) -> (Column, Column, Column) {
        if let (Some(rate), Some(years)) = (self.rate.value(), self.years.value()) {
            let crf = finance::crf(rate, years as u32);
            return (Column::of(1.0 / crf), Column::of(crf), Column::of((1.0 + rate).powf(-years)));
        }
        let (rate, years) = (self.rate.at(inputs), self.years.at(inputs));
        let factor = each(|i| 1.0 / (1.0 + rate[i]));
        let last = powers(&factor, years, self.years.value());
        for i in 0..TILE {
            doubt[i] += if rate[i] * years[i] > 4e-3 { 0.0 } else { 1.0 };
        }
        let annuity = each(|i| (1.0 - last[i]) / rate[i]);
        (annuity, each(|i| rate[i] / (1.0 - last[i])), last)
    }
}

/// `x^n`, by squaring where n is the same for all samples.
#[inline(always)]
pub(super) fn powers(x: &Column, n: &Column, fixed: Option<f64>) -> Column {
    let Some(n) = fixed else { return each(|i| power(x[i], n[i])) };
    let n = n as u32;
    let mut result = *x;
    for digit in (0..n.ilog2()).rev() {
        if n >> digit & 1 == 1 {
            for i in 0..TILE {
                result[i] = result[i] * result[i] * x[i];
            }
        } else {
            for i in 0..TILE {
                result[i] *= result[i];
            }
        }
    }
    result
}

/// A cash flow: TCI and working capital in year 0, the same amount in each year, working capital back in the last.
pub(super) struct Flow<'a> {
    pub tci: &'a Column,
    /// Per TCI.
    pub working_capital: &'a Column,
    /// Whether that is the same for all samples.
    pub fixed_working_capital: bool,
    pub years: &'a Column,
    /// One over the years.
    pub per_year: Column,
    pub fixed_years: Option<f64>,
    pub annual: Column,
}

impl Flow<'_> {
    /// The first year in which the sum so far is not negative.
    ///
    /// # Formula
    ///
    /// `⌈(TCI + W) / A⌉` before the last year; the last year where `n · A ≥ TCI`. Where either is within rounding of
    /// its bound: doubtful.
    #[inline(always)]
    pub fn payback(&self, doubt: &mut Column) -> Column {
        const TWO_TO_52: f64 = 4_503_599_627_370_496.0;
        let (tci, years, annual) = (self.tci, self.years, &self.annual);
        each_with_doubt(doubt, |i| {
            let ratio = tci[i] * (1.0 + self.working_capital[i]) / annual[i];
            let ratio = if ratio < 1000.0 { ratio } else { 1000.0 };
            let nearest = (ratio + TWO_TO_52) - TWO_TO_52;
            let first = if ratio > nearest { nearest + 1.0 } else { nearest };
            let earned = years[i] * annual[i];
            let last = if earned >= tci[i] { years[i] } else { f64::NAN };
            let year = if first < years[i] { first } else { last };
            let close = (ratio - nearest).abs() < 1e-9 || (earned - tci[i]).abs() < 1e-9 * tci[i];
            (if annual[i] > 0.0 { year } else { f64::NAN }, close && annual[i] > 0.0)
        })
    }

    /// The internal rate of return.
    #[inline(always)]
    pub fn irr(&self, doubt: &mut Column) -> Column {
        let yielded = each(|i| self.annual[i] / self.tci[i]);
        let solved = rate::solve(self, &yielded);
        each_with_doubt(doubt, |i| {
            let loses = yielded[i] <= 0.0 && self.working_capital[i] == 0.0 && yielded[i] < -1e-12;
            (if loses { f64::NAN } else { solved.rate[i] }, !loses && !solved.is_sure(i, yielded[i], self.years[i]))
        })
    }
}
