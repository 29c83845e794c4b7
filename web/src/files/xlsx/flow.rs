//! The sheet of the cash flow: a row a year, each column a formula over the inputs, the steps of an ordinary
//! year and the year before.

use rust_xlsxwriter::{Formula, Worksheet, XlsxError};
use safire_domain::engine::{
    CashFlowYear, Inputs,
    finance::macrs,
    inputs::{Depreciation, Financing, Losses, Payback},
};

use super::{Cells, FLOW, Look, NEVER, header, live};
use crate::files::Report;

const COLUMNS: &[&str] = &[
    "Year",
    "Calendar year",
    "Capital",
    "Working capital",
    "Loan drawn",
    "Revenue",
    "Variable cost",
    "Fixed cost",
    "Taxed incentives",
    "Tax credits",
    "Depreciation",
    "Interest",
    "Principal",
    "Loan balance",
    "Taxable income",
    "Losses used",
    "Losses carried",
    "Tax",
    "Cash flow",
    "Discount factor",
    "Discounted",
    "Cumulative",
    "Cumulative discounted",
    "Was below zero",
    "Paid back",
    "Below zero again",
    "Was below zero, discounted",
    "Paid back, discounted",
    "Below zero again, discounted",
];

/// The paybacks: the step, and the column of the years in which it may be.
const PAYBACKS: [(&str, &str); 4] = [
    ("payback", "Y"),
    ("payback_negative_again", "Z"),
    ("discounted_payback", "AB"),
    ("discounted_payback_negative_again", "AC"),
];

/// The years with their rows.
pub(super) struct Flow<'a> {
    inputs: &'a Inputs,
    years: &'a [CashFlowYear],
}

impl<'a> Flow<'a> {
    /// Gives every year's cash flow its cell.
    pub fn place(report: &'a Report, cells: &mut Cells) -> Self {
        let years = report.computed.details.as_ref().map_or(&[][..], |details| &details.cash_flow.years);
        for (at, year) in (2..).zip(years) {
            cells.insert(format!("cash_flow.{}", year.year), format!("'{FLOW}'!$S${at}"));
        }
        let last = years.len() + 1;
        for (step, column) in PAYBACKS {
            let years = format!("'{FLOW}'!${column}$2:${column}${last}");
            cells.insert(step.to_owned(), format!("IF(COUNT({years})=0,\"{NEVER}\",MIN({years}))"));
        }
        Self { inputs: &report.inputs, years }
    }

    /// The net present value: all that is discounted, together.
    pub fn npv(&self) -> String {
        format!("SUM('{FLOW}'!$U$2:$U${})", self.years.len() + 1)
    }

    pub fn write(&self, sheet: &mut Worksheet, look: &Look, cells: &Cells) -> Result<(), XlsxError> {
        header(sheet, 0, look, COLUMNS)?;
        sheet.set_freeze_panes(1, 1)?.set_column_range_width(2, 28, 18)?;
        for (row, year) in (1..).zip(self.years) {
            self.write_year(sheet, row, year, cells)?;
        }
        self.write_paybacks(sheet, 23, ["V", "X", "Y"], |year| year.cumulative_usd)?;
        self.write_paybacks(sheet, 26, ["W", "AA", "AB"], |year| year.cumulative_discounted_usd)
    }

