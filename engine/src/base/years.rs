//! Entering a cash flow whose years differ: what is traced is what [`Plan`] worked out, column by column.

use crate::cash_flow::CashFlowYear;
use crate::failure::Failure;
use crate::finance;
use crate::inputs::{Depreciation, fields};
use crate::trace::{Operand, Recorder};

use super::figures::{self as figure, Figure};
use super::ledger::Ledger;
use super::plan::Plan;
use super::returns::{Returns, enter_repayment};
use super::sales::ci_operand;

pub(super) fn returns(plan: &Plan<'_>, ledger: &mut Ledger<'_, impl Recorder>) -> Result<Returns, Failure> {
    let first_year = plan.first_year();
    ledger.enter(&figure::FIRST_FLOW_YEAR, first_year.into(), Vec::new)?;
    let mut cash_flow = Vec::new();
    let mut before = CashFlowYear { year: first_year - 1, ..CashFlowYear::default() };
    for row in plan.years_as_given() {
        cash_flow.push(Row { plan, row: &row, before: &before }.enter(ledger)?);
        before = row;
    }
    let flows = || -> Vec<Operand> {
        (first_year..).zip(&cash_flow).map(|(year, money)| figure::CASH_FLOW.operand_of(year, *money)).collect()
    };
    let discounted = || {
        let mut operands = flows();
        operands.push(plan.rate.operand());
        operands
    };
    let (rate, rule) = (plan.rate.value, plan.inputs.finance.payback);
    let npv = finance::npv_from(first_year, rate, &cash_flow);
    let payback = finance::repaid(first_year, 0.0, &cash_flow, rule);
    let discounted_payback = finance::repaid(first_year, rate, &cash_flow, rule);
    Ok(Returns {
        first_year,
        npv: ledger.enter(&figure::NPV, npv, discounted)?,
        irr: ledger.enter_answer(&figure::IRR, finance::irr(&cash_flow), flows)?,
        payback: enter_repayment([&figure::REPAID, &figure::NEGATIVE_AGAIN], payback, ledger, flows)?,
        discounted_payback: enter_repayment(
            [&figure::REPAID_WITH_INTEREST, &figure::DISCOUNTED_NEGATIVE_AGAIN],
            discounted_payback,
            ledger,
            discounted,
        )?,
        cash_flow,
    })
}

/// One year and the one before.
struct Row<'a> {
    plan: &'a Plan<'a>,
    row: &'a CashFlowYear,
    before: &'a CashFlowYear,
}

