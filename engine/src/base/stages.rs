//! The stages that come before money is followed through the years.

use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::trace::Recorder;

use super::emissions::{self, Emissions};
use super::ledger::Ledger;
use super::materials::{self, Investment, Materials};
use super::result::Opex;
use super::sales::{self, Sales};

/// What the plant costs, takes in, makes and emits in an ordinary year, at the prices of year 0.
pub(crate) struct Stages {
    pub investment: Investment,
    pub materials: Materials,
    pub emissions: Emissions,
    pub sales: Sales,
    pub opex: Opex,
}

impl Stages {
    pub fn of(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Self, Failure> {
        let investment = materials::investment(inputs, ledger)?;
        let materials = materials::consumption(inputs, ledger)?;
        let emissions = emissions::emissions(inputs, ledger)?;
        let sales = sales::sales(inputs, &emissions, ledger)?;
        let opex = materials::opex(inputs, &investment, &materials, ledger)?;
        Ok(Self { investment, materials, emissions, sales, opex })
    }
}