    /// When a sum was below zero, when it no longer is, and when it is again: three columns from `first` on, of which
    /// the first two are named after the sum's.
    fn write_paybacks(
        &self,
        sheet: &mut Worksheet,
        first: u16,
        [sum, below, back]: [&str; 3],
        value: impl Fn(&CashFlowYear) -> f64,
    ) -> Result<(), XlsxError> {
        let (is_back, above): (fn(f64) -> bool, _) = match self.inputs.finance.payback {
            Payback::NotNegative => (|sum| sum >= 0.0, ">="),
            Payback::Positive => (|sum| sum > 0.0, ">"),
        };
        let (mut was_below, mut was_back) = (false, false);
        for (row, year) in (1..).zip(self.years) {
            let (at, before, sum_now) = (row + 1, row, value(year));
            let earlier = if row == 1 { "FALSE".to_owned() } else { format!("{below}{before}=1") };
            was_below |= sum_now < 0.0;
            let formula = format!("IF(OR({earlier},{sum}{at}<0),1,0)");
            sheet.write_formula(row, first, live(&formula, f64::from(u8::from(was_below))))?;
            let year_or_blank = |is: bool| if is { year.year.to_string() } else { String::new() };
            let now_back = was_below && is_back(sum_now);
            was_back |= now_back;
            let formula = format!("IF(AND({below}{at}=1,{sum}{at}{above}0),A{at},\"\")");
            sheet.write_formula(row, first + 1, Formula::new(formula).set_result(year_or_blank(now_back)))?;
            let formula = format!("IF(AND({sum}{at}<0,COUNT({back}$2:{back}{at})>0),A{at},\"\")");
            let again = was_back && sum_now < 0.0;
            sheet.write_formula(row, first + 2, Formula::new(formula).set_result(year_or_blank(again)))?;
        }
        Ok(())
    }

    fn write_year(&self, sheet: &mut Worksheet, row: u32, year: &CashFlowYear, cells: &Cells) -> Result<(), XlsxError> {
        sheet.write_number(row, 0, year.year)?;
        if let Some(calendar) = year.calendar_year {
            sheet.write_number(row, 1, calendar)?;
        }
        sheet.write_number(row, 8, year.taxed_incentives_usd)?.write_number(row, 9, year.tax_credits_usd)?;
        let formulas = Year { inputs: self.inputs, cells, year: year.year, at: row + 1 };
        let columns = [
            (2, formulas.capital(), year.capital_usd),
            (3, formulas.working_capital(), year.working_capital_usd),
            (4, formulas.loan_drawn(), year.loan_drawn_usd),
            (5, formulas.revenue(), year.revenue_usd),
            (6, formulas.variable_cost(), year.variable_cost_usd),
            (7, formulas.fixed_cost(), year.fixed_cost_usd),
            (10, formulas.depreciation(), year.depreciation_usd),
            (11, formulas.interest(), year.interest_usd),
            (12, formulas.principal(), year.principal_usd),
            (13, formulas.loan_balance(), year.loan_balance_usd),
            (14, formulas.taxable_income(), year.taxable_income_usd),
            (15, formulas.losses_used(), year.losses_used_usd),
            (16, formulas.losses_carried(), year.losses_carried_usd),
            (17, formulas.tax(), year.tax_usd),
            (18, formulas.cash_flow(), year.cash_flow_usd),
            (19, formulas.discount_factor(), year.discount_factor),
            (20, formulas.here("S{}*T{}"), year.discounted_usd),
            (21, format!("{}+{}", formulas.before("V"), formulas.here("S{}")), year.cumulative_usd),
            (22, format!("{}+{}", formulas.before("W"), formulas.here("U{}")), year.cumulative_discounted_usd),
        ];
        for (column, formula, value) in columns {
            sheet.write_formula(row, column, live(&formula, value))?;
        }
        Ok(())
    }
}

/// The formulas of one year.
struct Year<'a> {
    inputs: &'a Inputs,
    cells: &'a Cells,
    year: i32,
    /// Its row, as a spreadsheet counts.
    at: u32,
}

const ZERO: &str = "0";

