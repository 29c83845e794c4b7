//! A result as a workbook that goes on calculating: the inputs are cells, and everything up to the levelized
//! cost and the net present value is a formula over them.
//!
//! The formulas follow the trace of the calculation, step by step, and the years of its cash flow. What a
//! workbook cannot follow (the length of the cash flow, incentives, searches) is written as a number and said
//! to be one.

mod flow;
mod inputs;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use rust_xlsxwriter::{Color, Format, Formula, Workbook, Worksheet, XlsxError};
use safire_domain::engine::Answer;

use super::Report;
use crate::Problem;

pub(super) const INPUTS: &str = "Inputs";
pub(super) const STEPS: &str = "Calculation";
pub(super) const FLOW: &str = "Cash flow";

/// What stands for a year that does not come.
pub(super) const NEVER: &str = "never";

/// The cell of every input, by pointer, and of every step, by name.
pub(super) type Cells = HashMap<String, String>;

/// How cells look.
pub(super) struct Look {
    head: Format,
    /// A number that is to be changed.
    input: Format,
    title: Format,
}

impl Look {
    fn new() -> Self {
        Self {
            head: Format::new().set_bold().set_border_bottom(rust_xlsxwriter::FormatBorder::Thin),
            input: Format::new().set_background_color(Color::RGB(0x00FF_F2CC)),
            title: Format::new().set_bold().set_font_size(14),
        }
    }
}

/// Draws the workbook.
pub(crate) fn result(report: &Report) -> Result<Vec<u8>, Problem> {
    draw(report).map_err(|error| Problem::defect(&error))
}

fn draw(report: &Report) -> Result<Vec<u8>, XlsxError> {
    let look = Look::new();
    let mut cells = Cells::new();
    let mut inputs_sheet = Worksheet::new();
    inputs::write(inputs_sheet.set_name(INPUTS)?, &look, report, &mut cells)?;
    let mut flow_sheet = Worksheet::new();
    let flow = flow::Flow::place(report, &mut cells);
    let mut steps_sheet = Worksheet::new();
    steps::write(steps_sheet.set_name(STEPS)?, &look, report, &flow, &mut cells)?;
    flow.write(flow_sheet.set_name(FLOW)?, &look, &cells)?;
    let mut summary = Worksheet::new();
    summarise(summary.set_name("Summary")?, &look, report, &cells)?;

    let mut book = Workbook::new();
    for sheet in [summary, inputs_sheet, steps_sheet, flow_sheet] {
        book.push_worksheet(sheet);
    }
    if let Some(question) = &report.question {
        let value = serde_json::to_value(question).unwrap_or_default();
        list(book.add_worksheet().set_name("Question")?, &look, &super::csv::flat(&value))?;
    }
    if let Some(analysis) = &report.computed.analysis {
        let value = serde_json::to_value(analysis).unwrap_or_default();
        list(book.add_worksheet().set_name("Analysis")?, &look, &super::csv::flat(&value))?;
    }
    book.save_to_buffer()
}

/// A formula with the value that it has until somebody changes an input.
pub(super) fn live(formula: &str, value: f64) -> Formula {
    Formula::new(formula).set_result(value.to_string())
}

pub(super) fn header(sheet: &mut Worksheet, row: u32, look: &Look, names: &[&str]) -> Result<(), XlsxError> {
    for (column, name) in (0..).zip(names) {
        sheet.write_with_format(row, column, *name, &look.head)?;
    }
    Ok(())
}

