//! The sheet of inputs: each in its own unit, to be changed, and beside it in the unit that is calculated in.

use rust_xlsxwriter::{Worksheet, XlsxError};
use safire_domain::engine::inputs::fields::Field;

use super::{Cells, INPUTS, Look, header, live};
use crate::files::{Report, csv::text_of};

/// Inputs that decide how long the cash flow is or what is paid in which year: a workbook does not follow them.
fn shapes_the_calculation(pointer: &str) -> bool {
    matches!(pointer, "/economics/lifetime" | "/finance/first_year") || pointer.starts_with("/policy/")
}

pub(super) fn write(sheet: &mut Worksheet, look: &Look, report: &Report, cells: &mut Cells) -> Result<(), XlsxError> {
    header(sheet, 0, look, &["Input", "Value", "Unit", "Source", "Factor", "In base units", "Base unit", "Note"])?;
    sheet.set_freeze_panes(1, 0)?.set_column_width(0, 40)?.set_column_width(5, 18)?;
    for (row, input) in (1..).zip(&report.computed.resolved_inputs) {
        let Some(field) = Field::at(&input.pointer) else { continue };
        let unit = field.group.units().find(|unit| unit.symbol == input.unit);
        let factor = unit.map_or(1.0, |unit| unit.factor());
        sheet.write_string(row, 0, &input.pointer)?.write_string(row, 2, &input.unit)?;
        if shapes_the_calculation(&input.pointer) {
            sheet.write_number(row, 1, input.value)?;
            sheet.write_string(row, 7, "shapes the calculation: change it in the scenario")?;
        } else {
            sheet.write_number_with_format(row, 1, input.value, &look.input)?;
        }
        sheet.write_string(row, 3, text_of(&input.source).unwrap_or_default())?;
        sheet.write_number(row, 4, factor)?;
        let at = row + 1;
        sheet.write_formula(row, 5, live(&format!("B{at}*E{at}"), input.value * factor))?;
        sheet.write_string(row, 6, field.group.base_unit())?;
        cells.insert(input.pointer.clone(), format!("{INPUTS}!$F${at}"));
    }
    Ok(())
}
