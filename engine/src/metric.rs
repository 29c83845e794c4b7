//! The numbers of a base analysis that other analyses are about.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::base::BaseAnalysis;

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident, $unit:literal, $value:expr;)+) => {
        /// A number of the base analysis.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Metric {
            $($(#[$doc])* $name,)+
        }

        impl Metric {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its unit.
            pub const fn unit(self) -> &'static str {
                match self {
                    $(Self::$name => $unit,)+
                }
            }

            /// Its value, where there is exactly one.
            pub fn of(self, result: &BaseAnalysis) -> Option<f64> {
                let value: fn(&BaseAnalysis) -> Option<f64> = match self {
                    $(Self::$name => $value,)+
                };
                value(result)
            }
        }
    };
}

metrics! {
    /// Levelized cost of production.
    Lcop, "USD/t", |r| Some(r.lcop_usd_per_t);
    /// Levelized cost per tonne of main product after selling the co-products.
    LcopNet, "USD/t", |r| Some(r.lcop_net_usd_per_t);
    /// Net present value.
    Npv, "USD", |r| Some(r.npv_usd);
    /// Internal rate of return.
    Irr, "1", |r| r.irr.value();
    /// First year in which the investment is repaid.
    Payback, "yr", |r| r.payback_years.value();
    /// First year in which the investment is repaid with interest.
    DiscountedPayback, "yr", |r| r.discounted_payback_years.value();
    /// Minimum selling price of the main product.
    Msp, "USD/t", |r| r.msp_usd_per_t.value();
    /// The same per energy.
    MspPerEnergy, "USD/GJ", |r| r.msp_usd_per_gj.value();
    /// Carbon intensity of the fuel.
    Ci, "gCO2e/MJ", |r| Some(r.ci_g_per_mj.total);
    /// Emissions of the plant.
    Emissions, "tCO2e/yr", |r| Some(r.co2e_t_per_yr);
    /// What avoiding a tonne of CO2e costs.
    Abatement, "USD/tCO2e", |r| r.abatement_usd_per_t.value();
    /// Total capital investment.
    Tci, "USD", |r| Some(r.tci_usd);
    /// Operating cost.
    Opex, "USD/yr", |r| Some(r.opex_usd_per_yr.total);
    /// Feedstocks, hydrogen and electricity.
    DirectOpex, "USD/yr", |r| Some(r.opex_usd_per_yr.direct);
    /// Operating cost that is a ratio of the investment.
    IndirectOpex, "USD/yr", |r| Some(r.opex_usd_per_yr.indirect);
    /// Sales of all products.
    Revenue, "USD/yr", |r| Some(r.revenue_usd_per_yr);
    /// All products together.
    Production, "t/yr", |r| Some(r.production_t_per_yr);
}

impl Metric {
    /// What a result says about it, also where that is no number, or several.
    pub fn answer(self, result: &BaseAnalysis) -> Answer {
        match self {
            Self::Irr => result.irr.clone(),
            Self::Payback => result.payback_years.clone(),
            Self::DiscountedPayback => result.discounted_payback_years.clone(),
            Self::Msp => result.msp_usd_per_t.clone(),
            Self::MspPerEnergy => result.msp_usd_per_gj.clone(),
            Self::Abatement => result.abatement_usd_per_t.clone(),
            always => match always.of(result) {
                Some(value) => Answer::Found { value },
                None => Answer::None { reason: "the analysis does not give it".into() },
            },
        }
    }

    /// Whether it only takes whole numbers.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Payback | Self::DiscountedPayback)
    }
}
