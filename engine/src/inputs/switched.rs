//! The switches of finance, policy and carbon: taking them in, and what must hold between them.

use crate::units::{Group, Quantity};

use super::balance::SUM_TOLERANCE;
use super::document::InputDocument;
use super::fields::{self, Field};
use super::finance::{Carbon, Escalation, Finance, Offer, Policy};
use super::resolve::Door;
use super::switches::{Allocation, CarbonInputs, CleanFuelCredit, FinanceInputs, Financing, PolicyInputs};
use super::values::Values;
use super::violation::{Allowed, Refusal, Violation, code, number};

impl Door {
    pub(super) fn finance(&mut self, given: &FinanceInputs) -> Finance {
        if given.is_empty() {
            return Finance::default();
        }
        let simple = Finance::default();
        let mut of = |field, quantity| self.number(field, None, quantity);
        Finance {
            depreciation: given.depreciation.unwrap_or(simple.depreciation),
            losses: given.losses.unwrap_or(simple.losses),
            loss_limit: of(&fields::LOSS_LIMIT, &given.loss_limit),
            financing: given.financing.unwrap_or(simple.financing),
            payback: given.payback.unwrap_or(simple.payback),
            startup_yr: of(&fields::STARTUP_TIME, &given.startup_time),
            startup_revenue: of(&fields::STARTUP_REVENUE, &given.startup_revenue),
            startup_variable_cost: of(&fields::STARTUP_VARIABLE_COST, &given.startup_variable_cost),
            startup_fixed_cost: of(&fields::STARTUP_FIXED_COST, &given.startup_fixed_cost),
            debt_share: of(&fields::DEBT_SHARE, &given.debt_share),
            debt_rate: of(&fields::DEBT_RATE, &given.debt_rate),
            debt_term_yr: of(&fields::DEBT_TERM, &given.debt_term) as u32,
            inflation: of(&fields::INFLATION, &given.inflation),
            escalation: self.escalation(given),
            construction: self.construction(given),
            depreciation_yr: self
                .optional(&fields::DEPRECIATION_PERIOD, None, &given.depreciation_period)
                .map(|years| years as u32),
            first_year: self.calendar_year(&fields::FIRST_YEAR, &given.first_year),
        }
    }

    fn escalation(&mut self, given: &FinanceInputs) -> Escalation {
        let mut of = |field, quantity| self.number(field, None, quantity);
        Escalation {
            feedstock: of(&fields::FEEDSTOCK_ESCALATION, &given.feedstock_escalation),
            hydrogen: of(&fields::HYDROGEN_ESCALATION, &given.hydrogen_escalation),
            electricity: of(&fields::ELECTRICITY_ESCALATION, &given.electricity_escalation),
            main_product: of(&fields::MAIN_PRODUCT_ESCALATION, &given.main_product_escalation),
            co_product: of(&fields::CO_PRODUCT_ESCALATION, &given.co_product_escalation),
            fixed_cost: of(&fields::FIXED_COST_ESCALATION, &given.fixed_cost_escalation),
        }
    }

    fn construction(&mut self, given: &FinanceInputs) -> [f64; 5] {
        let mut share = |field, quantity| self.optional(field, None, quantity).unwrap_or(0.0);
        [
            share(&fields::CONSTRUCTION_1, &given.construction_year_1),
            share(&fields::CONSTRUCTION_2, &given.construction_year_2),
            share(&fields::CONSTRUCTION_3, &given.construction_year_3),
            share(&fields::CONSTRUCTION_4, &given.construction_year_4),
            share(&fields::CONSTRUCTION_5, &given.construction_year_5),
        ]
    }

    fn calendar_year(&mut self, field: &'static Field, given: &Option<Quantity>) -> Option<i32> {
        self.optional(field, None, given).map(|year| year as i32)
    }

    pub(super) fn policy(&mut self, given: &PolicyInputs) -> Policy {
        Policy {
            carbon_price: self.offer(
                (&fields::CARBON_PRICE, &given.carbon_price),
                (&fields::CARBON_PRICE_FIRST_YEAR, &given.carbon_price_first_year),
                (&fields::CARBON_PRICE_LAST_YEAR, &given.carbon_price_last_year),
            ),
            production_incentive: self.offer(
                (&fields::PRODUCTION_INCENTIVE, &given.production_incentive),
                (&fields::PRODUCTION_INCENTIVE_FIRST_YEAR, &given.production_incentive_first_year),
                (&fields::PRODUCTION_INCENTIVE_LAST_YEAR, &given.production_incentive_last_year),
            ),
            eu_allowance_usd_per_t: self.optional(&fields::EU_ALLOWANCE_PRICE, None, &given.eu_allowance_price),
            eu_pass_through: self.optional(&fields::EU_PASS_THROUGH, None, &given.eu_pass_through),
            us_45z: given.us_45z,
            fuel_kind: given.fuel_kind,
            eu_saf_allowances: given.eu_saf_allowances,
        }
    }

    fn offer(&mut self, amount: Given<'_>, first: Given<'_>, last: Given<'_>) -> Option<Offer> {
        let usd_per_t = self.optional(amount.0, None, amount.1);
        let first_year = self.calendar_year(first.0, first.1);
        let last_year = self.calendar_year(last.0, last.1);
        usd_per_t.map(|usd_per_t| Offer { usd_per_t, first_year, last_year })
    }

