//! The rate that money is discounted at.

use crate::failure::Failure;
use crate::finance::weighted_cost_of_capital;
use crate::inputs::{Financing, Inputs, fields};
use crate::trace::{Operand, Recorder};

use super::figures as figure;
use super::ledger::Ledger;

/// The rate that money is discounted at, and where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub value: f64,
    weighted: bool,
}

impl Rate {
    /// The discount rate that is given or, where debt is in the rate, the weighted average cost of capital.
    pub fn of(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Self, Failure> {
        let (equity, tax) = (inputs.economics.discount_rate, inputs.economics.tax_rate);
        let finance = &inputs.finance;
        if finance.financing == Financing::Loan {
            return Ok(Self { value: equity, weighted: false });
        }
        let wacc = weighted_cost_of_capital(equity, finance.debt_share, finance.debt_rate, tax);
        let value = ledger.enter(&figure::WACC, wacc, || {
            vec![
                fields::DISCOUNT_RATE.operand(equity),
                fields::DEBT_SHARE.operand(finance.debt_share),
                fields::DEBT_RATE.operand(finance.debt_rate),
                fields::TAX_RATE.operand(tax),
            ]
        })?;
        Ok(Self { value, weighted: true })
    }

    pub fn operand(&self) -> Operand {
        if self.weighted { figure::WACC.operand(self.value) } else { fields::DISCOUNT_RATE.operand(self.value) }
    }
}
