//! CORSIA's default life-cycle values.

use serde::Serialize;
use utoipa::ToSchema;

pub use super::corsia_table::CORSIA_DEFAULTS;

/// Where fuel and intermediate are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// At one place.
    Integrated,
    /// At two places.
    Standalone,
    /// The value holds for either.
    Both,
}

/// The default life-cycle value of a pathway.
///
/// # Source
///
/// ICAO, *CORSIA Default Life Cycle Emissions Values for CORSIA Eligible Fuels* (Doc 06), from secondary
/// copies that `engine/data/corsia_default_lca.json` names; it says how many copies hold each row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct CorsiaDefault {
    /// Process technology.
    pub process: &'static str,
    /// Feedstock.
    pub feedstock: &'static str,
    /// Region.
    pub region: &'static str,
    /// Where fuel and intermediate are made.
    pub mode: Mode,
    /// Core life-cycle emissions, in gCO2e/MJ.
    pub core_g_per_mj: f64,
    /// Emissions of induced land-use change, in gCO2e/MJ.
    pub land_use_g_per_mj: f64,
}

impl CorsiaDefault {
    pub(super) const fn new(
        process: &'static str,
        feedstock: &'static str,
        region: &'static str,
        mode: Mode,
        core_g_per_mj: f64,
        land_use_g_per_mj: f64,
    ) -> Self {
        Self { process, feedstock, region, mode, core_g_per_mj, land_use_g_per_mj }
    }

    /// The life-cycle value, in gCO2e/MJ: what to give as `/carbon/default_ci`.
    ///
    /// # Formula
    ///
    /// `LS_f = core + ILUC`
    ///
    /// ```
    /// use safire_engine::policy::corsia::CORSIA_DEFAULTS;
    /// let oil = CORSIA_DEFAULTS.iter().find(|row| row.feedstock == "Used cooking oil").unwrap();
    /// assert_eq!((oil.process, oil.life_cycle_g_per_mj()), ("HEFA", 13.9));
    /// ```
    pub fn life_cycle_g_per_mj(&self) -> f64 {
        self.core_g_per_mj + self.land_use_g_per_mj
    }
}