    pub(super) fn carbon(&mut self, given: &CarbonInputs) -> Carbon {
        Carbon {
            default_ci_g_per_mj: self.optional(&fields::DEFAULT_CI, None, &given.default_ci),
            allocation: given.allocation,
        }
    }
}

/// A field and what is given for it.
type Given<'a> = (&'static Field, &'a Option<Quantity>);

/// What is wrong between the switches.
pub(super) fn violations(given: &InputDocument, values: &Values) -> Vec<Violation> {
    let checks =
        [construction(values), debt_term(values), calendar(values), density(values), value_to_allocate_by(values)];
    checks.into_iter().flatten().chain(loan(values)).chain(inventory_beside_default(given)).collect()
}

/// All of the capital is spent.
fn construction(values: &Values) -> Option<Violation> {
    let sum: f64 = values.finance.construction.iter().sum();
    ((sum - 1.0).abs() > SUM_TOLERANCE).then(|| Violation {
        pointer: "/finance".into(),
        code: code::CONSTRUCTION_SHARES,
        message: format!("the shares of capital by year of construction sum to {}; allowed is 1", number(sum)),
        allowed: Some(Allowed { min: 1.0, max: 1.0, unit: Group::Ratio.base_unit(), min_exclusive: false }),
    })
}

/// A debt has a rate and, where it is served in the cash flow, a term.
fn loan(values: &Values) -> Vec<Violation> {
    let finance = &values.finance;
    if finance.debt_share.is_nan() || finance.debt_share <= 0.0 {
        return Vec::new();
    }
    let needs_term = finance.financing == Financing::Loan;
    let missing = [
        (finance.debt_rate.is_nan(), &fields::DEBT_RATE),
        (needs_term && finance.debt_term_yr == 0, &fields::DEBT_TERM),
    ];
    let missing = missing.into_iter().filter(|(is_missing, _)| *is_missing);
    missing.map(|(_, field)| Refusal { field, code: None }.required()).collect()
}

/// The loan is repaid while the plant runs.
fn debt_term(values: &Values) -> Option<Violation> {
    let (term, lifetime) = (values.finance.debt_term_yr, values.economics.lifetime_yr);
    let owes = values.finance.debt_share > 0.0 && lifetime > 0;
    (owes && term > lifetime).then(|| Violation {
        pointer: fields::DEBT_TERM.pointer(None),
        code: code::DEBT_TERM,
        message: format!("debt term is {term} yr, which is longer than the lifetime; allowed is 1 to {lifetime} yr"),
        allowed: Some(Allowed { min: 1.0, max: lifetime.into(), unit: "yr", min_exclusive: false }),
    })
}

/// An incentive that begins or ends in a calendar year needs a calendar.
fn calendar(values: &Values) -> Option<Violation> {
    let missing = values.policy.needs_calendar() && values.finance.first_year.is_none();
    missing.then(|| Refusal { field: &fields::FIRST_YEAR, code: None }.required())
}

/// A credit per gallon needs to know how many gallons are made.
fn density(values: &Values) -> Option<Violation> {
    let main = values.products.first()?;
    let missing = values.policy.clean_fuel_credit() != CleanFuelCredit::None && main.density_kg_per_m3.is_none();
    missing.then(|| Refusal { field: &fields::PRODUCT_DENSITY, code: Some(&main.code) }.required())
}

fn value_to_allocate_by(values: &Values) -> Option<Violation> {
    let worthless = values.products.iter().all(|p| p.price_usd_per_t * p.yield_kg_per_kg == 0.0);
    (values.carbon.allocated_by() == Allocation::EconomicValue && worthless).then(|| Violation {
        pointer: "/carbon/allocation".into(),
        code: code::NO_VALUE,
        message: "emissions are to be shared by economic value, but no product has a price above 0".into(),
        allowed: None,
    })
}

/// A default life-cycle value stands for the whole inventory: to give parts of it as well is a contradiction.
fn inventory_beside_default(given: &InputDocument) -> Vec<Violation> {
    if given.carbon.default_ci.is_none() {
        return Vec::new();
    }
    let mut given = given.clone();
    let parts = inventory(&mut given).into_iter();
    let beside = parts.filter(|(_, ci)| ci.is_some()).map(|(pointer, _)| Violation {
        message: format!("{pointer} is given beside /carbon/default_ci; allowed is an inventory or a default value"),
        pointer,
        code: code::CI_TWICE,
        allowed: None,
    });
    beside.collect()
}

/// The parts of the inventory of emissions, with their pointers.
pub(super) fn inventory(document: &mut InputDocument) -> Vec<(String, &mut Option<Quantity>)> {
    let mut parts = vec![
        (fields::PROCESS_CI.pointer(None), &mut document.plant.process_ci),
        (fields::HYDROGEN_CI.pointer(None), &mut document.utilities.hydrogen.ci),
        (fields::ELECTRICITY_CI.pointer(None), &mut document.utilities.electricity.ci),
    ];
    for (code, feedstock) in &mut document.feedstocks {
        parts.push((fields::FEEDSTOCK_CI.pointer(Some(code)), &mut feedstock.ci));
    }
    parts
}
