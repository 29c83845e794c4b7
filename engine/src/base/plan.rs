//! The cash flow year by year, for any set of switches.

use crate::answer::Answer;
use crate::cash_flow::CashFlowYear;
use crate::finance::{Loan, depreciation, npv_from};
use crate::inputs::{Financing, Inputs, Losses};
use crate::policy::incentives::{Incentive, Sale};
use crate::solve::rising_root;

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

/// What a year hands on to the next.
#[derive(Default)]
struct Carried {
    loan: Loan,
    losses: f64,
    cumulative: f64,
    cumulative_discounted: f64,
}

impl<'a> Plan<'a> {
    pub fn new(inputs: &'a Inputs, stages: &'a Stages, rate: Rate) -> Self {
        let ci = stages.sales.main_ci;
        Self { inputs, stages, rate, incentives: Incentive::of(inputs), ci }
    }

    /// The first year of construction, 0 or before.
    pub fn first_year(&self) -> i32 {
        1 - self.inputs.finance.construction_years() as i32
    }

    /// The cash flow by year when the product at `index` is sold at `price`, its premium included.
    pub fn years(&self, index: usize, price: f64) -> Vec<CashFlowYear> {
        let mut carried = Carried::default();
        let last = self.inputs.economics.lifetime_yr as i32;
        (self.first_year()..=last).map(|year| self.year(year, index, price, &mut carried)).collect()
    }

    /// The cash flow by year at the prices of the inputs.
    pub fn years_as_given(&self) -> Vec<CashFlowYear> {
        self.years(0, self.stages.sales.products[0].usd_per_t)
    }

    /// The net present value when the product at `index` is sold at `price`.
    pub fn npv_at(&self, index: usize, price: f64) -> f64 {
        let flow: Vec<f64> = self.years(index, price).iter().map(|year| year.cash_flow_usd).collect();
        npv_from(self.first_year(), self.rate.value, &flow)
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
        match rising_root(|price| self.npv_at(index, price), start, scale * FIRST_STEP) {
            Some(value) => Answer::Found { value },
            None => Answer::none("no price makes the net present value 0"),
        }
    }

    fn year(&self, year: i32, index: usize, price: f64, carried: &mut Carried) -> CashFlowYear {
        let mut row = CashFlowYear { year, calendar_year: self.calendar_year(year), ..CashFlowYear::default() };
        if year <= 0 {
            self.build(&mut row, carried);
        } else {
            self.operate(&mut row, index, price, carried);
            self.tax(&mut row, carried);
        }
        self.settle(&mut row, carried);
        row
    }

    fn calendar_year(&self, year: i32) -> Option<i32> {
        self.inputs.finance.first_year.map(|first| first + year - 1)
    }

    /// Whether debt is served in the cash flow.
    pub fn owes(&self) -> bool {
        let finance = &self.inputs.finance;
        finance.financing == Financing::Loan && finance.debt_share > 0.0
    }

    /// A year of construction: capital is spent, partly from the loan, and the last year binds the working
    /// capital. Interest until operation is paid by the owners.
    fn build(&self, row: &mut CashFlowYear, carried: &mut Carried) {
        let finance = &self.inputs.finance;
        let share = finance.construction[(row.year - self.first_year()) as usize];
        row.capital_usd = self.stages.investment.tci * share;
        if row.year == 0 {
            row.working_capital_usd = -self.stages.investment.working_capital;
        }
        if self.owes() {
            row.loan_drawn_usd = row.capital_usd * finance.debt_share;
            carried.loan.draw(row.loan_drawn_usd);
            row.interest_usd = carried.loan.interest(finance.debt_rate);
        }
    }

