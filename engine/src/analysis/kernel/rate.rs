//! The rate at which an equal cash flow returns an investment.

use super::operand::each;
use super::returns::{Flow, Powers};
use super::start::LEAST_RETURN;
use crate::lanes::{Column, TILE};

/// Rates, and how far the last step of the search went.
pub(super) struct Solved {
    pub rate: Column,
    step: Column,
}

impl Solved {
    #[inline(always)]
    pub fn new() -> Self {
        Self { rate: Column::of(0.0), step: Column::of(0.0) }
    }

    /// Whether the rate is good to 1e-9: the search has ended, and the rate is not so near 0 or −1 that digits are
    /// lost.
    #[inline(always)]
    pub fn is_sure(&self, i: usize, yielded: f64, years: f64) -> bool {
        let converged = self.step[i].abs() <= SMALL_STEP;
        converged & (yielded * years > LEAST_RETURN) & ((self.rate[i] * years).abs() > 1e-4) & (yielded < 1e6)
    }
}

/// After such a step the next would be below 2e-11.
const SMALL_STEP: f64 = 1e-6;
const MAX_STEPS: usize = 12;

/// The rate r with `q = r / (1 − (1 + r)^−n) + w · r`, where q is the yearly cash flow and w the working capital per
/// TCI, by Newton's method: from a [`FittedStart`] one step is enough as a rule.
///
/// Without one: the right side rises and is convex, between its tangent at 0 and its asymptote, whose nearer crossing
/// with q is where the search begins: it then comes down to r and never passes it.
///
/// # Source
///
/// q is the capital recovery factor of r where w = 0, see [`crf`](crate::finance::crf) and
/// [`required_annual_cash_flow`](crate::finance::required_annual_cash_flow); Newton's method on convex functions:
/// Ortega and Rheinboldt, *Iterative Solution of Nonlinear Equations in Several Variables*, section 13.3.
#[inline(always)]
pub(super) fn solve(flow: &Flow<'_>, yielded: &Column, solved: &mut Solved) {
    let q = each(|i| {
        let least = LEAST_RETURN * flow.per_year[i];
        if yielded[i] > least { yielded[i] } else { least }
    });
    solved.rate = match flow.start {
        Some(start) => start.of(&q),
        None => between_tangent_and_asymptote(flow, &q),
    };
    for _ in 0..MAX_STEPS {
        if !newton(flow, &q, solved) {
            break;
        }
    }
}

/// A step of Newton's method; whether any rate is still moving.
///
/// With `y = (1 + r)^n` numerator and denominator are multiplied by y², which saves a division.
#[inline(always)]
fn newton(flow: &Flow<'_>, q: &Column, solved: &mut Solved) -> bool {
    let Flow { working_capital, years, .. } = flow;
    let growth = each(|i| 1.0 + solved.rate[i]);
    let (all, all_but_one) = Powers::of(&growth, years, flow.fixed_years).columns();
    let mut moving = 0;
    for i in 0..TILE {
        let (r, w, y) = (solved.rate[i], working_capital[i], all[i]);
        let d = y - 1.0;
        let above = d * r.mul_add(y, w.mul_add(r, -q[i]) * d);
        let slope = d.mul_add(w.mul_add(d, y), -(r * years[i] * all_but_one[i]));
        let step = above / slope;
        solved.step[i] = step;
        solved.rate[i] = r - step;
        moving |= u64::from(step.abs() > SMALL_STEP);
    }
    moving != 0
}

#[inline(always)]
fn between_tangent_and_asymptote(flow: &Flow<'_>, q: &Column) -> Column {
    let Flow { working_capital, per_year, .. } = flow;
    each(|i| {
        let tangent = (q[i] - per_year[i]) / (0.5 + 0.5 * per_year[i] + working_capital[i]);
        let asymptote = q[i] / (1.0 + working_capital[i]);
        let start = if tangent < asymptote { tangent } else { asymptote };
        if start > -0.9 { start } else { -0.9 }
    })
}
