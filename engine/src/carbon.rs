//! Carbon: where it goes, what is emitted per energy, and what avoiding it costs.

use crate::answer::Answer;

/// The share of the feedstock's carbon that ends up in a product, in %.
///
/// # Formula
///
/// `CCE = (c_i · y_i) / Σ(c_f · y_f) · 100 %`
///
/// Validated feedstocks hold carbon, so the denominator is not 0.
///
/// ```
/// use safire_engine::carbon::conversion_efficiency;
/// let jet = conversion_efficiency(0.847, 0.64, 0.78 * 1.21);
/// assert_eq!(format!("{jet:.6}"), "57.435897");
/// ```
pub fn conversion_efficiency(carbon: f64, yield_per_fuel: f64, feedstock_carbon: f64) -> f64 {
    carbon * yield_per_fuel / feedstock_carbon * 100.0
}

/// Carbon intensity that an input adds to the fuel, in gCO2e/MJ.
///
/// # Formula
///
/// `CI_x = CI_input · y / E`, with CI_input in g/kg and y in kg/kg, or g/kWh and kWh/kg (= MWh/t).
///
/// # Source
///
/// Core life-cycle emissions per energy: ICAO, *CORSIA Methodology for Calculating Actual Life Cycle
/// Emissions Values*.
///
/// ```
/// use safire_engine::carbon::intensity;
/// assert_eq!(format!("{:.6}", intensity(46.526, 1.21, 43.536)), "1.293101");
/// ```
pub fn intensity(ci: f64, yield_per_fuel: f64, energy: f64) -> f64 {
    ci * yield_per_fuel / energy
}

/// Emissions per year, in tCO2e/yr.
///
/// # Formula
///
/// `M = CI · E · C / 1000`: g/MJ · MJ/kg · t/yr is kg/yr, a thousandth of it is t/yr.
///
/// ```
/// use safire_engine::carbon::annual_emissions;
/// assert_eq!(annual_emissions(20.0, 43.5, 500e3), 435_000.0);
/// ```
pub fn annual_emissions(ci: f64, energy: f64, capacity: f64) -> f64 {
    ci * energy * capacity / 1e3
}

/// A product's own carbon intensity, from the emissions that are its share, in gCO2e/MJ.
///
/// # Formula
///
/// `CI_i = M_i · 1000 / (m_i · e_i)`: t/yr / (t/yr · MJ/kg) is kg/MJ.
///
/// ```
/// use safire_engine::carbon::product_intensity;
/// assert_eq!(product_intensity(88.0, 100.0, 44.0), 20.0);
/// ```
pub fn product_intensity(emissions: f64, production: f64, energy_content: f64) -> f64 {
    emissions * 1e3 / (production * energy_content)
}

/// A product's share of the energy, and so of the emissions.
///
/// # Formula
///
/// `x_i = e_i · y_i / E`
///
/// # Source
///
/// Energy allocation, as in the CORSIA methodology and RED: every MJ of every product carries the same CI.
///
/// ```
/// use safire_engine::carbon::energy_share;
/// assert_eq!(energy_share(40.0, 0.5, 40.0), 0.5);
/// ```
pub fn energy_share(energy_content: f64, yield_per_fuel: f64, energy: f64) -> f64 {
    energy_content * yield_per_fuel / energy
}

/// What avoiding a tonne of CO2e costs, in USD/tCO2e.
///
/// # Formula
///
/// `A = (MSP − P_fossil) · 1000 / (CI_fossil − CI)`, with both prices in USD/GJ.
///
/// Nothing is avoided by a fuel whose CI is not below the comparator's.
///
/// ```
/// use safire_engine::carbon::abatement_cost;
/// assert_eq!(abatement_cost(38.0, 16.0, 89.0, 21.5).value(), Some(22e3 / 67.5));
/// assert_eq!(abatement_cost(38.0, 16.0, 89.0, 89.0).value(), None);
/// ```
pub fn abatement_cost(msp_usd_per_gj: f64, fossil_usd_per_gj: f64, fossil_ci: f64, ci: f64) -> Answer {
    if ci >= fossil_ci {
        return Answer::none("the fuel's CI is not below the fossil comparator's");
    }
    Answer::Found { value: (msp_usd_per_gj - fossil_usd_per_gj) * 1e3 / (fossil_ci - ci) }
}
