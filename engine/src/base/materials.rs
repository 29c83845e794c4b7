//! Investment, what the plant takes in, and what running it costs.

use crate::failure::Failure;
use crate::inputs::fields;
use crate::inputs::{Feedstock, Inputs};
use crate::plant::{annual_amount, annual_money, hourly_throughput, total_capital_investment};
use crate::trace::Recorder;

use super::figures as figure;
use super::ledger::Ledger;
use super::result::{ElectricityUse, FeedstockUse, HydrogenUse, Opex};

/// Money that is bound in the plant.
pub(crate) struct Investment {
    pub tci: f64,
    pub working_capital: f64,
}

/// What the plant takes in per year.
pub(crate) struct Materials {
    pub throughput: f64,
    pub feedstocks: Vec<FeedstockUse>,
    pub hydrogen: HydrogenUse,
    pub electricity: ElectricityUse,
}

pub(super) fn investment(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Investment, Failure> {
    let capacity = inputs.plant.capacity_t_per_yr;
    let money = &inputs.economics;
    let tci = total_capital_investment(
        money.tci_reference_usd,
        capacity,
        money.reference_capacity_t_per_yr,
        money.scaling_exponent,
    );
    let tci = ledger.enter(&figure::TCI, tci, || {
        vec![
            fields::TCI_REFERENCE.operand(money.tci_reference_usd),
            fields::CAPACITY.operand(capacity),
            fields::REFERENCE_CAPACITY.operand(money.reference_capacity_t_per_yr),
            fields::SCALING_EXPONENT.operand(money.scaling_exponent),
        ]
    })?;
    let working_capital = money.working_capital_ratio * tci;
    let working_capital = ledger.enter(&figure::WORKING_CAPITAL, working_capital, || {
        vec![fields::WORKING_CAPITAL_RATIO.operand(money.working_capital_ratio), figure::TCI.operand(tci)]
    })?;
    Ok(Investment { tci, working_capital })
}

pub(super) fn consumption(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Materials, Failure> {
    let capacity = inputs.plant.capacity_t_per_yr;
    let hours = inputs.plant.load_hours_per_yr;
    let throughput = hourly_throughput(capacity, hours);
    let throughput = ledger.enter(&figure::THROUGHPUT, throughput, || {
        vec![fields::CAPACITY.operand(capacity), fields::LOAD_HOURS.operand(hours)]
    })?;
    let mut feedstocks = Vec::with_capacity(inputs.feedstocks.len());
    for feedstock in &inputs.feedstocks {
        feedstocks.push(feedstock_use(capacity, feedstock, ledger)?);
    }
    Ok(Materials {
        throughput,
        feedstocks,
        hydrogen: hydrogen_use(inputs, ledger)?,
        electricity: electricity_use(inputs, ledger)?,
    })
}

fn feedstock_use(
    capacity: f64,
    feedstock: &Feedstock,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<FeedstockUse, Failure> {
    let code = feedstock.code.as_str();
    let consumption = annual_amount(capacity, feedstock.yield_kg_per_kg);
    let consumption = ledger.enter_of(&figure::FEEDSTOCK_CONSUMPTION, code, consumption, || {
        vec![fields::CAPACITY.operand(capacity), fields::FEEDSTOCK_YIELD.operand_of(code, feedstock.yield_kg_per_kg)]
    })?;
    let cost = annual_money(consumption, feedstock.price_usd_per_t);
    let cost = ledger.enter_of(&figure::FEEDSTOCK_COST, code, cost, || {
        vec![
            figure::FEEDSTOCK_CONSUMPTION.operand_of(code, consumption),
            fields::FEEDSTOCK_PRICE.operand_of(code, feedstock.price_usd_per_t),
        ]
    })?;
    Ok(FeedstockUse { code: feedstock.code.clone(), t_per_yr: consumption, usd_per_yr: cost })
}

fn hydrogen_use(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<HydrogenUse, Failure> {
    let capacity = inputs.plant.capacity_t_per_yr;
    let hydrogen = &inputs.hydrogen;
    let consumption = annual_amount(capacity, hydrogen.yield_kg_per_kg);
    let consumption = ledger.enter(&figure::HYDROGEN_CONSUMPTION, consumption, || {
        vec![fields::CAPACITY.operand(capacity), fields::HYDROGEN_YIELD.operand(hydrogen.yield_kg_per_kg)]
    })?;
    let cost = annual_money(consumption, hydrogen.price_usd_per_t);
    let cost = ledger.enter(&figure::HYDROGEN_COST, cost, || {
        vec![
            figure::HYDROGEN_CONSUMPTION.operand(consumption),
            fields::HYDROGEN_PRICE.operand(hydrogen.price_usd_per_t),
        ]
    })?;
    Ok(HydrogenUse { t_per_yr: consumption, usd_per_yr: cost })
}

fn electricity_use(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<ElectricityUse, Failure> {
    let capacity = inputs.plant.capacity_t_per_yr;
    let electricity = &inputs.electricity;
    let consumption = annual_amount(capacity, electricity.yield_mwh_per_t);
    let consumption = ledger.enter(&figure::ELECTRICITY_CONSUMPTION, consumption, || {
        vec![fields::CAPACITY.operand(capacity), fields::ELECTRICITY_YIELD.operand(electricity.yield_mwh_per_t)]
    })?;
    let cost = annual_money(consumption, electricity.price_usd_per_mwh);
    let cost = ledger.enter(&figure::ELECTRICITY_COST, cost, || {
        vec![
            figure::ELECTRICITY_CONSUMPTION.operand(consumption),
            fields::ELECTRICITY_PRICE.operand(electricity.price_usd_per_mwh),
        ]
    })?;
    Ok(ElectricityUse { mwh_per_yr: consumption, usd_per_yr: cost })
}

pub(super) fn opex(
    inputs: &Inputs,
    investment: &Investment,
    materials: &Materials,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<Opex, Failure> {
    let feedstocks = &materials.feedstocks;
    let feedstock_cost: f64 = feedstocks.iter().map(|used| used.usd_per_yr).sum();
    let hydrogen_cost = materials.hydrogen.usd_per_yr;
    let electricity_cost = materials.electricity.usd_per_yr;
    let direct = feedstock_cost + hydrogen_cost + electricity_cost;
    let direct = ledger.enter(&figure::DIRECT_OPEX, direct, || {
        let costs = feedstocks.iter().map(|used| figure::FEEDSTOCK_COST.operand_of(&used.code, used.usd_per_yr));
        let utilities =
            [figure::HYDROGEN_COST.operand(hydrogen_cost), figure::ELECTRICITY_COST.operand(electricity_cost)];
        costs.chain(utilities).collect()
    })?;
    let ratio = inputs.economics.indirect_opex_ratio;
    let indirect = ledger.enter(&figure::INDIRECT_OPEX, ratio * investment.tci, || {
        vec![fields::INDIRECT_OPEX_RATIO.operand(ratio), figure::TCI.operand(investment.tci)]
    })?;
    let total = ledger.enter(&figure::OPEX, direct + indirect, || {
        vec![figure::DIRECT_OPEX.operand(direct), figure::INDIRECT_OPEX.operand(indirect)]
    })?;
    Ok(Opex { direct, indirect, total })
}