impl Row<'_> {
    fn enter(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        if self.row.year <= 0 { self.building(ledger) } else { self.operating(ledger) }
    }

    fn building(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let (row, finance, year) = (self.row, &self.plan.inputs.finance, self.row.year);
        let share = (year - self.plan.first_year()) as usize;
        let tci = self.plan.stages.investment.tci;
        ledger.enter_of(&figure::CAPITAL, year, row.capital_usd, || {
            vec![CONSTRUCTION[share].operand(finance.construction[share]), figure::TCI.operand(tci)]
        })?;
        if self.plan.owes() {
            ledger.enter_of(&figure::LOAN_DRAWN, year, row.loan_drawn_usd, || {
                vec![fields::DEBT_SHARE.operand(finance.debt_share), figure::CAPITAL.operand_of(year, row.capital_usd)]
            })?;
        }
        self.loan(ledger)?;
        ledger.enter_of(&figure::BUILDING_FLOW, year, row.cash_flow_usd, || {
            let mut operands = vec![self.operand(&figure::CAPITAL, row.capital_usd)];
            operands.extend(self.loan_operands());
            operands.extend(self.working_capital());
            operands
        })
    }

    /// Interest, repayment and balance, where debt is served in the cash flow.
    fn loan(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<(), Failure> {
        if !self.plan.owes() {
            return Ok(());
        }
        let (row, finance, year) = (self.row, &self.plan.inputs.finance, self.row.year);
        let owed = || {
            let mut operands = Vec::new();
            if self.before.year >= self.plan.first_year() {
                operands.push(figure::LOAN_BALANCE.operand_of(self.before.year, self.before.loan_balance_usd + 0.0));
            }
            if year <= 0 {
                operands.push(self.operand(&figure::LOAN_DRAWN, row.loan_drawn_usd));
            }
            operands
        };
        let rate = || fields::DEBT_RATE.operand(finance.debt_rate);
        ledger.enter_of(&figure::INTEREST, year, row.interest_usd, || [owed(), vec![rate()]].concat())?;
        if year > 0 {
            ledger.enter_of(&figure::PRINCIPAL, year, row.principal_usd, || {
                let term = fields::DEBT_TERM.operand(finance.debt_term_yr.into());
                [owed(), vec![rate(), term, self.operand(&figure::INTEREST, row.interest_usd)]].concat()
            })?;
        }
        ledger.enter_of(&figure::LOAN_BALANCE, year, row.loan_balance_usd, || {
            let repaid = (year > 0).then(|| self.operand(&figure::PRINCIPAL, row.principal_usd));
            owed().into_iter().chain(repaid).collect()
        })?;
        Ok(())
    }

    fn loan_operands(&self) -> Vec<Operand> {
        if !self.plan.owes() {
            return Vec::new();
        }
        let second = if self.row.year <= 0 {
            self.operand(&figure::LOAN_DRAWN, self.row.loan_drawn_usd)
        } else {
            self.operand(&figure::PRINCIPAL, self.row.principal_usd)
        };
        vec![second, self.operand(&figure::INTEREST, self.row.interest_usd)]
    }

    fn working_capital(&self) -> Option<Operand> {
        let bound = self.plan.stages.investment.working_capital;
        (self.row.working_capital_usd != 0.0).then(|| figure::WORKING_CAPITAL.operand(bound))
    }

    /// A figure of this year as an operand.
    fn operand(&self, figure: &Figure, value: f64) -> Operand {
        // As it was entered: a ledger keeps no negative zero.
        figure.operand_of(self.row.year, value + 0.0)
    }

    fn operating(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let (row, year) = (self.row, self.row.year);
        ledger.enter_of(&figure::YEAR_REVENUE, year, row.revenue_usd, || self.revenue_operands())?;
        ledger.enter_of(&figure::YEAR_VARIABLE_COST, year, row.variable_cost_usd, || self.variable_operands())?;
        ledger.enter_of(&figure::YEAR_FIXED_COST, year, row.fixed_cost_usd, || self.fixed_operands())?;
        ledger.enter_of(&figure::TAXED_INCENTIVES, year, row.taxed_incentives_usd, || self.incentive_operands(true))?;
        ledger.enter_of(&figure::TAX_CREDITS, year, row.tax_credits_usd, || self.incentive_operands(false))?;
        ledger.enter_of(&figure::YEAR_DEPRECIATION, year, row.depreciation_usd, || self.depreciation_operands())?;
        self.loan(ledger)?;
        self.tax(ledger)?;
        ledger.enter_of(&figure::OPERATING_FLOW, year, row.cash_flow_usd, || {
            let mut operands = self.gross_operands();
            operands.push(self.operand(&figure::TAX_CREDITS, row.tax_credits_usd));
            operands.push(self.operand(&figure::YEAR_TAX, row.tax_usd));
            operands.extend(self.loan_operands());
            operands.extend(self.working_capital());
            operands
        })
    }

    fn tax(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<(), Failure> {
        let (row, year) = (self.row, self.row.year);
        let income = || self.operand(&figure::TAXABLE_INCOME, row.taxable_income_usd);
        ledger.enter_of(&figure::TAXABLE_INCOME, year, row.taxable_income_usd, || {
            let mut operands = self.gross_operands();
            operands.push(self.operand(&figure::YEAR_DEPRECIATION, row.depreciation_usd));
            operands.extend(self.plan.owes().then(|| self.operand(&figure::INTEREST, row.interest_usd)));
            operands
        })?;
        let carried = || {
            let from_before = self.before.year > 0;
            from_before
                .then(|| figure::LOSSES_CARRIED.operand_of(self.before.year, self.before.losses_carried_usd + 0.0))
        };
        let limit = self.plan.inputs.finance.loss_limit;
        ledger.enter_of(&figure::LOSSES_USED, year, row.losses_used_usd, || {
            // Without finance inputs the limit is no input: losses then expire.
            let limit = (!self.plan.inputs.finance.is_simple()).then(|| fields::LOSS_LIMIT.operand(limit));
            [income()].into_iter().chain(carried()).chain(limit).collect()
        })?;
        let used = || self.operand(&figure::LOSSES_USED, row.losses_used_usd);
        ledger.enter_of(&figure::LOSSES_CARRIED, year, row.losses_carried_usd, || {
            [income(), used()].into_iter().chain(carried()).collect()
        })?;
        ledger.enter_of(&figure::YEAR_TAX, year, row.tax_usd, || {
            vec![income(), used(), fields::TAX_RATE.operand(self.plan.inputs.economics.tax_rate)]
        })?;
        Ok(())
    }

    fn gross_operands(&self) -> Vec<Operand> {
        let row = self.row;
        vec![
            self.operand(&figure::YEAR_REVENUE, row.revenue_usd),
            self.operand(&figure::TAXED_INCENTIVES, row.taxed_incentives_usd),
            self.operand(&figure::YEAR_VARIABLE_COST, row.variable_cost_usd),
            self.operand(&figure::YEAR_FIXED_COST, row.fixed_cost_usd),
        ]
    }

    fn revenue_operands(&self) -> Vec<Operand> {
        let finance = &self.plan.inputs.finance;
        let products = self.plan.stages.sales.products.iter();
        let mut operands: Vec<Operand> =
            products.map(|sold| figure::PRODUCT_REVENUE.operand_of(&sold.code, sold.usd_per_yr)).collect();
        operands.extend(self.switches([
            (&fields::INFLATION, finance.inflation),
            (&fields::MAIN_PRODUCT_ESCALATION, finance.escalation.main_product),
            (&fields::CO_PRODUCT_ESCALATION, finance.escalation.co_product),
        ]));
        operands.extend(self.startup(&fields::STARTUP_REVENUE, finance.startup_revenue));
        operands
    }

    fn variable_operands(&self) -> Vec<Operand> {
        let (materials, finance) = (&self.plan.stages.materials, &self.plan.inputs.finance);
        let feedstocks = materials.feedstocks.iter();
        let mut operands: Vec<Operand> =
            feedstocks.map(|used| figure::FEEDSTOCK_COST.operand_of(&used.code, used.usd_per_yr)).collect();
        operands.push(figure::HYDROGEN_COST.operand(materials.hydrogen.usd_per_yr));
        operands.push(figure::ELECTRICITY_COST.operand(materials.electricity.usd_per_yr));
        operands.extend(self.switches([
            (&fields::INFLATION, finance.inflation),
            (&fields::FEEDSTOCK_ESCALATION, finance.escalation.feedstock),
            (&fields::HYDROGEN_ESCALATION, finance.escalation.hydrogen),
            (&fields::ELECTRICITY_ESCALATION, finance.escalation.electricity),
        ]));
        operands.extend(self.startup(&fields::STARTUP_VARIABLE_COST, finance.startup_variable_cost));
        operands
    }

    fn fixed_operands(&self) -> Vec<Operand> {
        let finance = &self.plan.inputs.finance;
        let mut operands = vec![figure::INDIRECT_OPEX.operand(self.plan.stages.opex.indirect)];
        operands.extend(self.switches([
            (&fields::INFLATION, finance.inflation),
            (&fields::FIXED_COST_ESCALATION, finance.escalation.fixed_cost),
        ]));
        operands.extend(self.startup(&fields::STARTUP_FIXED_COST, finance.startup_fixed_cost));
        operands
    }

    /// The switches that are on: one that is 0 changes nothing and need not have been given.
    fn switches<const N: usize>(&self, switches: [(&'static fields::Field, f64); N]) -> impl Iterator<Item = Operand> {
        switches.into_iter().filter(|(_, value)| *value != 0.0).map(|(field, value)| field.operand(value))
    }

    fn startup(&self, field: &'static fields::Field, share: f64) -> Vec<Operand> {
        let time = self.plan.inputs.finance.startup_yr;
        if self.row.year != 1 || time == 0.0 {
            return Vec::new();
        }
        vec![fields::STARTUP_TIME.operand(time), field.operand(share)]
    }

    /// What incentives depend on: those that are taxed, or the credits.
    fn incentive_operands(&self, taxed: bool) -> Vec<Operand> {
        let (plan, inputs) = (self.plan, self.plan.inputs);
        if !plan.incentives.iter().any(|incentive| incentive.is_taxed() == taxed) {
            return Vec::new();
        }
        let sold = &plan.stages.sales.products[0];
        let mut operands = vec![
            figure::PRODUCTION.operand_of(&sold.code, sold.t_per_yr),
            ci_operand(&sold.code, sold.ci_g_per_mj, plan.ci),
        ];
        operands.extend(inputs.finance.first_year.map(|year| fields::FIRST_YEAR.operand(year.into())));
        if !taxed {
            let density = inputs.products[0].density_kg_per_m3;
            operands.extend(density.map(|density| fields::PRODUCT_DENSITY.operand_of(&sold.code, density)));
            return operands;
        }
        let policy = &inputs.policy;
        let given = [
            (&fields::CARBON_PRICE, policy.carbon_price.map(|offer| offer.usd_per_t)),
            (&fields::PRODUCTION_INCENTIVE, policy.production_incentive.map(|offer| offer.usd_per_t)),
            (&fields::EU_ALLOWANCE_PRICE, policy.eu_allowance_usd_per_t),
            (&fields::EU_PASS_THROUGH, policy.eu_pass_through),
        ];
        operands.extend(given.into_iter().filter_map(|(field, value)| Some(field.operand(value?))));
        operands
    }

    fn depreciation_operands(&self) -> Vec<Operand> {
        let finance = &self.plan.inputs.finance;
        let mut operands = vec![figure::TCI.operand(self.plan.stages.investment.tci)];
        if finance.depreciation == Depreciation::StraightLine {
            operands.push(match finance.depreciation_yr {
                Some(years) => fields::DEPRECIATION_PERIOD.operand(years.into()),
                None => fields::LIFETIME.operand(self.plan.inputs.economics.lifetime_yr.into()),
            });
        }
        operands
    }
}

const CONSTRUCTION: [&fields::Field; 5] = [
    &fields::CONSTRUCTION_1,
    &fields::CONSTRUCTION_2,
    &fields::CONSTRUCTION_3,
    &fields::CONSTRUCTION_4,
    &fields::CONSTRUCTION_5,
];
