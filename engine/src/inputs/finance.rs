//! Validated switches of finance, policy and carbon.

use serde::Serialize;

use super::switches::{Allocation, CleanFuelCredit, Depreciation, Financing, FuelKind, Losses, Payback, SafAllowances};

/// How the investment is financed, depreciated and taxed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Finance {
    /// How the investment is written off.
    pub depreciation: Depreciation,
    /// Years of straight-line depreciation; the lifetime where absent.
    pub depreciation_yr: Option<u32>,
    /// What becomes of a year's loss.
    pub losses: Losses,
    /// The greatest share of a year's taxable income that carried losses may cancel.
    pub loss_limit: f64,
    /// How debt is accounted for.
    pub financing: Financing,
    /// When money counts as back.
    pub payback: Payback,
    /// Calendar year of the first year of operation.
    pub first_year: Option<i32>,
    /// Shares of the investment by year of construction.
    pub construction: [f64; 5],
    /// Part of the first year of operation that is start-up.
    pub startup_yr: f64,
    /// Revenue during start-up per ordinary one.
    pub startup_revenue: f64,
    /// Variable cost during start-up per ordinary one.
    pub startup_variable_cost: f64,
    /// Fixed cost during start-up per ordinary one.
    pub startup_fixed_cost: f64,
    /// Share of the investment that is borrowed.
    pub debt_share: f64,
    /// Interest on debt.
    pub debt_rate: f64,
    /// Years in which debt is repaid.
    pub debt_term_yr: u32,
    /// General inflation.
    pub inflation: f64,
    /// Rise of prices above inflation.
    pub escalation: Escalation,
}

/// Rise of prices above inflation, per year.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Escalation {
    /// Feedstocks.
    pub feedstock: f64,
    /// Hydrogen.
    pub hydrogen: f64,
    /// Electricity.
    pub electricity: f64,
    /// The main product.
    pub main_product: f64,
    /// The other products.
    pub co_product: f64,
    /// The fixed cost.
    pub fixed_cost: f64,
}

impl Default for Finance {
    /// The profile `safire`.
    fn default() -> Self {
        Self {
            depreciation: Depreciation::StraightLine,
            depreciation_yr: None,
            losses: Losses::Expire,
            loss_limit: 1.0,
            financing: Financing::Loan,
            payback: Payback::NotNegative,
            first_year: None,
            construction: [1.0, 0.0, 0.0, 0.0, 0.0],
            startup_yr: 0.0,
            startup_revenue: 1.0,
            startup_variable_cost: 1.0,
            startup_fixed_cost: 1.0,
            debt_share: 0.0,
            debt_rate: 0.0,
            debt_term_yr: 1,
            inflation: 0.0,
            escalation: Escalation::default(),
        }
    }
}

impl Finance {
    /// Whether every switch is as in the profile `safire`.
    pub fn is_simple(&self) -> bool {
        *self == Self::default()
    }

    /// How many years construction takes; the last of them is year 0.
    pub fn construction_years(&self) -> usize {
        self.construction.iter().rposition(|share| *share != 0.0).map_or(1, |last| last + 1)
    }
}

/// Incentives that enter the cash flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Policy {
    /// Paid per tonne of CO2e avoided.
    pub carbon_price: Option<Offer>,
    /// Paid per tonne of main product.
    pub production_incentive: Option<Offer>,
    /// Price of an EU ETS allowance.
    pub eu_allowance_usd_per_t: Option<f64>,
    /// Share of the EU ETS allowances' value that reaches the producer; all of it where absent.
    pub eu_pass_through: Option<f64>,
    /// The US clean fuel production credit.
    pub us_45z: Option<CleanFuelCredit>,
    /// What kind of renewable fuel the main product is; a biofuel where absent.
    pub fuel_kind: Option<FuelKind>,
    /// The EU ETS allowances for sustainable aviation fuel.
    pub eu_saf_allowances: Option<SafAllowances>,
}

impl Policy {
    /// Whether nothing is said about policy.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the US credit enters the cash flow, and at which amount.
    pub fn clean_fuel_credit(&self) -> CleanFuelCredit {
        self.us_45z.unwrap_or(CleanFuelCredit::None)
    }

    /// What kind of renewable fuel the main product is.
    pub fn kind(&self) -> FuelKind {
        self.fuel_kind.unwrap_or(FuelKind::Biofuel)
    }

    /// The share of the EU ETS allowances' value that reaches the producer, 0 where they do not enter.
    pub fn allowances_passed_on(&self) -> f64 {
        match self.eu_saf_allowances {
            Some(SafAllowances::PassedOn) => self.eu_pass_through.unwrap_or(1.0),
            Some(SafAllowances::None) | None => 0.0,
        }
    }

    /// Whether an incentive enters the cash flow.
    pub fn pays(&self) -> bool {
        self.carbon_price.is_some()
            || self.production_incentive.is_some()
            || self.clean_fuel_credit() != CleanFuelCredit::None
            || self.allowances_passed_on() > 0.0
    }

    /// Whether an incentive depends on the calendar.
    pub(super) fn needs_calendar(&self) -> bool {
        let limited = |offer: Option<Offer>| offer.is_some_and(|o| o.first_year.is_some() || o.last_year.is_some());
        self.clean_fuel_credit() != CleanFuelCredit::None
            || self.allowances_passed_on() > 0.0
            || limited(self.carbon_price)
            || limited(self.production_incentive)
    }
}

/// Money per tonne, for some years.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Offer {
    /// How much.
    pub usd_per_t: f64,
    /// First calendar year; from the beginning where absent.
    pub first_year: Option<i32>,
    /// Last calendar year; for ever where absent.
    pub last_year: Option<i32>,
}

impl Offer {
    /// Whether the offer holds in a calendar year; without a calendar only an unlimited one does.
    pub fn holds_in(&self, calendar_year: Option<i32>) -> bool {
        match calendar_year {
            Some(year) => {
                self.first_year.is_none_or(|first| first <= year) && self.last_year.is_none_or(|last| year <= last)
            }
            None => self.first_year.is_none() && self.last_year.is_none(),
        }
    }
}

/// How emissions are found and shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Carbon {
    /// A default life-cycle value instead of the inventory.
    pub default_ci_g_per_mj: Option<f64>,
    /// How emissions are shared among products; by energy where absent.
    pub allocation: Option<Allocation>,
}

impl Carbon {
    /// Whether nothing is said about carbon.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How emissions are shared among products.
    pub fn allocated_by(&self) -> Allocation {
        self.allocation.unwrap_or(Allocation::Energy)
    }
}