impl Year<'_> {
    fn operates(&self) -> bool {
        self.year > 0
    }

    /// The cell of an input, or the number that it has when nobody gave it.
    fn input(&self, pointer: &str, otherwise: f64) -> String {
        self.cells.get(pointer).cloned().unwrap_or_else(|| otherwise.to_string())
    }

    /// The cell of a step.
    fn step(&self, name: &str) -> String {
        self.cells.get(name).cloned().unwrap_or_else(|| ZERO.to_owned())
    }

    /// Cells of this row.
    fn here(&self, formula: &str) -> String {
        formula.replace("{}", &self.at.to_string())
    }

    /// The cell of a column in the year before.
    fn before(&self, column: &str) -> String {
        if self.at == 2 { ZERO.to_owned() } else { format!("{column}{}", self.at - 1) }
    }

    fn capital(&self) -> String {
        let finance = &self.inputs.finance;
        let first = 1 - i32::try_from(finance.construction_years()).unwrap_or(1);
        if self.operates() {
            return ZERO.to_owned();
        }
        let place = usize::try_from(self.year - first).unwrap_or(0);
        let share = self.input(&format!("/finance/construction_year_{}", place + 1), finance.construction[place]);
        format!("{share}*{}", self.step("tci"))
    }

    fn working_capital(&self) -> String {
        let last = i32::try_from(self.inputs.economics.lifetime_yr).unwrap_or(i32::MAX);
        match self.year {
            0 => format!("-{}", self.step("working_capital")),
            year if year == last => self.step("working_capital"),
            _ => ZERO.to_owned(),
        }
    }

    /// Whether debt is served in the cash flow, or in the rate.
    fn owes(&self) -> bool {
        self.inputs.finance.financing == Financing::Loan
    }

    fn debt_rate(&self) -> String {
        self.input("/finance/debt_rate", self.inputs.finance.debt_rate)
    }

    fn loan_drawn(&self) -> String {
        if self.operates() || !self.owes() {
            return ZERO.to_owned();
        }
        let share = self.input("/finance/debt_share", self.inputs.finance.debt_share);
        format!("{share}*{}", self.here("C{}"))
    }

    fn interest(&self) -> String {
        if !self.owes() {
            return ZERO.to_owned();
        }
        format!("{}*({}+{})", self.debt_rate(), self.before("N"), self.here("E{}"))
    }

    fn principal(&self) -> String {
        if !self.operates() || !self.owes() {
            return ZERO.to_owned();
        }
        let finance = &self.inputs.finance;
        let term = self.input("/finance/debt_term", finance.debt_term_yr.into());
        let (rate, owed) = (self.debt_rate(), self.before("N"));
        let left = format!("({term}-{}+1)", self.here("A{}"));
        let share = format!("IF({rate}=0,1/{left},{rate}/(1-(1+{rate})^(-{left})))");
        format!("IF({left}<=0,0,{owed}*{share}-{})", self.here("L{}"))
    }

    fn loan_balance(&self) -> String {
        format!("{}+{}", self.before("N"), self.here("E{}-M{}"))
    }

    /// How much prices have risen since year 0.
    fn growth(&self, name: &str, escalation: f64) -> String {
        let inflation = self.input("/finance/inflation", self.inputs.finance.inflation);
        let rise = self.input(&format!("/finance/{name}_escalation"), escalation);
        format!("((1+{inflation})*(1+{rise}))^{}", self.here("A{}"))
    }

    /// The part of an ordinary year's money that the first year brings.
    fn startup(&self, name: &str, share: f64) -> String {
        if self.year != 1 {
            return "1".to_owned();
        }
        let time = self.input("/finance/startup_time", self.inputs.finance.startup_yr);
        let share = self.input(&format!("/finance/{name}"), share);
        format!("(1-{time}+{time}*{share})")
    }

    fn revenue(&self) -> String {
        if !self.operates() {
            return ZERO.to_owned();
        }
        let (finance, code) = (&self.inputs.finance, &self.inputs.main_product().code);
        let main = self.step(&format!("product_revenue.{code}"));
        let main = format!("{main}*{}", self.growth("main_product", finance.escalation.main_product));
        let others = self.step("co_product_revenue");
        let others = format!("{others}*{}", self.growth("co_product", finance.escalation.co_product));
        format!("({main}+{others})*{}", self.startup("startup_revenue", finance.startup_revenue))
    }

    fn variable_cost(&self) -> String {
        if !self.operates() {
            return ZERO.to_owned();
        }
        let (finance, rise) = (&self.inputs.finance, &self.inputs.finance.escalation);
        let feedstocks = self.inputs.feedstocks.iter();
        let feedstocks: Vec<_> = feedstocks.map(|used| self.step(&format!("feedstock_cost.{}", used.code))).collect();
        let feedstocks = if feedstocks.is_empty() { ZERO.to_owned() } else { feedstocks.join("+") };
        let parts = [
            format!("({feedstocks})*{}", self.growth("feedstock", rise.feedstock)),
            format!("{}*{}", self.step("hydrogen_cost"), self.growth("hydrogen", rise.hydrogen)),
            format!("{}*{}", self.step("electricity_cost"), self.growth("electricity", rise.electricity)),
        ];
        let startup = self.startup("startup_variable_cost", finance.startup_variable_cost);
        format!("({})*{startup}", parts.join("+"))
    }

    fn fixed_cost(&self) -> String {
        if !self.operates() {
            return ZERO.to_owned();
        }
        let finance = &self.inputs.finance;
        let growth = self.growth("fixed_cost", finance.escalation.fixed_cost);
        let startup = self.startup("startup_fixed_cost", finance.startup_fixed_cost);
        format!("{}*{growth}*{startup}", self.step("indirect_opex"))
    }

    fn depreciation(&self) -> String {
        if !self.operates() {
            return ZERO.to_owned();
        }
        let (finance, tci) = (&self.inputs.finance, self.step("tci"));
        if finance.depreciation != Depreciation::StraightLine {
            let shares = macrs(finance.depreciation);
            let place = usize::try_from(self.year - 1).unwrap_or(0);
            return format!("{tci}*{}", shares.get(place).unwrap_or(&0.0));
        }
        let lifetime = self.input("/economics/lifetime", self.inputs.economics.lifetime_yr.into());
        let period = match finance.depreciation_yr {
            Some(years) => self.input("/finance/depreciation_period", years.into()),
            None => lifetime,
        };
        format!("IF({}<={period},{tci}/{period},0)", self.here("A{}"))
    }

    fn taxable_income(&self) -> String {
        if self.operates() { self.here("F{}+I{}-(G{}+H{})-K{}-L{}") } else { ZERO.to_owned() }
    }

    fn carries_losses(&self) -> bool {
        self.operates() && self.inputs.finance.losses == Losses::CarriedForward
    }

    fn losses_used(&self) -> String {
        if !self.carries_losses() {
            return ZERO.to_owned();
        }
        let limit = self.input("/finance/loss_limit", self.inputs.finance.loss_limit);
        format!("MIN({},{limit}*MAX(0,{}))", self.before("Q"), self.here("O{}"))
    }

    fn losses_carried(&self) -> String {
        if !self.carries_losses() {
            return ZERO.to_owned();
        }
        format!("{}+MAX(0,-{})-{}", self.before("Q"), self.here("O{}"), self.here("P{}"))
    }

    fn tax(&self) -> String {
        if !self.operates() {
            return ZERO.to_owned();
        }
        let rate = self.input("/economics/tax_rate", self.inputs.economics.tax_rate);
        format!("MAX(0,{})*{rate}", self.here("O{}-P{}"))
    }

    fn cash_flow(&self) -> String {
        self.here("F{}+I{}-(G{}+H{})-R{}-C{}+D{}+J{}+E{}-L{}-M{}")
    }

    fn discount_factor(&self) -> String {
        let given = || self.input("/economics/discount_rate", self.inputs.economics.discount_rate);
        let rate = self.cells.get("wacc").cloned().unwrap_or_else(given);
        format!("(1+{rate})^(-{})", self.here("A{}"))
    }
}
