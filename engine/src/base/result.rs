//! What the base analysis answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;

/// The base analysis of a scenario: stored and served in this form.
///
/// Units are in the names, and inside a material or product the unit is the whole name, so that the
/// stored form of an ordinary scenario stays below 2 kB.
///
/// How each number is worked out is in the trace; how each formula reads, in [`plant`](crate::plant),
/// [`carbon`](crate::carbon) and [`finance`](crate::finance).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "The base analysis of a scenario. Units are in the names.")]
#[serde(deny_unknown_fields)]
pub struct BaseAnalysis {
    /// Total capital investment.
    #[schema(example = 400_000_000)]
    pub tci_usd: f64,
    /// Working capital, bound from year 0 and returned in the last year.
    #[schema(example = 0)]
    pub working_capital_usd: f64,
    /// Fuel per hour of operation.
    #[schema(example = 62.5)]
    pub throughput_t_per_h: f64,
    /// Feedstocks, by code.
    pub feedstocks: Vec<FeedstockUse>,
    /// Hydrogen.
    pub hydrogen: HydrogenUse,
    /// Electricity.
    pub electricity: ElectricityUse,
    /// Products: the main product, then the others by code.
    pub products: Vec<ProductResult>,
    /// All products together.
    #[schema(example = 500_000)]
    pub production_t_per_yr: f64,
    /// Energy out per kg of nominal capacity: the energy content of the fuel where yields sum to 1.
    #[schema(example = 43.536)]
    pub energy_mj_per_kg: f64,
    /// Operating cost.
    pub opex_usd_per_yr: Opex,
    /// Sales of all products, premiums included.
    #[schema(example = 1_177_500_000)]
    pub revenue_usd_per_yr: f64,
    /// Carbon intensity of the fuel, by cause.
    pub ci_g_per_mj: CarbonIntensity,
    /// Emissions of the plant, in tCO2e.
    #[schema(example = 464_708)]
    pub co2e_t_per_yr: f64,
    /// Capital recovery factor, per year.
    #[schema(example = 0.0944)]
    pub crf: f64,
    /// Total capital investment as equal yearly parts with interest.
    #[schema(example = 37_757_170)]
    pub annual_capital_usd_per_yr: f64,
    /// Levelized cost of production, per tonne of all products.
    #[schema(example = 1495.81)]
    pub lcop_usd_per_t: f64,
    /// Levelized cost per tonne of main product after selling the co-products.
    #[schema(example = 1657.52)]
    pub lcop_net_usd_per_t: f64,
    /// Cash flow by year, from the first year of construction to the last year of operation.
    pub cash_flow_usd: Vec<f64>,
    /// The year that the cash flow begins with; 0, the year before operation, where left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cash_flow_first_year: i32,
    /// Net present value.
    #[schema(example = 3_224_127_521_u64)]
    pub npv_usd: f64,
    /// Internal rate of return, per year.
    pub irr: Answer,
    /// First year in which the investment is repaid.
    pub payback_years: Answer,
    /// First year after the payback in which the sum of the cash flow is negative again; left out where it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payback_negative_again_year: Option<i32>,
    /// First year in which the investment is repaid with interest.
    pub discounted_payback_years: Answer,
    /// First year after the discounted payback in which the discounted sum is negative again; left out where it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discounted_payback_negative_again_year: Option<i32>,
    /// Minimum selling price of the main product, before its premium.
    pub msp_usd_per_t: Answer,
    /// The same per energy.
    pub msp_usd_per_gj: Answer,
    /// What avoiding a tonne of CO2e costs against the fossil comparator.
    pub abatement_usd_per_t: Answer,
}

fn is_zero(year: &i32) -> bool {
    *year == 0
}

/// One feedstock's use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "UCO", "t_per_yr": 605000, "usd_per_yr": 562650000 }))]
pub struct FeedstockUse {
    /// Its code.
    pub code: String,
    /// Consumption.
    pub t_per_yr: f64,
    /// Cost; negative for a gate fee.
    pub usd_per_yr: f64,
}

/// Hydrogen use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "t_per_yr": 21000, "usd_per_yr": 113400000 }))]
pub struct HydrogenUse {
    /// Consumption.
    pub t_per_yr: f64,
    /// Cost.
    pub usd_per_yr: f64,
}

/// Electricity use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "mwh_per_yr": 60000, "usd_per_yr": 3300000 }))]
pub struct ElectricityUse {
    /// Consumption.
    pub mwh_per_yr: f64,
    /// Cost.
    pub usd_per_yr: f64,
}

/// One product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "code": "jet", "t_per_yr": 320000, "cce_percent": 57.4, "usd_per_t": 3000, "usd_per_yr": 960000000,
    "energy_share": 0.644, "co2e_t_per_yr": 299217,
}))]
pub struct ProductResult {
    /// Its code.
    pub code: String,
    /// Production.
    pub t_per_yr: f64,
    /// Carbon conversion efficiency: the share of the feedstocks' carbon that ends up here.
    pub cce_percent: f64,
    /// Price with its premium for a low carbon intensity.
    pub usd_per_t: f64,
    /// Revenue.
    pub usd_per_yr: f64,
    /// Share of the energy out.
    pub energy_share: f64,
    /// Emissions allocated to the product, by energy unless chosen otherwise, in tCO2e.
    pub co2e_t_per_yr: f64,
    /// Its own carbon intensity, where emissions are not allocated by energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_g_per_mj: Option<f64>,
}

/// Operating cost per year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "direct": 679350000, "indirect": 30800000, "total": 710150000 }))]
pub struct Opex {
    /// Feedstocks, hydrogen and electricity.
    pub direct: f64,
    /// Maintenance, insurance, overhead: a ratio of the investment.
    pub indirect: f64,
    /// Both.
    pub total: f64,
}

/// Carbon intensity by cause, in gCO2e/MJ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "feedstock": 1.29, "hydrogen": 0, "electricity": 0.06, "process": 20, "total": 21.35 }))]
pub struct CarbonIntensity {
    /// Of the feedstocks.
    pub feedstock: f64,
    /// Of hydrogen.
    pub hydrogen: f64,
    /// Of electricity.
    pub electricity: f64,
    /// Of the process itself.
    pub process: f64,
    /// All of it.
    pub total: f64,
}
