//! Energy out, and what is emitted for it.

use crate::carbon::{annual_emissions, intensity};
use crate::failure::Failure;
use crate::inputs::{Inputs, fields};
use crate::trace::Recorder;

use super::figures as figure;
use super::ledger::Ledger;
use super::result::CarbonIntensity;

/// Energy out and emissions of the plant.
pub(crate) struct Emissions {
    pub energy: f64,
    pub ci: CarbonIntensity,
    pub total: f64,
}

pub(super) fn emissions(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Emissions, Failure> {
    let energy = fuel_energy(inputs, ledger)?;
    let ci = carbon_intensity(inputs, energy, ledger)?;
    let capacity = inputs.plant.capacity_t_per_yr;
    let total = annual_emissions(ci.total, energy, capacity);
    let total = ledger.enter(&figure::EMISSIONS, total, || {
        vec![figure::CI.operand(ci.total), figure::FUEL_ENERGY.operand(energy), fields::CAPACITY.operand(capacity)]
    })?;
    Ok(Emissions { energy, ci, total })
}

fn fuel_energy(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
    let products = &inputs.products;
    let energy = products.iter().map(|product| product.energy_mj_per_kg * product.yield_kg_per_kg).sum();
    ledger.enter(&figure::FUEL_ENERGY, energy, || {
        let terms = products.iter().flat_map(|product| {
            [
                fields::PRODUCT_ENERGY.operand_of(&product.code, product.energy_mj_per_kg),
                fields::PRODUCT_YIELD.operand_of(&product.code, product.yield_kg_per_kg),
            ]
        });
        terms.collect()
    })
}

fn carbon_intensity(
    inputs: &Inputs,
    energy: f64,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<CarbonIntensity, Failure> {
    let feedstock = feedstock_ci(inputs, energy, ledger)?;
    let hydrogen = hydrogen_ci(inputs, energy, ledger)?;
    let electricity = electricity_ci(inputs, energy, ledger)?;
    let process = process_ci(inputs, ledger)?;
    let total = feedstock + hydrogen + electricity + process;
    let total = ledger.enter(&figure::CI, total, || {
        vec![
            figure::CI_FEEDSTOCK.operand(feedstock),
            figure::CI_HYDROGEN.operand(hydrogen),
            figure::CI_ELECTRICITY.operand(electricity),
            figure::CI_PROCESS.operand(process),
        ]
    })?;
    Ok(CarbonIntensity { feedstock, hydrogen, electricity, process, total })
}

/// What the process emits; where a default life-cycle value stands for the inventory, all of that value.
fn process_ci(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
    if let Some(default) = inputs.carbon.default_ci_g_per_mj {
        return ledger.enter(&figure::CI_DEFAULT, default, || vec![fields::DEFAULT_CI.operand(default)]);
    }
    let process = inputs.plant.process_ci_g_per_mj;
    ledger.enter(&figure::CI_PROCESS, process, || vec![fields::PROCESS_CI.operand(process)])
}

fn feedstock_ci(inputs: &Inputs, energy: f64, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
    let mut sum = 0.0;
    for feedstock in &inputs.feedstocks {
        let (code, yielded) = (feedstock.code.as_str(), feedstock.yield_kg_per_kg);
        let ci = intensity(feedstock.ci_g_per_kg, yielded, energy);
        sum += ledger.enter_of(&figure::CI_OF_FEEDSTOCK, code, ci, || {
            vec![
                fields::FEEDSTOCK_CI.operand_of(code, feedstock.ci_g_per_kg),
                fields::FEEDSTOCK_YIELD.operand_of(code, yielded),
                figure::FUEL_ENERGY.operand(energy),
            ]
        })?;
    }
    ledger.enter(&figure::CI_FEEDSTOCK, sum, || {
        let terms = inputs.feedstocks.iter().map(|feedstock| {
            // Worked out again, as it was entered, to spare the plain run a list that only the trace reads.
            let ci = intensity(feedstock.ci_g_per_kg, feedstock.yield_kg_per_kg, energy) + 0.0;
            figure::CI_OF_FEEDSTOCK.operand_of(&feedstock.code, ci)
        });
        terms.collect()
    })
}

fn hydrogen_ci(inputs: &Inputs, energy: f64, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
    let hydrogen = &inputs.hydrogen;
    let ci = intensity(hydrogen.ci_g_per_kg, hydrogen.yield_kg_per_kg, energy);
    ledger.enter(&figure::CI_HYDROGEN, ci, || {
        vec![
            fields::HYDROGEN_CI.operand(hydrogen.ci_g_per_kg),
            fields::HYDROGEN_YIELD.operand(hydrogen.yield_kg_per_kg),
            figure::FUEL_ENERGY.operand(energy),
        ]
    })
}

fn electricity_ci(inputs: &Inputs, energy: f64, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
    let electricity = &inputs.electricity;
    // MWh/t and kWh/kg are the same number.
    let kwh_per_kg = electricity.yield_mwh_per_t;
    let ci = intensity(electricity.ci_g_per_kwh, kwh_per_kg, energy);
    ledger.enter(&figure::CI_ELECTRICITY, ci, || {
        vec![
            fields::ELECTRICITY_CI.operand(electricity.ci_g_per_kwh),
            fields::ELECTRICITY_YIELD.operand(electricity.yield_mwh_per_t),
            figure::FUEL_ENERGY.operand(energy),
        ]
    })
}
