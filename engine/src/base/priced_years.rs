//! The cash flow by year as a function of the price of one product.

use crate::cash_flow::CashFlowYear;
use crate::finance::{Loan, depreciation, npv_from};
use crate::inputs::Losses;
use crate::policy::incentives::Sale;

use super::plan::Plan;
use super::stages::Stages;

/// The years of a plan, in which one product has any price, its premium included.
///
/// What does not depend on that price is worked out once: whoever searches for a price asks a score of times.
pub(super) struct PricedYears<'a> {
    plan: &'a Plan<'a>,
    /// Which product it is.
    index: usize,
    /// The years; what depends on the price is that of the price asked for last.
    years: Vec<CashFlowYear>,
    /// How each of them sells: nothing, while the plant is built.
    sales: Vec<Option<YearOfSales>>,
    /// The net cash flow of the years, as it is discounted.
    flow: Vec<f64>,
}

/// What turns a price of year 0 into the money of a year.
struct YearOfSales {
    /// How much the product's price has risen.
    growth: f64,
    /// The part of an ordinary year's production that is sold.
    part: f64,
    /// What incentives depend on, at the given prices.
    sale: Sale,
}

/// What a year hands on to the next.
#[derive(Default)]
struct Carried {
    losses: f64,
    cumulative: f64,
    cumulative_discounted: f64,
}

impl<'a> PricedYears<'a> {
    pub fn new(plan: &'a Plan<'a>, index: usize) -> Self {
        let (first, last) = (plan.first_year(), plan.inputs.economics.lifetime_yr as i32);
        let mut loan = Loan::default();
        let years: Vec<_> = (first..=last).map(|year| before_sales(plan, year, &mut loan)).collect();
        let sales = (first..=last).map(|year| (year > 0).then(|| YearOfSales::new(plan, year, index))).collect();
        Self { plan, index, flow: Vec::with_capacity(years.len()), years, sales }
    }

    /// The cash flow by year at that price.
    pub fn into_years_at(mut self, price: f64) -> Vec<CashFlowYear> {
        self.set(price);
        self.years
    }

    /// The net present value at that price.
    pub fn npv_at(&mut self, price: f64) -> f64 {
        self.set(price);
        self.flow.clear();
        self.flow.extend(self.years.iter().map(|year| year.cash_flow_usd));
        npv_from(self.plan.first_year(), self.plan.rate.value, &self.flow)
    }

    fn set(&mut self, price: f64) {
        let (plan, mut carried) = (self.plan, Carried::default());
        for (row, sales) in self.years.iter_mut().zip(&self.sales) {
            if let Some(sales) = sales {
                sell(plan, row, sales, self.index, price);
                tax(plan, row, &mut carried);
            }
            settle(row, &mut carried);
        }
    }
}

impl YearOfSales {
    fn new(plan: &Plan<'_>, year: i32, index: usize) -> Self {
        let part = plan.startup(plan.inputs.finance.startup_revenue, year);
        let sale = Sale {
            calendar_year: plan.calendar_year(year),
            t: plan.stages.sales.main_production() * part,
            ci: plan.ci,
            usd_per_t: plan.stages.sales.products[0].usd_per_t * plan.growth_of_product(0, year),
            level: plan.growth(0.0, year),
        };
        Self { growth: plan.growth_of_product(index, year), part, sale }
    }
}

/// A year up to its sales.
fn before_sales(plan: &Plan<'_>, year: i32, loan: &mut Loan) -> CashFlowYear {
    let mut row = CashFlowYear {
        year,
        calendar_year: plan.calendar_year(year),
        discount_factor: (1.0 + plan.rate.value).powi(-year),
        ..CashFlowYear::default()
    };
    if year <= 0 {
        build(plan, &mut row, loan);
    } else {
        operate(plan, &mut row, loan);
    }
    row.loan_balance_usd = loan.balance;
    row
}

/// A year of construction: capital is spent, partly from the loan, and the last year binds the working
/// capital. Interest until operation is paid by the owners.
fn build(plan: &Plan<'_>, row: &mut CashFlowYear, loan: &mut Loan) {
    let finance = &plan.inputs.finance;
    let share = finance.construction[(row.year - plan.first_year()) as usize];
    row.capital_usd = plan.stages.investment.tci * share;
    if row.year == 0 {
        row.working_capital_usd = -plan.stages.investment.working_capital;
    }
    if plan.owes() {
        row.loan_drawn_usd = row.capital_usd * finance.debt_share;
        loan.draw(row.loan_drawn_usd);
        row.interest_usd = loan.interest(finance.debt_rate);
    }
}