/// A result in the summary: the name of its step, what it is called, its value and unit.
type Line = (&'static str, &'static str, Answer, &'static str);

fn lines(report: &Report) -> Vec<Line> {
    let result = &report.computed.result;
    let found = |value: f64| Answer::Found { value };
    let year = |year: Option<i32>| year.map_or_else(|| Answer::none(NEVER), |year| found(year.into()));
    vec![
        ("lcop", "Levelized cost of production", found(result.lcop_usd_per_t), "USD/t"),
        ("lcop_net", "Levelized cost after co-products", found(result.lcop_net_usd_per_t), "USD/t"),
        ("npv", "Net present value", found(result.npv_usd), "USD"),
        ("irr", "Internal rate of return", result.irr.clone(), "1"),
        ("msp", "Minimum selling price", result.msp_usd_per_t.clone(), "USD/t"),
        ("payback", "Payback", result.payback_years.clone(), "yr"),
        ("payback_negative_again", "Negative again after payback", year(result.payback_negative_again_year), "yr"),
        ("discounted_payback", "Discounted payback", result.discounted_payback_years.clone(), "yr"),
        (
            "discounted_payback_negative_again",
            "Negative again after discounted payback",
            year(result.discounted_payback_negative_again_year),
            "yr",
        ),
        ("tci", "Total capital investment", found(result.tci_usd), "USD"),
        ("opex", "Operating cost", found(result.opex_usd_per_yr.total), "USD/yr"),
        ("revenue", "Revenue", found(result.revenue_usd_per_yr), "USD/yr"),
        ("ci", "Carbon intensity", found(result.ci_g_per_mj.total), "gCO2e/MJ"),
        ("abatement_cost", "Abatement cost", result.abatement_usd_per_t.clone(), "USD/t"),
    ]
}

fn summarise(sheet: &mut Worksheet, look: &Look, report: &Report, cells: &Cells) -> Result<(), XlsxError> {
    let Report { scenario, run, .. } = report;
    sheet.set_column_width(0, 34)?.set_column_width(1, 24)?.set_column_width(2, 24)?.set_column_width(3, 12)?;
    sheet.write_string_with_format(0, 0, scenario.name.as_str(), &look.title)?;
    let pathway = &scenario.pathway;
    let about = [
        ("Process, feedstock, country", format!("{}, {}, {}", pathway.process, pathway.feedstock, pathway.country)),
        ("Scenario", scenario.id.to_string()),
        ("Run", run.id.to_string()),
        ("Calculated", run.finished_at.map(|at| at.to_rfc3339()).unwrap_or_default()),
        ("Engine, edition of the master data", format!("{}, {}", run.engine_version, run.edition)),
    ];
    for (row, (name, text)) in (1..).zip(about) {
        sheet.write_string(row, 0, name)?.write_string(row, 1, text)?;
    }
    header(sheet, 7, look, &["Result", "As calculated", "With the inputs of this workbook", "Unit"])?;
    let mut row = 8;
    for (step, name, answer, unit) in lines(report) {
        sheet.write_string(row, 0, name)?.write_string(row, 3, unit)?;
        let shown = match answer.value() {
            Some(value) => {
                sheet.write_number(row, 1, value)?;
                value.to_string()
            }
            None => {
                sheet.write_string(row, 1, answer.why_not_one().unwrap_or_default())?;
                NEVER.to_owned()
            }
        };
        // A step that is a number itself follows no input.
        if let Some(cell) = cells.get(step) {
            sheet.write_formula(row, 2, Formula::new(cell).set_result(shown))?;
        }
        row += 1;
    }
    for (line, text) in (row + 1..).zip(NOTES) {
        sheet.write_string(line, 0, *text)?;
    }
    Ok(())
}

const NOTES: &[&str] = &[
    "The shaded cells of the sheet Inputs can be changed; everything that is a formula follows.",
    "Lifetime, years of construction, the first year and policies shape the calculation: change them in the scenario.",
    "Incentives are the amounts of the calculation, whatever is changed here.",
    "Results without a value in the third column are not worked out in this workbook.",
];

/// Names and values.
fn list(sheet: &mut Worksheet, look: &Look, rows: &[(String, String)]) -> Result<(), XlsxError> {
    header(sheet, 0, look, &["Name", "Value"])?;
    sheet.set_column_width(0, 48)?.set_column_width(1, 24)?;
    for (row, (name, text)) in (1..).zip(rows) {
        sheet.write_string(row, 0, name)?;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => sheet.write_number(row, 1, number)?,
            _ => sheet.write_string(row, 1, text)?,
        };
    }
    Ok(())
}
