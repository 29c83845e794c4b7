//! Mass, carbon and energy: what goes in, what comes out, and what is missing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::{Ledger, Stages};
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::trace::Plain;

/// Lower heating value of hydrogen, in MJ/kg.
///
/// # Source
///
/// *CRC Handbook of Chemistry and Physics*: 241.8 kJ/mol as water vapour, 2.016 g/mol.
pub const HYDROGEN_MJ_PER_KG: f64 = 119.96;

/// GJ in a MWh.
const GJ_PER_MWH: f64 = 3.6;

/// The balances of an ordinary year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "Mass, carbon and energy of an ordinary year.")]
pub struct Balances {
    /// Mass, in t/yr.
    pub mass_t_per_yr: Balance,
    /// Carbon, in t/yr.
    pub carbon_t_per_yr: Balance,
    /// Lower heating values and electricity, in GJ/yr; absent while a feedstock's energy content is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_gj_per_yr: Option<Balance>,
}

/// What goes in and comes out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// Inputs: feedstocks by code, then hydrogen and electricity where they count.
    pub inputs: Vec<Flow>,
    /// Outputs: products, the main one first.
    pub outputs: Vec<Flow>,
    /// Inputs less outputs: by-products, waste, exhaust and heat. Negative where something that goes in, such
    /// as water or oxygen, is not among the inputs.
    pub difference: f64,
    /// Outputs per inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yielded: Option<f64>,
}

/// One flow of a balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// What flows, by code.
    pub code: String,
    /// How much.
    pub amount: f64,
}

impl Balance {
    fn of(inputs: Vec<Flow>, outputs: Vec<Flow>) -> Result<Self, Failure> {
        let sum = |flows: &[Flow]| -> f64 { flows.iter().map(|flow| flow.amount).sum() };
        let (fed, made) = (sum(&inputs), sum(&outputs));
        let difference = fed - made;
        if !difference.is_finite() {
            return Err(Failure::not_finite("balance", difference));
        }
        let yielded = Some(made / fed).filter(|share| share.is_finite());
        Ok(Self { inputs, outputs, difference, yielded })
    }
}

/// Works out the balances.
///
/// # Formula
///
/// `Σ m_f + m_H2` against `Σ m_i`; `Σ m_f · c_f` against `Σ m_i · c_i`;
/// `Σ m_f · e_f + m_H2 · 119.96 + m_el · 3.6` against `Σ m_i · e_i`.
///
/// ```
/// use safire_engine::{InputDocument, balances::balances, resolve};
///
/// let example: serde_json::Value =
///     serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
/// let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
/// let balances = balances(&resolve(&given, None).unwrap().inputs).unwrap();
/// assert_eq!(balances.mass_t_per_yr.difference, 126e3);
/// assert_eq!(format!("{:.4}", balances.carbon_t_per_yr.yielded.unwrap()), "0.8964");
/// ```
pub fn balances(inputs: &Inputs) -> Result<Balances, Failure> {
    let mut recorder = Plain;
    let stages = Stages::of(inputs, &mut Ledger::new(&mut recorder))?;
    let year = Year { inputs, stages: &stages };
    Ok(Balances {
        mass_t_per_yr: year.mass()?,
        carbon_t_per_yr: year.carbon()?,
        energy_gj_per_yr: year.energy().transpose()?,
    })
}

struct Year<'a> {
    inputs: &'a Inputs,
    stages: &'a Stages,
}

impl Year<'_> {
    fn mass(&self) -> Result<Balance, Failure> {
        let mut fed = self.fed(|_| Some(1.0)).unwrap_or_default();
        fed.push(Flow { code: "hydrogen".into(), amount: self.stages.materials.hydrogen.t_per_yr });
        Balance::of(fed, self.made(|_| 1.0))
    }

    fn carbon(&self) -> Result<Balance, Failure> {
        let fed = self.fed(|at| Some(self.inputs.feedstocks[at].carbon_kg_per_kg)).unwrap_or_default();
        Balance::of(fed, self.made(|at| self.inputs.products[at].carbon_kg_per_kg))
    }

    fn energy(&self) -> Option<Result<Balance, Failure>> {
        let materials = &self.stages.materials;
        let mut fed = self.fed(|at| self.inputs.feedstocks[at].energy_mj_per_kg)?;
        fed.push(Flow { code: "hydrogen".into(), amount: materials.hydrogen.t_per_yr * HYDROGEN_MJ_PER_KG });
        fed.push(Flow { code: "electricity".into(), amount: materials.electricity.mwh_per_yr * GJ_PER_MWH });
        Some(Balance::of(fed, self.made(|at| self.inputs.products[at].energy_mj_per_kg)))
    }

    /// The feedstocks, times something that each must have.
    fn fed(&self, content: impl Fn(usize) -> Option<f64>) -> Option<Vec<Flow>> {
        let feedstocks = self.stages.materials.feedstocks.iter().enumerate();
        feedstocks.map(|(at, f)| Some(Flow { code: f.code.clone(), amount: f.t_per_yr * content(at)? })).collect()
    }

    fn made(&self, content: impl Fn(usize) -> f64) -> Vec<Flow> {
        let products = self.stages.sales.products.iter().enumerate();
        products.map(|(at, p)| Flow { code: p.code.clone(), amount: p.t_per_yr * content(at) }).collect()
    }
}
