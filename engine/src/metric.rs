//! The numbers of a base analysis that other analyses ask about.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::base::BaseAnalysis;

/// A number of the base analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Total capital investment, in USD.
    Tci,
    /// Operating cost, in USD/yr.
    Opex,
    /// Revenue, in USD/yr.
    Revenue,
    /// Levelized cost of production, in USD/t.
    Lcop,
    /// Levelized cost after selling the co-products, in USD/t.
    LcopNet,
    /// Net present value, in USD.
    Npv,
    /// Internal rate of return, per year.
    Irr,
    /// Payback, in years.
    Payback,
    /// Discounted payback, in years.
    DiscountedPayback,
    /// Minimum selling price of the main product, in USD/t.
    Msp,
    /// Carbon intensity, in gCO2e/MJ.
    Ci,
    /// Emissions, in tCO2e/yr.
    Emissions,
    /// Abatement cost, in USD/tCO2e.
    Abatement,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Tci,
        Self::Opex,
        Self::Revenue,
        Self::Lcop,
        Self::LcopNet,
        Self::Npv,
        Self::Irr,
        Self::Payback,
        Self::DiscountedPayback,
        Self::Msp,
        Self::Ci,
        Self::Emissions,
        Self::Abatement,
    ];

    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Tci | Self::Npv => "USD",
            Self::Opex | Self::Revenue => "USD/yr",
            Self::Lcop | Self::LcopNet | Self::Msp => "USD/t",
            Self::Irr => "1",
            Self::Payback | Self::DiscountedPayback => "yr",
            Self::Ci => "gCO2e/MJ",
            Self::Emissions => "t/yr",
            Self::Abatement => "USD/t",
        }
    }

    /// What a result says about it.
    pub fn of(self, result: &BaseAnalysis) -> Answer {
        let found = |value| Answer::Found { value };
        match self {
            Self::Tci => found(result.tci_usd),
            Self::Opex => found(result.opex_usd_per_yr.total),
            Self::Revenue => found(result.revenue_usd_per_yr),
            Self::Lcop => found(result.lcop_usd_per_t),
            Self::LcopNet => found(result.lcop_net_usd_per_t),
            Self::Npv => found(result.npv_usd),
            Self::Irr => result.irr.clone(),
            Self::Payback => result.payback_years.clone(),
            Self::DiscountedPayback => result.discounted_payback_years.clone(),
            Self::Msp => result.msp_usd_per_t.clone(),
            Self::Ci => found(result.ci_g_per_mj.total),
            Self::Emissions => found(result.co2e_t_per_yr),
            Self::Abatement => result.abatement_usd_per_t.clone(),
        }
    }
}
