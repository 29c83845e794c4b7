//! The price that the main product needs, and what its low carbon intensity costs.

use crate::answer::Answer;
use crate::carbon::abatement_cost;
use crate::failure::Failure;
use crate::finance::{gross_for_cash_flow, required_annual_cash_flow};
use crate::inputs::{Inputs, fields};
use crate::trace::{Operand, Recorder};

use super::figures as figure;
use super::ledger::Ledger;
use super::materials::Investment;
use super::plan::Plan;
use super::returns::main_production;
use super::sales::ci_operand;
use super::stages::Stages;

/// What the selling price depends on.
pub(super) struct Situation<'a> {
    pub inputs: &'a Inputs,
    pub stages: &'a Stages,
}

/// What has to be asked for the main product.
pub(super) struct Asked {
    pub msp: Answer,
    pub msp_per_energy: Answer,
    pub abatement: Answer,
}

impl Situation<'_> {
    /// What follows from the selling price.
    pub fn asked(&self, msp: Answer, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Asked, Failure> {
        let msp_per_energy = self.msp_per_energy(&msp, ledger)?;
        let abatement = self.abatement(&msp_per_energy, ledger)?;
        Ok(Asked { msp, msp_per_energy, abatement })
    }

    /// The selling price in closed form, for a plant whose years of operation are all alike.
    pub fn closed_form(
        &self,
        crf: f64,
        depreciation: f64,
        ledger: &mut Ledger<'_, impl Recorder>,
    ) -> Result<Answer, Failure> {
        let gross = self.required_gross(crf, depreciation, ledger)?;
        self.msp(&gross, ledger)
    }

    /// The gross margin at which NPV is zero.
    fn required_gross(
        &self,
        crf: f64,
        depreciation: f64,
        ledger: &mut Ledger<'_, impl Recorder>,
    ) -> Result<Answer, Failure> {
        let money = &self.inputs.economics;
        let (rate, years) = (money.discount_rate, money.lifetime_yr);
        let Investment { tci, working_capital } = self.stages.investment;
        let required = required_annual_cash_flow(tci, working_capital, rate, years, crf);
        let required = ledger.enter(&figure::REQUIRED_CASH_FLOW, required, || {
            vec![
                figure::TCI.operand(tci),
                figure::CRF.operand(crf),
                figure::WORKING_CAPITAL.operand(working_capital),
                fields::DISCOUNT_RATE.operand(rate),
                figure::DEPRECIATION.operand(depreciation),
            ]
        })?;
        let gross = gross_for_cash_flow(required, depreciation, money.tax_rate);
        ledger.enter_answer(&figure::REQUIRED_GROSS, gross, || {
            vec![
                figure::REQUIRED_CASH_FLOW.operand(required),
                figure::DEPRECIATION.operand(depreciation),
                fields::TAX_RATE.operand(money.tax_rate),
            ]
        })
    }

    /// The main product's price, before its premium, that brings in that gross margin.
    fn msp(&self, gross: &Answer, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Answer, Failure> {
        let Stages { opex, sales, .. } = self.stages;
        let premium = self.premium(ledger)?;
        let msp = gross.and_then(|gross| {
            let revenue = gross + opex.total - sales.co_product_revenue;
            Answer::Found { value: revenue / sales.main_production() - premium }
        });
        ledger.enter_answer(&figure::MSP, msp, || {
            let mut operands = found(&figure::REQUIRED_GROSS, gross);
            operands.extend([
                figure::OPEX.operand(opex.total),
                figure::CO_PRODUCT_REVENUE.operand(sales.co_product_revenue),
                main_production(self.inputs, sales),
                figure::PREMIUM.operand(premium),
            ]);
            operands
        })
    }

    /// The selling price by bracketing, for years of operation that differ.
    pub fn solved(&self, plan: &Plan<'_>, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Answer, Failure> {
        let premium = self.premium(ledger)?;
        let msp = plan.price_for_npv_zero(0).and_then(|price| Answer::Found { value: price - premium });
        ledger.enter_answer(&figure::SOLVED_MSP, msp, || {
            vec![
                figure::TCI.operand(self.stages.investment.tci),
                figure::OPEX.operand(self.stages.opex.total),
                main_production(self.inputs, &self.stages.sales),
                plan.rate.operand(),
                figure::PREMIUM.operand(premium),
            ]
        })
    }

    pub fn premium(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let main = self.inputs.main_product();
        let sensitivity = main.price_sensitivity_usd_per_t_per_g_per_mj;
        let fossil_ci = self.inputs.fossil.ci_g_per_mj;
        let ci = self.stages.sales.main_ci;
        let premium = sensitivity * (fossil_ci - ci);
        ledger.enter(&figure::PREMIUM, premium, || {
            vec![
                fields::PRICE_SENSITIVITY.operand_of(&main.code, sensitivity),
                fields::FOSSIL_CI.operand(fossil_ci),
                self.ci_operand(),
            ]
        })
    }

    fn ci_operand(&self) -> Operand {
        let main = &self.stages.sales.products[0];
        ci_operand(&main.code, main.ci_g_per_mj, self.stages.sales.main_ci)
    }

    fn msp_per_energy(&self, msp: &Answer, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Answer, Failure> {
        let main = self.inputs.main_product();
        // MJ/kg and GJ/t are the same number.
        let gj_per_t = main.energy_mj_per_kg;
        let per_energy = msp.and_then(|msp| Answer::Found { value: msp / gj_per_t });
        ledger.enter_answer(&figure::MSP_PER_ENERGY, per_energy, || {
            let mut operands = found(&figure::MSP, msp);
            operands.push(fields::PRODUCT_ENERGY.operand_of(&main.code, gj_per_t));
            operands
        })
    }

    fn abatement(&self, msp_per_energy: &Answer, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Answer, Failure> {
        let fossil = &self.inputs.fossil;
        let fossil_price = fossil.price_usd_per_t / fossil.energy_mj_per_kg;
        let fossil_price = ledger.enter(&figure::FOSSIL_PRICE_PER_ENERGY, fossil_price, || {
            vec![
                fields::FOSSIL_PRICE.operand(fossil.price_usd_per_t),
                fields::FOSSIL_ENERGY.operand(fossil.energy_mj_per_kg),
            ]
        })?;
        let abatement = msp_per_energy
            .and_then(|msp| abatement_cost(msp, fossil_price, fossil.ci_g_per_mj, self.stages.sales.main_ci));
        ledger.enter_answer(&figure::ABATEMENT, abatement, || {
            let mut operands = found(&figure::MSP_PER_ENERGY, msp_per_energy);
            operands.extend([
                figure::FOSSIL_PRICE_PER_ENERGY.operand(fossil_price),
                fields::FOSSIL_CI.operand(fossil.ci_g_per_mj),
                self.ci_operand(),
            ]);
            operands
        })
    }
}

/// The operand for an answer, where there is one.
fn found(figure: &figure::Figure, answer: &Answer) -> Vec<Operand> {
    answer.value().map(|value| figure.operand(value)).into_iter().collect()
}
