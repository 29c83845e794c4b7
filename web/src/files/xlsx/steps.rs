//! The sheet of steps: the trace, with the formula of each step over the cells of its operands.

use rust_xlsxwriter::{Worksheet, XlsxError};
use safire_domain::engine::{Operand, Step};

use super::{Cells, Look, STEPS, flow::Flow, header, live};
use crate::files::Report;

/// How the formulas of the trace are written in a spreadsheet. `{x}` is the cell of the operand with the symbol
/// x, `{x|y}` of x or else y, `{+x}` the sum of all x, `{x*y}` the sum of the products of x and y, and `{@x}`
/// the x of the product that the step is of.
#[rustfmt::skip]
const FORMULAS: &[(&str, &str)] = &[
    ("TCI_ref · (C / C_ref)^a", "{TCI_ref}*({C}/{C_ref})^{a}"),
    ("w · TCI", "{w}*{TCI}"),
    ("C / h", "{C}/{h}"),
    ("C · y_f", "{C}*{y_f}"),
    ("m_f · p_f", "{m_f}*{p_f}"),
    ("C · y_H2", "{C}*{y_H2}"),
    ("m_H2 · p_H2", "{m_H2}*{p_H2}"),
    ("C · y_el", "{C}*{y_el}"),
    ("m_el · p_el", "{m_el}*{p_el}"),
    ("C · y_i", "{C}*{y_i}"),
    ("Σ m_i", "{+m_i}"),
    ("Σ c_f · y_f", "{c_f*y_f}"),
    ("c_i · y_i / B · 100 %", "{c_i}*{y_i}/{B}*100"),
    ("Σ e_i · y_i", "{e_i*y_i}"),
    ("e_i · y_i / E", "{e_i}*{y_i}/{E}"),
    ("CI_f · y_f / E", "{CI_f}*{y_f}/{E}"),
    ("Σ CI_F,f", "{+CI_F,f}"),
    ("CI_H2 · y_H2 / E", "{CI_H2}*{y_H2}/{E}"),
    ("CI_el · y_el / E", "{CI_el}*{y_el}/{E}"),
    ("CI_process", "{CI_process}"),
    ("CI_default", "{CI_default}"),
    ("CI_F + CI_H + CI_E + CI_P", "{CI_F}+{CI_H}+{CI_E}+{CI_P}"),
    ("CI · E · C / 1000", "{CI}*{E}*{C}/1000"),
    ("m_i / m", "{@y_i}/{+y_i}"),
    ("p_i · y_i / Σ p_j · y_j", "{@p_i}*{@y_i}/{p_i*y_i}"),
    ("M · x_i", "{M}*{x_i}"),
    ("M_i · 1000 / (m_i · e_i)", "{M_i}*1000/({m_i}*{e_i})"),
    ("Σ K_f + K_H2 + K_el", "{+K_f}+{K_H2}+{K_el}"),
    ("k · TCI", "{k}*{TCI}"),
    ("O_d + O_i", "{O_d}+{O_i}"),
    ("p_i + s_i · (CI_fossil − CI)", "{p_i}+{s_i}*({CI_fossil}-{CI|CI_i})"),
    ("m_i · P_i", "{m_i}*{P_i}"),
    ("Σ R_i", "{+R_i}"),
    ("Σ R_i without the main product", "{+R_i}"),
    ("(1 − d) · r + d · r_d · (1 − τ)", "(1-{d})*{r}+{d}*{r_d}*(1-{τ})"),
    ("r(1+r)^n / ((1+r)^n − 1), 1/n where r = 0", "IF({r}=0,1/{n},{r}/(1-(1+{r})^(-{n})))"),
    ("TCI · CRF", "{TCI}*{CRF}"),
    ("(K + OPEX) / m", "({K}+{OPEX})/{m}"),
    ("(K + OPEX − R_co) / m_main", "({K}+{OPEX}-{R_co})/{m_i}"),
    ("R − OPEX", "{R}-{OPEX}"),
    ("TCI / n", "{TCI}/{n}"),
    ("max(0, G − D) · τ", "MAX(0,{G}-{D})*{τ}"),
    ("G − T", "{G}-{T}"),
    ("TCI · CRF + W · r, D where r = 0", "IF({r}=0,{D},{TCI}*{CRF}+{W}*{r})"),
    ("A where A ≤ D, else (A − τ · D) / (1 − τ)", "IF({A}<={D},{A},({A}-{τ}*{D})/(1-{τ}))"),
    ("s_i · (CI_fossil − CI)", "{s_i}*({CI_fossil}-{CI|CI_i})"),
    ("(G_A + OPEX − R_co) / m_main − Z", "({G_A}+{OPEX}-{R_co})/{m_i}-{Z}"),
    ("MSP / e_main", "{MSP}/{e_i}"),
    ("p_fossil / e_fossil", "{p_fossil}/{e_fossil}"),
    ("(MSP_E − P_fossil) · 1000 / (CI_fossil − CI)", "({MSP_E}-{P_fossil})*1000/({CI_fossil}-{CI|CI_i})"),
];

