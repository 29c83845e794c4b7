//! Incentives as money per year.

use crate::inputs::{CleanFuelCredit, Inputs};

use super::schemes::{CO2_PER_FOSSIL_JET, LITRES_PER_GALLON, eu_saf_share, us_45z_amount, us_45z_factor};

/// What an incentive is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incentive {
    CarbonPrice,
    Production,
    Us45z,
    EuSafAllowances,
}

/// What incentives depend on beside the inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale {
    /// Calendar year, where there is a calendar.
    pub calendar_year: Option<i32>,
    /// Main product made in the year.
    pub t: f64,
    /// Carbon intensity of the main product.
    pub ci: f64,
    /// The main product's price in the year.
    pub usd_per_t: f64,
    /// The price level of the year, relative to year 0.
    pub level: f64,
}

impl Incentive {
    /// What enters the cash flow.
    pub fn of(inputs: &Inputs) -> Vec<Self> {
        let policy = &inputs.policy;
        let all = [
            (Self::CarbonPrice, policy.carbon_price.is_some()),
            (Self::Production, policy.production_incentive.is_some()),
            (Self::Us45z, policy.clean_fuel_credit() != CleanFuelCredit::None),
            (Self::EuSafAllowances, policy.allowances_passed_on() > 0.0),
        ];
        all.into_iter().filter(|(_, enters)| *enters).map(|(incentive, _)| incentive).collect()
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::CarbonPrice => "carbon_price",
            Self::Production => "production_incentive",
            Self::Us45z => "us_45z",
            Self::EuSafAllowances => "eu_saf_allowances",
        }
    }

    /// Whether it is income that is taxed; a tax credit is not.
    pub fn is_taxed(self) -> bool {
        self != Self::Us45z
    }

    /// What is paid for a year's sales, in USD.
    ///
    /// # Formula
    ///
    /// carbon price: `p_CO2 · max(0, CI_fossil − CI) · e · m / 1000`; production: `b · m`;
    /// 45Z: `gallons · amount · factor`; EU ETS: `h · share · max(0, P − p_fossil − 3.16 · p_EUA) · m`.
    pub fn paid(self, inputs: &Inputs, sale: &Sale) -> f64 {
        match self {
            Self::CarbonPrice => carbon_price(inputs, sale),
            Self::Production => production(inputs, sale),
            Self::Us45z => us_45z(inputs, inputs.policy.clean_fuel_credit(), sale),
            Self::EuSafAllowances => inputs.policy.allowances_passed_on() * eu_saf_allowances(inputs, sale),
        }
    }
}

fn carbon_price(inputs: &Inputs, sale: &Sale) -> f64 {
    let avoided_g_per_mj = (inputs.fossil.ci_g_per_mj - sale.ci).max(0.0);
    let avoided_t = avoided_g_per_mj * inputs.main_product().energy_mj_per_kg * sale.t / 1e3;
    let offer = inputs.policy.carbon_price.filter(|offer| offer.holds_in(sale.calendar_year));
    offer.map_or(0.0, |offer| offer.usd_per_t * avoided_t)
}

fn production(inputs: &Inputs, sale: &Sale) -> f64 {
    let offer = inputs.policy.production_incentive.filter(|offer| offer.holds_in(sale.calendar_year));
    offer.map_or(0.0, |offer| offer.usd_per_t * sale.t)
}

/// What the US credit pays; nothing without a calendar or a density, which validated inputs have where the
/// credit enters the cash flow.
pub(crate) fn us_45z(inputs: &Inputs, credit: CleanFuelCredit, sale: &Sale) -> f64 {
    let (Some(year), Some(density)) = (sale.calendar_year, inputs.main_product().density_kg_per_m3) else {
        return 0.0;
    };
    let litres = sale.t * 1e6 / density;
    litres / LITRES_PER_GALLON * us_45z_amount(credit, year) * us_45z_factor(sale.ci, year)
}

/// What the EU ETS gives airlines for a year's sales.
pub(crate) fn eu_saf_allowances(inputs: &Inputs, sale: &Sale) -> f64 {
    let Some(year) = sale.calendar_year else { return 0.0 };
    let allowance = inputs.policy.eu_allowance_usd_per_t.unwrap_or(0.0) * CO2_PER_FOSSIL_JET;
    let fossil = inputs.fossil.price_usd_per_t * sale.level;
    let gap = (sale.usd_per_t - fossil - allowance).max(0.0);
    eu_saf_share(inputs.policy.kind(), year) * gap * sale.t
}
