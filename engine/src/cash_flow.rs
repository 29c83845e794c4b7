//! The cash-flow table: every column by year, worked out again from the inputs when it is asked for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::{Ledger, Plan, Rate, Stages};
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::trace::Plain;

/// The cash flow by year, with everything that makes it up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "The cash flow by year, with everything that makes it up.")]
pub struct CashFlowTable {
    /// Whether money keeps the value of year 0, or grows with inflation.
    pub money: Money,
    /// The rate that money is discounted at, in the same money.
    pub discount_rate: f64,
    /// The products, in the order of the revenue columns.
    pub products: Vec<String>,
    /// The incentives, in the order of the incentive columns.
    pub incentives: Vec<String>,
    /// The years, from the first of construction to the last of operation.
    pub years: Vec<CashFlowYear>,
}

/// What a dollar of the table is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Money {
    /// As much as in year 0.
    Real,
    /// What it is worth in its year.
    Nominal,
}

/// One year of the cash flow, in USD. Costs are positive numbers; the cash flow subtracts them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CashFlowYear {
    /// Years of operation; 0 is the last year of construction, those before are negative.
    pub year: i32,
    /// The calendar year, where the first year of operation is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar_year: Option<i32>,
    /// Capital spent.
    pub capital_usd: f64,
    /// Working capital: negative when it is bound, positive when it comes back.
    pub working_capital_usd: f64,
    /// Drawn from the loan.
    pub loan_drawn_usd: f64,
    /// Revenue by product, in the order of the table's products.
    pub revenue_by_product_usd: Vec<f64>,
    /// Revenue of all products.
    pub revenue_usd: f64,
    /// Feedstocks, hydrogen and electricity.
    pub variable_cost_usd: f64,
    /// Maintenance, insurance, overhead.
    pub fixed_cost_usd: f64,
    /// Incentives by code, in the order of the table's incentives.
    pub incentives_by_code_usd: Vec<f64>,
    /// Incentives that are taxed as income.
    pub taxed_incentives_usd: f64,
    /// Incentives that are not taxed.
    pub tax_credits_usd: f64,
    /// Written off.
    pub depreciation_usd: f64,
    /// Interest on the loan.
    pub interest_usd: f64,
    /// Repaid of the loan.
    pub principal_usd: f64,
    /// Still owed at the end of the year.
    pub loan_balance_usd: f64,
    /// Income after depreciation and interest, before losses of earlier years.
    pub taxable_income_usd: f64,
    /// Losses of earlier years that are set against it.
    pub losses_used_usd: f64,
    /// Losses left for later years.
    pub losses_carried_usd: f64,
    /// Tax.
    pub tax_usd: f64,
    /// Cash flow.
    pub cash_flow_usd: f64,
    /// What a dollar of the year is worth in year 0.
    pub discount_factor: f64,
    /// Cash flow, discounted to year 0.
    pub discounted_usd: f64,
    /// Cash flow so far.
    pub cumulative_usd: f64,
    /// Discounted cash flow so far.
    pub cumulative_discounted_usd: f64,
}

impl CashFlowYear {
    /// Revenue and taxed incentives less the cost of operation.
    ///
    /// # Formula
    ///
    /// `G = R + B − (V + F)`
    pub fn gross_usd(&self) -> f64 {
        self.revenue_usd + self.taxed_incentives_usd - (self.variable_cost_usd + self.fixed_cost_usd)
    }

    /// Every amount with its column.
    fn amounts(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let columns = [
            ("capital", self.capital_usd),
            ("working_capital", self.working_capital_usd),
            ("loan_drawn", self.loan_drawn_usd),
            ("revenue", self.revenue_usd),
            ("variable_cost", self.variable_cost_usd),
            ("fixed_cost", self.fixed_cost_usd),
            ("taxed_incentives", self.taxed_incentives_usd),
            ("tax_credits", self.tax_credits_usd),
            ("depreciation", self.depreciation_usd),
            ("interest", self.interest_usd),
            ("principal", self.principal_usd),
            ("loan_balance", self.loan_balance_usd),
            ("taxable_income", self.taxable_income_usd),
            ("losses_used", self.losses_used_usd),
            ("losses_carried", self.losses_carried_usd),
            ("tax", self.tax_usd),
            ("cash_flow", self.cash_flow_usd),
            ("discounted", self.discounted_usd),
            ("cumulative", self.cumulative_usd),
            ("cumulative_discounted", self.cumulative_discounted_usd),
        ];
        let revenue = self.revenue_by_product_usd.iter().map(|usd| ("revenue_by_product", *usd));
        let incentives = self.incentives_by_code_usd.iter().map(|usd| ("incentives_by_code", *usd));
        columns.into_iter().chain(revenue).chain(incentives).collect::<Vec<_>>().into_iter()
    }
}

/// Works out the cash-flow table.
///
/// It is the same code that finds the cash flow of the base analysis, with every column kept.
///
/// ```
/// use safire_engine::{InputDocument, Plain, analyse, cash_flow, resolve};
///
/// let example: serde_json::Value =
///     serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
/// let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
/// let inputs = resolve(&given, None).unwrap().inputs;
///
/// let table = cash_flow(&inputs).unwrap();
/// let flow: Vec<f64> = table.years.iter().map(|year| year.cash_flow_usd).collect();
/// assert_eq!(flow, analyse(&inputs, &mut Plain).unwrap().cash_flow_usd);
/// ```
pub fn cash_flow(inputs: &Inputs) -> Result<CashFlowTable, Failure> {
    let mut recorder = Plain;
    let ledger = &mut Ledger::new(&mut recorder);
    let stages = Stages::of(inputs, ledger)?;
    let rate = Rate::of(inputs, ledger)?;
    let plan = Plan::new(inputs, &stages, rate);
    let mut years = plan.years_as_given();
    years.iter().try_for_each(finite)?;
    let products: Vec<String> = inputs.products.iter().map(|product| product.code.clone()).collect();
    let incentives: Vec<String> = plan.incentives.iter().map(|incentive| incentive.code().into()).collect();
    // Nothing is sold and nothing paid while building: each column is as long as the table.
    for year in &mut years {
        year.revenue_by_product_usd.resize(products.len(), 0.0);
        year.incentives_by_code_usd.resize(incentives.len(), 0.0);
    }
    let money = if inputs.finance.inflation == 0.0 { Money::Real } else { Money::Nominal };
    Ok(CashFlowTable { money, discount_rate: rate.value, products, incentives, years })
}

/// Refuses a year with an amount that is not a finite number.
fn finite(year: &CashFlowYear) -> Result<(), Failure> {
    match year.amounts().find(|(_, usd)| !usd.is_finite()) {
        Some((column, usd)) => Err(Failure::not_finite(format!("{column}.{}", year.year), usd)),
        None => Ok(()),
    }
}
