//! The numbers of each scheme as its law has them, each with its source.

use crate::inputs::{CleanFuelCredit, FuelKind};

/// Where CORSIA's numbers come from.
pub const CORSIA_SOURCE: &str = "ICAO, CORSIA Sustainability Criteria for CORSIA Eligible Fuels (Doc 05), criterion 1; baseline 89 gCO2e/MJ: Annex 16 Volume IV";
/// Where the Renewable Energy Directive's numbers come from.
pub const RED_SOURCE: &str =
    "Directive (EU) 2018/2001 as amended by (EU) 2023/2413, Articles 29(10) and 29a, Annex V part C point 19";
/// Where the shares of ReFuelEU Aviation come from.
pub const REFUELEU_SOURCE: &str = "Regulation (EU) 2023/2405, Annex I";
/// Where the US credit's numbers come from.
pub const US_45Z_SOURCE: &str = "26 U.S.C. 45Z as amended by Public Law 119-21, section 70521";
/// Where the EU ETS allowances' numbers come from.
pub const EU_ETS_SOURCE: &str = "Directive 2003/87/EC as amended by (EU) 2023/958, Article 3c(6)";

/// CORSIA's baseline for jet fuel, in gCO2e/MJ.
pub const CORSIA_BASELINE: f64 = 89.0;
/// By how much less a CORSIA eligible fuel emits, at least.
pub const CORSIA_SAVING: f64 = 0.10;
/// The Renewable Energy Directive's fossil comparator for transport, in gCO2e/MJ.
pub const RED_COMPARATOR: f64 = 94.0;
/// The emissions rate at which the US credit becomes 0, in kgCO2e/MMBtu.
pub const US_45Z_BASELINE: f64 = 50.0;
/// MJ in a million British thermal units (International Table).
pub const MJ_PER_MMBTU: f64 = 1055.05585262;
/// Litres in a US gallon, exactly.
pub const LITRES_PER_GALLON: f64 = 3.785411784;
/// Tonnes of CO2 from burning a tonne of jet kerosene: ICAO Annex 16 Volume IV.
pub const CO2_PER_FOSSIL_JET: f64 = 3.16;

/// The saving that the Renewable Energy Directive asks of a plant that starts now: 65 % of biofuels (plants
/// in operation since 2021), 70 % of fuels of non-biological origin.
pub fn red_saving(kind: FuelKind) -> f64 {
    match kind {
        FuelKind::Biofuel | FuelKind::AdvancedBiofuel => 0.65,
        FuelKind::Rfnbo => 0.70,
    }
}

/// The least share of sustainable fuel at EU airports in a year.
///
/// ```
/// use safire_engine::policy::schemes::refueleu_share;
/// assert_eq!((refueleu_share(2024), refueleu_share(2031), refueleu_share(2050)), (0.0, 0.06, 0.70));
/// ```
pub fn refueleu_share(year: i32) -> f64 {
    match year {
        ..2025 => 0.0,
        2025..2030 => 0.02,
        2030..2035 => 0.06,
        2035..2040 => 0.20,
        2040..2045 => 0.34,
        2045..2050 => 0.42,
        2050.. => 0.70,
    }
}

/// The least share of synthetic fuel at EU airports in a year; 2030–31 and 2032–34 are averages over the
/// period.
pub fn refueleu_synthetic_share(year: i32) -> f64 {
    match year {
        ..2030 => 0.0,
        2030..2032 => 0.012,
        2032..2035 => 0.02,
        2035..2040 => 0.05,
        2040..2045 => 0.10,
        2045..2050 => 0.15,
        2050.. => 0.35,
    }
}

/// The US credit for sustainable aviation fuel of emissions rate 0 in a year, in USD/gal: the special rate
/// for aviation ends with 2025, the credit with 2029. The adjustment for inflation is left out.
///
/// ```
/// use safire_engine::{inputs::CleanFuelCredit, policy::schemes::us_45z_amount};
/// let full = |year| us_45z_amount(CleanFuelCredit::Full, year);
/// assert_eq!((full(2025), full(2026), full(2030)), (1.75, 1.0, 0.0));
/// ```
pub fn us_45z_amount(credit: CleanFuelCredit, year: i32) -> f64 {
    match (credit, year) {
        (CleanFuelCredit::Base, 2025) => 0.35,
        (CleanFuelCredit::Full, 2025) => 1.75,
        (CleanFuelCredit::Base, 2026..=2029) => 0.20,
        (CleanFuelCredit::Full, 2026..=2029) => 1.00,
        _ => 0.0,
    }
}

/// The emissions factor of the US credit.
///
/// # Formula
///
/// `(50 − CI) / 50` with CI in kgCO2e/MMBtu, at least 0; CI counts as at least 0 from 2026. Rounding is left
/// out.
///
/// ```
/// use safire_engine::policy::schemes::us_45z_factor;
/// assert_eq!(us_45z_factor(0.0, 2026), 1.0);
/// assert_eq!(us_45z_factor(-10.0, 2026), 1.0);
/// assert_eq!(us_45z_factor(60.0, 2026), 0.0);
/// ```
pub fn us_45z_factor(ci_g_per_mj: f64, year: i32) -> f64 {
    let rate = us_45z_rate(ci_g_per_mj);
    let rate = if year >= 2026 { rate.max(0.0) } else { rate };
    ((US_45Z_BASELINE - rate) / US_45Z_BASELINE).max(0.0)
}

/// A carbon intensity in the unit of the US credit, kgCO2e/MMBtu.
pub fn us_45z_rate(ci_g_per_mj: f64) -> f64 {
    ci_g_per_mj * MJ_PER_MMBTU / 1e3
}

/// The share of the price gap to fossil kerosene that EU ETS allowances cover in a year: 50 %, 70 % for
/// advanced biofuels, 95 % for fuels of non-biological origin, from 2024 to 2030. That they cover all of it
/// at small and remote airports is left out.
pub fn eu_saf_share(kind: FuelKind, year: i32) -> f64 {
    if !(2024..=2030).contains(&year) {
        return 0.0;
    }
    match kind {
        FuelKind::Biofuel => 0.50,
        FuelKind::AdvancedBiofuel => 0.70,
        FuelKind::Rfnbo => 0.95,
    }
}
