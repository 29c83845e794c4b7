//! Validated inputs: plain numbers in base units, which only [`resolve`](super::resolve) can make.

use std::ops::Deref;

use serde::Serialize;

use super::finance::{Carbon, Finance, Policy};

/// Inputs that passed every check. Readable like [`Values`], never changeable: nothing but
/// [`resolve`](super::resolve) makes one, so a formula that takes `Inputs` needs no checks of its own.
///
/// ```compile_fail
/// fn poison(inputs: &mut safire_engine::Inputs) {
///     inputs.plant.capacity_t_per_yr = f64::NAN;
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Inputs(pub(super) Values);

impl Deref for Inputs {
    type Target = Values;

    fn deref(&self) -> &Values {
        &self.0
    }
}

/// The numbers of a scenario in base units.
///
/// The order is fixed (main product first, the rest by code), so the order in which a user writes
/// products never changes a bit of a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Values {
    /// The plant as a whole.
    pub plant: Plant,
    /// Feedstocks, by code.
    pub feedstocks: Vec<Feedstock>,
    /// Hydrogen bought by the plant.
    pub hydrogen: Hydrogen,
    /// Electricity bought by the plant.
    pub electricity: Electricity,
    /// Products: the main product, then the others by code.
    pub products: Vec<Product>,
    /// Money and time.
    pub economics: Economics,
    /// The fossil jet fuel to compare with.
    pub fossil: Fossil,
    // What is left out as long as it says nothing keeps the fingerprints of runs from before it existed.
    /// How the investment is financed, depreciated and taxed.
    #[serde(skip_serializing_if = "Finance::is_simple")]
    pub finance: Finance,
    /// Incentives that enter the cash flow.
    #[serde(skip_serializing_if = "Policy::is_empty")]
    pub policy: Policy,
    /// How emissions are found and shared.
    #[serde(skip_serializing_if = "Carbon::is_empty")]
    pub carbon: Carbon,
}

impl Values {
    /// Whether every year of operation is like the next, so that the closed forms hold.
    pub fn has_equal_years(&self) -> bool {
        self.finance.is_simple() && !self.policy.pays()
    }

    /// The product whose selling price is asked for.
    pub fn main_product(&self) -> &Product {
        &self.products[0]
    }
}

/// The plant as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plant {
    /// C, liquid fuel per year.
    pub capacity_t_per_yr: f64,
    /// Hours of operation per year.
    pub load_hours_per_yr: f64,
    /// Carbon intensity of the process itself.
    pub process_ci_g_per_mj: f64,
}

/// One feedstock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Feedstock {
    /// Its code in the master data.
    pub code: String,
    /// Price; negative for a gate fee.
    pub price_usd_per_t: f64,
    /// Feedstock per fuel.
    pub yield_kg_per_kg: f64,
    /// Carbon per mass.
    pub carbon_kg_per_kg: f64,
    /// Carbon intensity of its supply.
    pub ci_g_per_kg: f64,
    /// Lower heating value, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_mj_per_kg: Option<f64>,
}

/// Hydrogen bought by the plant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hydrogen {
    /// Price.
    pub price_usd_per_t: f64,
    /// Hydrogen per fuel.
    pub yield_kg_per_kg: f64,
    /// Carbon intensity.
    pub ci_g_per_kg: f64,
}

/// Electricity bought by the plant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Electricity {
    /// Price.
    pub price_usd_per_mwh: f64,
    /// Electricity per fuel; the same number in kWh/kg.
    pub yield_mwh_per_t: f64,
    /// Carbon intensity.
    pub ci_g_per_kwh: f64,
}

/// One product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Product {
    /// Its code in the master data.
    pub code: String,
    /// Price before any premium.
    pub price_usd_per_t: f64,
    /// Product per nominal capacity.
    pub yield_kg_per_kg: f64,
    /// Carbon per mass.
    pub carbon_kg_per_kg: f64,
    /// Lower heating value.
    pub energy_mj_per_kg: f64,
    /// Density, where known.
    pub density_kg_per_m3: Option<f64>,
    /// Premium in USD/t per gCO2e/MJ saved against the fossil comparator.
    pub price_sensitivity_usd_per_t_per_g_per_mj: f64,
}

/// Money and time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Economics {
    /// r, per year.
    pub discount_rate: f64,
    /// n, whole years.
    pub lifetime_yr: u32,
    /// Total capital investment of the reference plant.
    pub tci_reference_usd: f64,
    /// Capacity of the reference plant.
    pub reference_capacity_t_per_yr: f64,
    /// Exponent of the cost of scale.
    pub scaling_exponent: f64,
    /// Working capital per total capital investment.
    pub working_capital_ratio: f64,
    /// Indirect OPEX per total capital investment and year.
    pub indirect_opex_ratio: f64,
    /// Tax on profit.
    pub tax_rate: f64,
}

/// The fossil jet fuel to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fossil {
    /// Life-cycle carbon intensity.
    pub ci_g_per_mj: f64,
    /// Price.
    pub price_usd_per_t: f64,
    /// Lower heating value.
    pub energy_mj_per_kg: f64,
}