    /// A year of operation up to the tax.
    fn operate(&self, row: &mut CashFlowYear, index: usize, price: f64, carried: &mut Carried) {
        let (inputs, finance) = (self.inputs, &self.inputs.finance);
        let rise = &finance.escalation;
        let products = self.stages.sales.products.iter().enumerate();
        row.revenue_by_product_usd = products
            .map(|(at, product)| {
                let ordinary = if at == index { product.t_per_yr * price } else { product.usd_per_yr };
                let rise = if at == 0 { rise.main_product } else { rise.co_product };
                ordinary * self.growth(rise, row.year) * self.startup(finance.startup_revenue, row.year)
            })
            .collect();
        row.revenue_usd = row.revenue_by_product_usd.iter().sum();
        row.variable_cost_usd = self.variable_cost(row.year);
        let fixed = self.stages.opex.indirect * self.growth(rise.fixed_cost, row.year);
        row.fixed_cost_usd = fixed * self.startup(finance.startup_fixed_cost, row.year);
        self.pay_incentives(row, if index == 0 { price } else { self.stages.sales.products[0].usd_per_t });
        let period = finance.depreciation_yr.unwrap_or(inputs.economics.lifetime_yr);
        let tci = self.stages.investment.tci;
        row.depreciation_usd = depreciation(tci, finance.depreciation, period, row.year.unsigned_abs());
        if self.owes() {
            let left = finance.debt_term_yr.saturating_sub(row.year.unsigned_abs() - 1);
            row.interest_usd = carried.loan.interest(finance.debt_rate);
            row.principal_usd = carried.loan.repay(finance.debt_rate, left);
        }
        if row.year.unsigned_abs() == inputs.economics.lifetime_yr {
            row.working_capital_usd = self.stages.investment.working_capital;
        }
    }

    fn variable_cost(&self, year: i32) -> f64 {
        let (materials, rise) = (&self.stages.materials, &self.inputs.finance.escalation);
        let feedstock: f64 = materials.feedstocks.iter().map(|used| used.usd_per_yr).sum();
        let cost = feedstock * self.growth(rise.feedstock, year)
            + materials.hydrogen.usd_per_yr * self.growth(rise.hydrogen, year)
            + materials.electricity.usd_per_yr * self.growth(rise.electricity, year);
        cost * self.startup(self.inputs.finance.startup_variable_cost, year)
    }

    fn pay_incentives(&self, row: &mut CashFlowYear, price: f64) {
        let finance = &self.inputs.finance;
        let sale = Sale {
            calendar_year: row.calendar_year,
            t: self.stages.sales.main_production() * self.startup(finance.startup_revenue, row.year),
            ci: self.ci,
            usd_per_t: price * self.growth(finance.escalation.main_product, row.year),
            level: self.growth(0.0, row.year),
        };
        for incentive in &self.incentives {
            let paid = incentive.paid(self.inputs, &sale);
            row.incentives_by_code_usd.push(paid);
            if incentive.is_taxed() {
                row.taxed_incentives_usd += paid;
            } else {
                row.tax_credits_usd += paid;
            }
        }
    }

    /// How much prices have risen since year 0: `((1+i)(1+g))^t`.
    fn growth(&self, rise: f64, year: i32) -> f64 {
        ((1.0 + self.inputs.finance.inflation) * (1.0 + rise)).powi(year)
    }

    /// The part of an ordinary year's money when the start-up brings `share` of it: `1 − u + u · share`.
    fn startup(&self, share: f64, year: i32) -> f64 {
        let time = self.inputs.finance.startup_yr;
        if year == 1 && time > 0.0 { 1.0 - time + time * share } else { 1.0 }
    }

    /// Taxable income, losses and tax of a year of operation.
    fn tax(&self, row: &mut CashFlowYear, carried: &mut Carried) {
        let finance = &self.inputs.finance;
        row.taxable_income_usd = row.gross_usd() - row.depreciation_usd - row.interest_usd;
        if finance.losses == Losses::CarriedForward {
            row.losses_used_usd = carried.losses.min(finance.loss_limit * row.taxable_income_usd.max(0.0));
            carried.losses += (-row.taxable_income_usd).max(0.0) - row.losses_used_usd;
        }
        row.losses_carried_usd = carried.losses;
        let taxed = (row.taxable_income_usd - row.losses_used_usd).max(0.0);
        row.tax_usd = taxed * self.inputs.economics.tax_rate;
    }

    fn settle(&self, row: &mut CashFlowYear, carried: &mut Carried) {
        row.loan_balance_usd = carried.loan.balance;
        row.cash_flow_usd = row.gross_usd() - row.tax_usd - row.capital_usd + row.working_capital_usd;
        row.cash_flow_usd += row.tax_credits_usd + row.loan_drawn_usd - row.interest_usd - row.principal_usd;
        row.discount_factor = (1.0 + self.rate.value).powi(-row.year);
        row.discounted_usd = row.cash_flow_usd * row.discount_factor;
        carried.cumulative += row.cash_flow_usd;
        carried.cumulative_discounted += row.discounted_usd;
        row.cumulative_usd = carried.cumulative;
        row.cumulative_discounted_usd = carried.cumulative_discounted;
    }
}