/// A year of operation but for what is sold and taxed; all products at their given prices.
fn operate(plan: &Plan<'_>, row: &mut CashFlowYear, loan: &mut Loan) {
    let (inputs, finance) = (plan.inputs, &plan.inputs.finance);
    let products = plan.stages.sales.products.iter().enumerate();
    row.revenue_by_product_usd = products
        .map(|(at, product)| {
            let part = plan.startup(finance.startup_revenue, row.year);
            product.usd_per_yr * plan.growth_of_product(at, row.year) * part
        })
        .collect();
    row.variable_cost_usd = variable_cost(plan, row.year);
    let fixed = plan.stages.opex.indirect * plan.growth(finance.escalation.fixed_cost, row.year);
    row.fixed_cost_usd = fixed * plan.startup(finance.startup_fixed_cost, row.year);
    row.incentives_by_code_usd = vec![0.0; plan.incentives.len()];
    let period = finance.depreciation_yr.unwrap_or(inputs.economics.lifetime_yr);
    let tci = plan.stages.investment.tci;
    row.depreciation_usd = depreciation(tci, finance.depreciation, period, row.year.unsigned_abs());
    if plan.owes() {
        let left = finance.debt_term_yr.saturating_sub(row.year.unsigned_abs() - 1);
        row.interest_usd = loan.interest(finance.debt_rate);
        row.principal_usd = loan.repay(finance.debt_rate, left);
    }
    if row.year.unsigned_abs() == inputs.economics.lifetime_yr {
        row.working_capital_usd = plan.stages.investment.working_capital;
    }
}

fn variable_cost(plan: &Plan<'_>, year: i32) -> f64 {
    let (Stages { materials, .. }, rise) = (plan.stages, &plan.inputs.finance.escalation);
    let feedstock: f64 = materials.feedstocks.iter().map(|used| used.usd_per_yr).sum();
    let cost = feedstock * plan.growth(rise.feedstock, year)
        + materials.hydrogen.usd_per_yr * plan.growth(rise.hydrogen, year)
        + materials.electricity.usd_per_yr * plan.growth(rise.electricity, year);
    cost * plan.startup(plan.inputs.finance.startup_variable_cost, year)
}

/// Revenue and incentives of a year of operation when the product at `index` is sold at `price`.
fn sell(plan: &Plan<'_>, row: &mut CashFlowYear, sales: &YearOfSales, index: usize, price: f64) {
    let products = &plan.stages.sales.products;
    row.revenue_by_product_usd[index] = products[index].t_per_yr * price * sales.growth * sales.part;
    row.revenue_usd = row.revenue_by_product_usd.iter().sum();
    let usd_per_t = if index == 0 { price * sales.growth } else { sales.sale.usd_per_t };
    let sale = Sale { usd_per_t, ..sales.sale };
    (row.taxed_incentives_usd, row.tax_credits_usd) = (0.0, 0.0);
    for (incentive, paid) in plan.incentives.iter().zip(&mut row.incentives_by_code_usd) {
        *paid = incentive.paid(plan.inputs, &sale);
        if incentive.is_taxed() {
            row.taxed_incentives_usd += *paid;
        } else {
            row.tax_credits_usd += *paid;
        }
    }
}

/// Taxable income, losses and tax of a year of operation.
fn tax(plan: &Plan<'_>, row: &mut CashFlowYear, carried: &mut Carried) {
    let finance = &plan.inputs.finance;
    row.taxable_income_usd = row.gross_usd() - row.depreciation_usd - row.interest_usd;
    if finance.losses == Losses::CarriedForward {
        row.losses_used_usd = carried.losses.min(finance.loss_limit * row.taxable_income_usd.max(0.0));
        carried.losses += (-row.taxable_income_usd).max(0.0) - row.losses_used_usd;
    }
    row.losses_carried_usd = carried.losses;
    let taxed = (row.taxable_income_usd - row.losses_used_usd).max(0.0);
    row.tax_usd = taxed * plan.inputs.economics.tax_rate;
}

fn settle(row: &mut CashFlowYear, carried: &mut Carried) {
    row.cash_flow_usd = row.gross_usd() - row.tax_usd - row.capital_usd + row.working_capital_usd;
    row.cash_flow_usd += row.tax_credits_usd + row.loan_drawn_usd - row.interest_usd - row.principal_usd;
    row.discounted_usd = row.cash_flow_usd * row.discount_factor;
    carried.cumulative += row.cash_flow_usd;
    carried.cumulative_discounted += row.discounted_usd;
    row.cumulative_usd = carried.cumulative;
    row.cumulative_discounted_usd = carried.cumulative_discounted;
}
