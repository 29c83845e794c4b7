//! What the cash flow by year depends on, for any set of switches, and the price that it needs.

use crate::answer::Answer;
use crate::cash_flow::CashFlowYear;
use crate::inputs::{Financing, Inputs};
use crate::policy::incentives::Incentive;
use crate::solve::rising_root;

use super::priced_years::PricedYears;
use super::rate::Rate;
use super::stages::Stages;

/// Everything that the cash flow by year depends on.
pub(crate) struct Plan<'a> {
    pub inputs: &'a Inputs,
    pub stages: &'a Stages,
    pub rate: Rate,
    pub incentives: Vec<Incentive>,
    /// The main product's carbon intensity.
    pub ci: f64,
}

/// The first step of the search for a price, relative to all money that the plant turns over.
const FIRST_STEP: f64 = 1e-3;

impl<'a> Plan<'a> {
    pub fn new(inputs: &'a Inputs, stages: &'a Stages, rate: Rate) -> Self {
        let ci = stages.sales.main_ci;
        Self { inputs, stages, rate, incentives: Incentive::of(inputs), ci }
    }

    /// The first year of construction, 0 or before.
    pub fn first_year(&self) -> i32 {
        1 - self.inputs.finance.construction_years() as i32
    }

    /// The cash flow by year at the prices of the inputs.
    pub fn years_as_given(&self) -> Vec<CashFlowYear> {
        PricedYears::new(self, 0).into_years_at(self.stages.sales.products[0].usd_per_t)
    }

    /// The price of the product at `index`, its premium included, at which the net present value is 0.
    ///
    /// A price never lowers the net present value, so there is one, several beside each other only where all
    /// profit is taxed away, or none.
    pub fn price_for_npv_zero(&self, index: usize) -> Answer {
        let produced = self.stages.sales.products[index].t_per_yr;
        if produced == 0.0 {
            return Answer::none("the product is not made");
        }
        let Stages { investment, opex, sales, .. } = self.stages;
        let scale = (investment.tci.abs() + opex.total.abs() + sales.revenue.abs()) / produced;
        let start = sales.products[index].usd_per_t;
        if !(scale.is_finite() && scale > 0.0) {
            return Answer::none("no price can be searched for: the amounts are too extreme");
        }
        let mut years = PricedYears::new(self, index);
        match rising_root(|price| years.npv_at(price), start, scale * FIRST_STEP) {
            Some(value) => Answer::Found { value },
            None => Answer::none("no price makes the net present value 0"),
        }
    }

    pub(super) fn calendar_year(&self, year: i32) -> Option<i32> {
        self.inputs.finance.first_year.map(|first| first + year - 1)
    }

    /// Whether debt is served in the cash flow.
    pub fn owes(&self) -> bool {
        let finance = &self.inputs.finance;
        finance.financing == Financing::Loan && finance.debt_share > 0.0
    }

    /// How much prices have risen since year 0: `((1+i)(1+g))^t`.
    pub(super) fn growth(&self, rise: f64, year: i32) -> f64 {
        ((1.0 + self.inputs.finance.inflation) * (1.0 + rise)).powi(year)
    }

    /// How much the price of the product at `index` has risen.
    pub(super) fn growth_of_product(&self, index: usize, year: i32) -> f64 {
        let rise = &self.inputs.finance.escalation;
        self.growth(if index == 0 { rise.main_product } else { rise.co_product }, year)
    }

    /// The part of an ordinary year's money when the start-up brings `share` of it: `1 − u + u · share`.
    pub(super) fn startup(&self, share: f64, year: i32) -> f64 {
        let time = self.inputs.finance.startup_yr;
        if year == 1 && time > 0.0 { 1.0 - time + time * share } else { 1.0 }
    }
}