/// Figures that every year has one of: they are in the sheet of the cash flow.
const BY_YEAR: &[&str] = &[
    "cash_flow",
    "capital",
    "loan_drawn",
    "interest",
    "principal",
    "loan_balance",
    "revenue_of_year",
    "variable_cost",
    "fixed_cost",
    "taxed_incentives",
    "tax_credits",
    "depreciation",
    "taxable_income",
    "losses_used",
    "losses_carried",
    "tax",
];

fn is_of_a_year(name: &str) -> bool {
    let Some((figure, year)) = name.split_once('.') else { return false };
    BY_YEAR.contains(&figure) && year.parse::<i32>().is_ok()
}

pub(super) fn write(
    sheet: &mut Worksheet,
    look: &Look,
    report: &Report,
    flow: &Flow<'_>,
    cells: &mut Cells,
) -> Result<(), XlsxError> {
    header(sheet, 0, look, &["Step", "Value", "Unit", "Formula", "Note"])?;
    sheet.set_freeze_panes(1, 0)?.set_column_width(0, 34)?.set_column_width(1, 20)?.set_column_width(3, 44)?;
    let steps = report.computed.trace.iter().flatten().filter(|step| !is_of_a_year(&step.name));
    for (row, step) in (1..).zip(steps) {
        sheet.write_string(row, 0, &step.name)?.write_string(row, 2, &step.unit)?.write_string(
            row,
            3,
            &step.formula,
        )?;
        if let Some(note) = &step.note {
            sheet.write_string(row, 4, note)?;
        }
        let Some(value) = step.value else { continue };
        let of_flow = if step.name == "npv" { Some(flow.npv()) } else { cells.get(&step.name).cloned() };
        let formula = of_flow.or_else(|| formula(step, cells));
        match formula {
            Some(formula) => {
                sheet.write_formula(row, 1, live(&formula, value))?;
                cells.insert(step.name.clone(), format!("{STEPS}!$B${}", row + 1));
            }
            None => {
                sheet.write_number(row, 1, value)?.write_string(row, 4, "as calculated: it follows no input")?;
            }
        }
    }
    Ok(())
}

/// The formula of a step over cells; none where one of them is no formula itself.
fn formula(step: &Step, cells: &Cells) -> Option<String> {
    let (_, template) = FORMULAS.iter().find(|(formula, _)| *formula == step.formula)?;
    let mut filled = String::new();
    let mut rest = *template;
    while let Some((before, after)) = rest.split_once('{') {
        let (symbol, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&Operands { step, cells }.fill(symbol)?);
        rest = after;
    }
    Some(filled + rest)
}

struct Operands<'a> {
    step: &'a Step,
    cells: &'a Cells,
}

impl Operands<'_> {
    fn fill(&self, symbol: &str) -> Option<String> {
        if let Some(symbol) = symbol.strip_prefix('+') {
            return Some(sum(self.all(symbol)?));
        }
        if let Some(symbol) = symbol.strip_prefix('@') {
            return self.own(symbol);
        }
        if let Some((left, right)) = symbol.split_once('*') {
            let pairs = self.all(left)?.into_iter().zip(self.all(right)?);
            return Some(sum(pairs.map(|(left, right)| format!("{left}*{right}")).collect()));
        }
        symbol.split('|').find_map(|symbol| self.all(symbol)?.into_iter().next())
    }

    fn with(&self, symbol: &str) -> impl Iterator<Item = &Operand> {
        self.step.inputs.iter().filter(move |operand| operand.symbol == symbol)
    }

    fn all(&self, symbol: &str) -> Option<Vec<String>> {
        self.with(symbol).map(|operand| self.cells.get(&operand.source).cloned()).collect()
    }

    /// The operand of the product that the step is named after.
    fn own(&self, symbol: &str) -> Option<String> {
        let (_, code) = self.step.name.split_once('.')?;
        let of_it = |operand: &&Operand| operand.source.split('/').nth(2) == Some(code);
        self.cells.get(&self.with(symbol).find(of_it)?.source).cloned()
    }
}

fn sum(terms: Vec<String>) -> String {
    if terms.is_empty() { "0".to_owned() } else { format!("({})", terms.join("+")) }
}
