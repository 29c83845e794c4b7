//! The rate at which an equal cash flow returns an investment.

use super::operand::each;
use super::returns::{Flow, powers};
use crate::lanes::{Column, TILE};

/// Rates, and how far the last step of the search went.
pub(super) struct Solved {
    pub rate: Column,
    step: Column,
}

impl Solved {
    /// Whether the rate is good to 1e-9: the search has ended, and the rate is not so near 0 or −1 that digits are
    /// lost.
    #[inline(always)]
    pub fn is_sure(&self, i: usize, yielded: f64, years: f64) -> bool {
        let converged = self.step[i].abs() <= SMALL_STEP;
        converged && yielded * years > LEAST_RETURN && (self.rate[i] * years).abs() > 1e-4 && yielded < 1e6
    }
}

/// After such a step the next would be below 1e-11.
const SMALL_STEP: f64 = 1e-7;
const MAX_STEPS: usize = 12;
/// Below this share of the investment earned back over the lifetime the rate is near −1.
const LEAST_RETURN: f64 = 0.3;

/// The rate r with `q = r / (1 − (1 + r)^−n) + w · r`, where q is the yearly cash flow and w the working capital per
/// TCI.
///
/// The right side rises and is convex, between its tangent at 0 and its asymptote, whose nearer crossing with q is
/// where Newton's method begins: it then comes down to r and never passes it.
///
/// # Source
///
/// q is the capital recovery factor of r where w = 0, see [`crf`](crate::finance::crf) and
/// [`required_annual_cash_flow`](crate::finance::required_annual_cash_flow); Newton's method on convex functions:
/// Ortega and Rheinboldt, *Iterative Solution of Nonlinear Equations in Several Variables*, section 13.3.
#[inline(always)]
pub(super) fn solve(flow: &Flow<'_>, yielded: &Column) -> Solved {
    let Flow { working_capital, years, per_year, .. } = flow;
    let q = each(|i| {
        let least = LEAST_RETURN * per_year[i];
        if yielded[i] > least { yielded[i] } else { least }
    });
    let Start { per_tangent, per_asymptote } = Start::of(flow);
    let mut rate = each(|i| {
        let tangent = (q[i] - per_year[i]) * per_tangent[i];
        let asymptote = q[i] * per_asymptote[i];
        let start = if tangent < asymptote { tangent } else { asymptote };
        if start > -0.9 { start } else { -0.9 }
    });
    let mut step = Column::of(0.0);
    for _ in 0..MAX_STEPS {
        let discount = each(|i| 1.0 / (1.0 + rate[i]));
        let last = powers(&discount, years, flow.fixed_years);
        let mut moving = 0;
        for i in 0..TILE {
            let (r, w) = (rate[i], working_capital[i]);
            let d = 1.0 - last[i];
            let above = r * d + (w * r - q[i]) * (d * d);
            let slope = d - r * years[i] * (last[i] * discount[i]) + w * (d * d);
            step[i] = above / slope;
            rate[i] = r - step[i];
            moving |= u64::from(step[i].abs() > SMALL_STEP);
        }
        if moving == 0 {
            break;
        }
    }
    Solved { rate, step }
}

/// One over the slopes of the tangent at 0, (n + 1) / 2n + w, and of the asymptote, 1 + w.
struct Start {
    per_tangent: Column,
    per_asymptote: Column,
}

impl Start {
    #[inline(always)]
    fn of(flow: &Flow<'_>) -> Self {
        let Flow { working_capital, per_year, .. } = flow;
        let per_tangent = |i: usize| 1.0 / (0.5 + 0.5 * per_year[i] + working_capital[i]);
        let per_asymptote = |i: usize| 1.0 / (1.0 + working_capital[i]);
        if flow.fixed_years.is_some() && flow.fixed_working_capital {
            return Self { per_tangent: Column::of(per_tangent(0)), per_asymptote: Column::of(per_asymptote(0)) };
        }
        Self { per_tangent: each(per_tangent), per_asymptote: each(per_asymptote) }
    }
}
