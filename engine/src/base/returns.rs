//! What a tonne costs, and what the investment returns over the years.

use crate::answer::Answer;
use crate::failure::Failure;
use crate::finance::{self, Repayment};
use crate::inputs::{Inputs, fields};
use crate::trace::{Operand, Recorder};

use super::figures as figure;
use super::ledger::Ledger;
use super::materials::Investment;
use super::rate::Rate;
use super::result::Opex;
use super::sales::Sales;
use super::stages::Stages;

/// Levelized cost.
pub(super) struct Cost {
    pub crf: f64,
    pub annual_capital: f64,
    pub lcop: f64,
    pub lcop_net: f64,
}

pub(super) fn cost(
    inputs: &Inputs,
    stages: &Stages,
    rate: Rate,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<Cost, Failure> {
    let Stages { investment, opex, sales, .. } = stages;
    let years = inputs.economics.lifetime_yr;
    let crf = ledger.enter(&figure::CRF, finance::crf(rate.value, years), || {
        vec![rate.operand(), fields::LIFETIME.operand(years.into())]
    })?;
    let annual_capital = ledger.enter(&figure::ANNUAL_CAPITAL, investment.tci * crf, || {
        vec![figure::TCI.operand(investment.tci), figure::CRF.operand(crf)]
    })?;
    let cost = annual_capital + opex.total;
    let cost_operands = || vec![figure::ANNUAL_CAPITAL.operand(annual_capital), figure::OPEX.operand(opex.total)];
    let lcop = ledger.enter(&figure::LCOP, cost / sales.production, || {
        let mut operands = cost_operands();
        operands.push(figure::TOTAL_PRODUCTION.operand(sales.production));
        operands
    })?;
    let net = (cost - sales.co_product_revenue) / sales.main_production();
    let lcop_net = ledger.enter(&figure::LCOP_NET, net, || {
        let mut operands = cost_operands();
        operands.push(figure::CO_PRODUCT_REVENUE.operand(sales.co_product_revenue));
        operands.push(main_production(inputs, sales));
        operands
    })?;
    Ok(Cost { crf, annual_capital, lcop, lcop_net })
}

/// The main product's production as an operand.
pub(super) fn main_production(inputs: &Inputs, sales: &Sales) -> Operand {
    let code = &inputs.main_product().code;
    figure::PRODUCTION.operand_of(code, sales.main_production())
}

/// What the investment returns.
pub(super) struct Returns {
    pub cash_flow: Vec<f64>,
    pub first_year: i32,
    pub npv: f64,
    pub irr: Answer,
    pub payback: Repayment,
    pub discounted_payback: Repayment,
}

/// Enters a payback, and the year in which the sum is negative again.
pub(super) fn enter_repayment(
    [figure, negative_again]: [&'static figure::Figure; 2],
    repayment: Repayment,
    ledger: &mut Ledger<'_, impl Recorder>,
    operands: impl Fn() -> Vec<Operand>,
) -> Result<Repayment, Failure> {
    let answer = ledger.enter_answer(figure, repayment.answer, &operands)?;
    if let Some(year) = repayment.negative_again {
        ledger.enter(negative_again, year.into(), &operands)?;
    }
    Ok(Repayment { answer, ..repayment })
}

/// Depreciation of a year of operation, all of them being alike.
pub(super) fn yearly_depreciation(
    inputs: &Inputs,
    investment: &Investment,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<f64, Failure> {
    let years = inputs.economics.lifetime_yr;
    let depreciation = finance::straight_line_depreciation(investment.tci, years);
    ledger.enter(&figure::DEPRECIATION, depreciation, || {
        vec![figure::TCI.operand(investment.tci), fields::LIFETIME.operand(years.into())]
    })
}

/// What the investment returns when every year of operation is like the next.
pub(super) fn equal_returns(
    inputs: &Inputs,
    stages: &Stages,
    depreciation: f64,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<Returns, Failure> {
    let Stages { investment, opex, sales, .. } = stages;
    let years = inputs.economics.lifetime_yr;
    let annual = annual_cash_flow(inputs, opex, sales, depreciation, ledger)?;
    let cash_flow = cash_flow(investment, annual, years, ledger)?;
    let rate = inputs.economics.discount_rate;
    let flows = || -> Vec<Operand> {
        let flows = cash_flow.iter().enumerate();
        flows.map(|(year, money)| figure::CASH_FLOW.operand_of(year, *money)).collect()
    };
    let discounted = || {
        let mut operands = flows();
        operands.push(fields::DISCOUNT_RATE.operand(rate));
        operands
    };
    let discounted_payback = finance::discounted_payback(rate, &cash_flow);
    Ok(Returns {
        first_year: 0,
        npv: ledger.enter(&figure::NPV, finance::npv(rate, &cash_flow), discounted)?,
        irr: ledger.enter_answer(&figure::IRR, finance::irr(&cash_flow), flows)?,
        payback: enter_repayment(
            [&figure::PAYBACK, &figure::NEGATIVE_AGAIN],
            finance::payback(&cash_flow),
            ledger,
            flows,
        )?,
        discounted_payback: enter_repayment(
            [&figure::DISCOUNTED_PAYBACK, &figure::DISCOUNTED_NEGATIVE_AGAIN],
            discounted_payback,
            ledger,
            discounted,
        )?,
        cash_flow,
    })
}

/// Cash flow of a year of operation, working capital left out.
fn annual_cash_flow(
    inputs: &Inputs,
    opex: &Opex,
    sales: &Sales,
    depreciation: f64,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<f64, Failure> {
    let gross = ledger.enter(&figure::GROSS, sales.revenue - opex.total, || {
        vec![figure::REVENUE.operand(sales.revenue), figure::OPEX.operand(opex.total)]
    })?;
    let tax_rate = inputs.economics.tax_rate;
    let tax = finance::tax(gross, depreciation, tax_rate);
    let tax = ledger.enter(&figure::TAX, tax, || {
        vec![
            figure::GROSS.operand(gross),
            figure::DEPRECIATION.operand(depreciation),
            fields::TAX_RATE.operand(tax_rate),
        ]
    })?;
    ledger
        .enter(&figure::ANNUAL_CASH_FLOW, gross - tax, || vec![figure::GROSS.operand(gross), figure::TAX.operand(tax)])
}

/// Year 0 pays for the plant and binds the working capital, the last year gets the latter back.
fn cash_flow(
    investment: &Investment,
    annual: f64,
    years: u32,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<Vec<f64>, Failure> {
    let Investment { tci, working_capital } = *investment;
    let mut flow = Vec::with_capacity(years as usize + 1);
    let bound = -tci - working_capital;
    flow.push(ledger.enter_of(&figure::INVESTMENT_FLOW, 0, bound, || {
        vec![figure::TCI.operand(tci), figure::WORKING_CAPITAL.operand(working_capital)]
    })?);
    for year in 1..years {
        flow.push(
            ledger.enter_of(&figure::CASH_FLOW, year, annual, || vec![figure::ANNUAL_CASH_FLOW.operand(annual)])?,
        );
    }
    let last = annual + working_capital;
    flow.push(ledger.enter_of(&figure::LAST_CASH_FLOW, years, last, || {
        vec![figure::ANNUAL_CASH_FLOW.operand(annual), figure::WORKING_CAPITAL.operand(working_capital)]
    })?);
    Ok(flow)
}
