//! The base analysis: from the validated inputs of a plant to its costs, emissions and returns.
//!
//! [`analyse`] is the only place where the formulas meet. Each stage enters its figures in a ledger,
//! which refuses what is not finite and shows the step to the [`Recorder`]; the traced and the plain
//! analysis are the same code.

mod emissions;
mod figures;
mod ledger;
mod materials;
mod plan;
mod priced_years;
mod rate;
mod result;
mod returns;
mod sales;
mod selling_price;
mod stages;
mod years;

use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::trace::Recorder;

pub(crate) use ledger::Ledger;
pub(crate) use plan::Plan;
pub(crate) use rate::Rate;
pub(crate) use stages::Stages;

use returns::Returns;
use selling_price::{Asked, Situation};

pub use result::{BaseAnalysis, CarbonIntensity, ElectricityUse, FeedstockUse, HydrogenUse, Opex, ProductResult};

/// Works out the base analysis, telling `recorder` every step.
///
/// A result that is not a finite number is a [`Failure`] that names it: inputs at the ends of their ranges
/// (a reference plant of a gram per year, scaled with exponent 2) can do that.
///
/// ```
/// use safire_engine::{InputDocument, Plain, Trace, analyse, resolve};
///
/// let example: serde_json::Value =
///     serde_json::from_str(include_str!("../../../examples/hefa-uco-usa.json")).unwrap();
/// let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
/// let inputs = resolve(&given, None).unwrap().inputs;
///
/// let result = analyse(&inputs, &mut Plain).unwrap();
/// assert_eq!(result.payback_years.value(), Some(2.0));
///
/// let mut trace = Trace::default();
/// analyse(&inputs, &mut trace).unwrap();
/// let crf = trace.steps.iter().find(|step| step.name == "crf").unwrap();
/// assert_eq!(crf.value, Some(result.crf));
/// assert_eq!(crf.inputs[0].source, "/economics/discount_rate");
/// ```
pub fn analyse(inputs: &Inputs, recorder: &mut impl Recorder) -> Result<BaseAnalysis, Failure> {
    let ledger = &mut Ledger::new(recorder);
    let stages = Stages::of(inputs, ledger)?;
    let rate = Rate::of(inputs, ledger)?;
    let cost = returns::cost(inputs, &stages, rate, ledger)?;
    let (returns, asked) = if inputs.has_equal_years() {
        equal_years(inputs, &stages, cost.crf, ledger)?
    } else {
        different_years(&Plan::new(inputs, &stages, rate), ledger)?
    };
    let Stages { investment, materials, emissions, sales, opex } = stages;

    Ok(BaseAnalysis {
        tci_usd: investment.tci,
        working_capital_usd: investment.working_capital,
        throughput_t_per_h: materials.throughput,
        feedstocks: materials.feedstocks,
        hydrogen: materials.hydrogen,
        electricity: materials.electricity,
        products: sales.products,
        production_t_per_yr: sales.production,
        energy_mj_per_kg: emissions.energy,
        opex_usd_per_yr: opex,
        revenue_usd_per_yr: sales.revenue,
        ci_g_per_mj: emissions.ci,
        co2e_t_per_yr: emissions.total,
        crf: cost.crf,
        annual_capital_usd_per_yr: cost.annual_capital,
        lcop_usd_per_t: cost.lcop,
        lcop_net_usd_per_t: cost.lcop_net,
        cash_flow_usd: returns.cash_flow,
        cash_flow_first_year: returns.first_year,
        npv_usd: returns.npv,
        irr: returns.irr,
        payback_years: returns.payback.answer,
        payback_negative_again_year: returns.payback.negative_again,
        discounted_payback_years: returns.discounted_payback.answer,
        discounted_payback_negative_again_year: returns.discounted_payback.negative_again,
        msp_usd_per_t: asked.msp,
        msp_usd_per_gj: asked.msp_per_energy,
        abatement_usd_per_t: asked.abatement,
    })
}

/// Returns and selling price in closed form: every year of operation is like the next.
fn equal_years(
    inputs: &Inputs,
    stages: &Stages,
    crf: f64,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<(Returns, Asked), Failure> {
    let depreciation = returns::yearly_depreciation(inputs, &stages.investment, ledger)?;
    let returns = returns::equal_returns(inputs, stages, depreciation, ledger)?;
    let situation = Situation { inputs, stages };
    let msp = situation.closed_form(crf, depreciation, ledger)?;
    Ok((returns, situation.asked(msp, ledger)?))
}

/// Returns and selling price year by year.
fn different_years(plan: &Plan<'_>, ledger: &mut Ledger<'_, impl Recorder>) -> Result<(Returns, Asked), Failure> {
    let returns = years::returns(plan, ledger)?;
    let situation = Situation { inputs: plan.inputs, stages: plan.stages };
    let msp = situation.solved(plan, ledger)?;
    Ok((returns, situation.asked(msp, ledger)?))
}
