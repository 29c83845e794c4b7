//! Interest, and what an equal cash flow in all years of operation returns.

use super::operand::{Operand, each};
use super::rate::{self, Solved};
use super::start::FittedStart;
use super::tile::each_with_doubt;
use crate::finance;
use crate::lanes::{Column, TILE, power};

/// Discount rate and lifetime.
pub(super) struct Rate {
    pub rate: Operand,
    pub years: Operand,
    /// One over the lifetime, where that is the same for all samples.
    per_year: Option<Box<Column>>,
}

impl Rate {
    pub fn of(rate: Operand, years: Operand) -> Self {
        let per_year = years.value().map(|years| Box::new(Column::of(1.0 / years)));
        Self { rate, years, per_year }
    }

    /// One over the lifetime; where that varies, it is worked out into `room`.
    #[inline(always)]
    pub fn per_year<'a>(&'a self, inputs: &[Column], room: &'a mut Column) -> &'a Column {
        if let Some(fixed) = &self.per_year {
            return fixed;
        }
        let years = self.years.at(inputs);
        *room = each(|i| 1.0 / years[i]);
        room
    }

    /// Annuity and CRF.
    ///
    /// # Formula
    ///
    /// `(y − 1) / (r · y)`, `(r · y) / (y − 1)` and `y = (1 + r)^n`. Where n · r is small the difference loses digits:
    /// doubtful.
    #[inline(always)]
    pub fn factors(&self, inputs: &[Column], doubt: &mut Column) -> Factors {
        if let (Some(rate), Some(years)) = (self.rate.value(), self.years.value()) {
            let crf = finance::crf(rate, years as u32);
            let growth = Column::of((1.0 + rate).powf(years));
            return Factors { annuity: Column::of(1.0 / crf), crf: Column::of(crf), growth };
        }
        let (rate, years) = (self.rate.at(inputs), self.years.at(inputs));
        let growth = powers(&each(|i| 1.0 + rate[i]), years, self.years.value());
        let mut factors = Factors { annuity: Column::of(0.0), crf: Column::of(0.0), growth };
        for i in 0..TILE {
            let (above, below) = (growth[i] - 1.0, rate[i] * growth[i]);
            let sure = rate[i] * years[i] > 4e-3 && growth[i] < 1e100;
            doubt[i] += if sure { 0.0 } else { 1.0 };
            // One division for both.
            let per_both = 1.0 / (above * below);
            factors.annuity[i] = above * above * per_both;
            factors.crf[i] = below * below * per_both;
        }
        factors
    }
}

/// What interest makes of equal payments.
pub(super) struct Factors {
    pub annuity: Column,
    pub crf: Column,
    /// (1 + r)^n
    pub growth: Column,
}

/// `x^n` and `x^(n − 1)`.
pub(super) struct Powers {
    all: Column,
    all_but_one: Column,
}

impl Powers {
    #[inline(always)]
    pub fn of(x: &Column, n: &Column, fixed: Option<f64>) -> Self {
        if fixed.is_some_and(|n| n >= 2.0) {
            let all_but_one = powers(x, n, fixed.map(|n| n - 1.0));
            return Self { all: each(|i| all_but_one[i] * x[i]), all_but_one };
        }
        let all = each(|i| power(x[i], n[i]));
        Self { all_but_one: each(|i| all[i] / x[i]), all }
    }

    #[inline(always)]
    pub fn columns(self) -> (Column, Column) {
        (self.all, self.all_but_one)
    }
}

/// `x^n`, by squaring where n is the same for all samples.
#[inline(always)]
fn powers(x: &Column, n: &Column, fixed: Option<f64>) -> Column {
    let Some(n) = fixed else { return each(|i| power(x[i], n[i])) };
    // As many at once as fit into registers.
    const BLOCK: usize = 32;
    let n = n as u32;
    let mut result = *x;
    for (block, x) in result.chunks_exact_mut(BLOCK).zip(x.chunks_exact(BLOCK)) {
        let (mut power, mut once) = ([0.0; BLOCK], [0.0; BLOCK]);
        power.copy_from_slice(x);
        once.copy_from_slice(x);
        for digit in (0..n.ilog2()).rev() {
            power = std::array::from_fn(|i| power[i] * power[i]);
            if n >> digit & 1 == 1 {
                power = std::array::from_fn(|i| power[i] * once[i]);
            }
        }
        block.copy_from_slice(&power);
    }
    result
}

/// A cash flow: TCI and working capital in year 0, the same amount in each year, working capital back in the last.
pub(super) struct Flow<'a> {
    pub tci: &'a Column,
    /// Per TCI.
    pub working_capital: &'a Column,
    /// Whether there is none in any sample.
    pub without_working_capital: bool,
    pub start: Option<&'a FittedStart>,
    pub years: &'a Column,
    /// One over the years.
    pub per_year: &'a Column,
    pub fixed_years: Option<f64>,
    pub annual: Column,
}

impl Flow<'_> {
    /// The net present value.
    ///
    /// # Formula
    ///
    /// `A · a − TCI − W · (1 − (1 + r)^−n)`
    #[inline(always)]
    pub fn npv(&self, annuity: &Column, growth: &Column) -> Column {
        let (tci, annual) = (self.tci, &self.annual);
        let present = each(|i| annual[i].mul_add(annuity[i], -tci[i]));
        if self.without_working_capital {
            return present;
        }
        each(|i| present[i] - self.working_capital[i] * tci[i] * (1.0 - 1.0 / growth[i]))
    }

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
            let close = ((ratio - nearest).abs() < 1e-9) | ((earned - tci[i]).abs() < 1e-9 * tci[i]);
            (if annual[i] > 0.0 { year } else { f64::NAN }, close & (annual[i] > 0.0))
        })
    }

    /// The internal rate of return.
    #[inline(always)]
    pub fn irr(&self, doubt: &mut Column) -> Column {
        let yielded = each(|i| self.annual[i] / self.tci[i]);
        let mut solved = Solved::new();
        rate::solve(self, &yielded, &mut solved);
        // Without working capital to be got back, there is no rate at which a loss returns anything.
        let loss = |w: f64| if w == 0.0 { -1e-12 } else { f64::NEG_INFINITY };
        let loss = match self.without_working_capital {
            true => Column::of(loss(0.0)),
            false => each(|i| loss(self.working_capital[i])),
        };
        each_with_doubt(doubt, |i| {
            let loses = yielded[i] < loss[i];
            (if loses { f64::NAN } else { solved.rate[i] }, !(loses | solved.is_sure(i, yielded[i], self.years[i])))
        })
    }
}
