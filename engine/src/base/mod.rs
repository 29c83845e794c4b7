//! The base analysis: from the validated inputs of a plant to its costs, emissions and returns.
//!
//! [`analyse`] is the only place where the formulas meet. Each stage enters its figures in a ledger,
//! which refuses what is not finite and shows the step to the [`Recorder`]; the traced and the plain
//! analysis are the same code.

mod emissions;
mod figures;
mod ledger;
mod materials;
mod result;
mod returns;
mod sales;
mod selling_price;

use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::trace::Recorder;

use ledger::Ledger;
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
    let investment = materials::investment(inputs, ledger)?;
    let materials = materials::consumption(inputs, ledger)?;
    let emissions = emissions::emissions(inputs, ledger)?;
    let sales = sales::sales(inputs, &emissions, ledger)?;
    let opex = materials::opex(inputs, &investment, &materials, ledger)?;
    let cost = returns::cost(inputs, &investment, &opex, &sales, ledger)?;
    let returns = returns::returns(inputs, &investment, &opex, &sales, ledger)?;
    let break_even = selling_price::Situation {
        inputs,
        investment: &investment,
        opex: &opex,
        sales: &sales,
        crf: cost.crf,
        depreciation: returns.depreciation,
        ci: emissions.ci.total,
    };
    let asked = selling_price::selling_price(&break_even, ledger)?;

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
        npv_usd: returns.npv,
        irr: returns.irr,
        payback_years: returns.payback,
        discounted_payback_years: returns.discounted_payback,
        msp_usd_per_t: asked.msp,
        msp_usd_per_gj: asked.msp_per_energy,
        abatement_usd_per_t: asked.abatement,
    })
}
