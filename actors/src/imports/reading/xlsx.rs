//! The first sheet of a workbook. What it unpacks to is measured before anything looks into it.

use std::{
    fs::File,
    io::{self, BufReader, Seek},
};

use calamine::{DataRef, Reader, Style, Xlsx, XlsxCellReader, XlsxError};
use safire_domain::{
    number::Decimal,
    table::{Cell, Columns},
};
use zip::ZipArchive;

use super::{COLUMNS, Limits, ROW, Refusal, Sink, columns, letters, malformed, row, shown::Shown, xml::Measure};

/// Files in a workbook.
const FILES: usize = 1000;

/// Bytes that everything but the sheets may unpack to: readers keep it in memory.
const BESIDE_SHEETS: u64 = 12 << 20;

pub(super) fn read(
    mut file: File,
    decimal: Option<Decimal>,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<Columns, Refusal> {
    measure(&file, limits)?;
    file.rewind()?;
    let mut book: Xlsx<_> = Xlsx::new(BufReader::new(file)).map_err(|error| failed(&error))?;
    let name = book.sheet_names().into_iter().next().ok_or(Refusal::Empty)?;
    let formula = book.worksheet_cells_reader(&name).and_then(first_formula).map_err(|error| failed(&error))?;
    let mut cells = book.worksheet_cells_reader(&name).map_err(|error| failed(&error))?;
    let formats: Vec<Shown> = cells.styles().iter().map(shown).collect();
    let mut rows = Rows { columns: None, at: 0, cells: Vec::new(), bytes: 0, decimal, sink };
    while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(|error| failed(&error))? {
        let at = cell.get_position();
        if formula.is_some_and(|formula| formula <= at) {
            break;
        }
        rows.put(at.0 + 1, at.1 as usize, cell.get_value(), formats.get(style))?;
    }
    if let Some((row, place)) = formula {
        return Err(rows.formula(row + 1, place as usize));
    }
    rows.end()?;
    rows.columns.ok_or(Refusal::Empty)
}

/// Where the first formula is. What a cell shows and whether it is a formula are told by two readings of the sheet.
fn first_formula(mut cells: XlsxCellReader<'_, BufReader<File>>) -> Result<Option<(u32, u32)>, XlsxError> {
    while let Some(cell) = cells.next_cell_with_formula()? {
        if cell.formula.is_some() {
            return Ok(Some(cell.pos));
        }
    }
    Ok(None)
}

fn failed(error: &XlsxError) -> Refusal {
    malformed(format!("the workbook cannot be read: {error}"))
}

fn shown(style: &Style) -> Shown {
    Shown::by(style.number_format.as_ref().map_or("General", |format| &format.format_code))
}

/// Unpacks everything into nothing: the sizes that a file gives of itself may be lies.
fn measure(file: &File, limits: &Limits) -> Result<(), Refusal> {
    let no_archive = |error: zip::result::ZipError| malformed(format!("the workbook cannot be unpacked: {error}"));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(no_archive)?;
    if archive.len() > FILES {
        return Err(Refusal::TooLarge(format!("the workbook has {} files, allowed are {FILES}", archive.len())));
    }
    let (mut sheets, mut beside) = (0, 0);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(no_archive)?;
        let is_sheet = entry.name().map_err(no_archive)?.starts_with("xl/worksheets/");
        let (sum, most) = if is_sheet { (&mut sheets, limits.unpacked) } else { (&mut beside, BESIDE_SHEETS) };
        let left = most - *sum;
        let mut measure = Measure::default();
        let unpacked = io::copy(&mut io::Read::take(entry, left + 1), &mut measure);
        if let Some(what) = measure.too_much {
            return Err(Refusal::TooLarge(format!("the workbook has {what}")));
        }
        *sum += unpacked.map_err(|error| malformed(format!("the workbook cannot be unpacked: {error}")))?;
        if *sum > most {
            return Err(Refusal::TooLarge(format!("the workbook unpacks to more than {} MiB", most >> 20)));
        }
    }
    Ok(())
}

/// Cells on their way to rows.
struct Rows<'s> {
    columns: Option<Columns>,
    /// The line of the cells.
    at: u32,
    cells: Vec<Cell>,
    /// Bytes of the cells.
    bytes: usize,
    decimal: Option<Decimal>,
    sink: &'s mut Sink,
}

impl Rows<'_> {
    fn put(&mut self, line: u32, place: usize, value: &DataRef<'_>, format: Option<&Shown>) -> Result<(), Refusal> {
        if line != self.at {
            self.end()?;
            self.at = line;
        }
        let cell = cell(value, format);
        if cell.is_blank() {
            return Ok(());
        }
        let most = self.columns.as_ref().map_or(COLUMNS, Columns::len);
        if place >= most {
            return Err(match self.columns {
                None => Refusal::TooLarge(format!("the file has more than {COLUMNS} columns")),
                Some(_) => malformed(format!("line {line}: a cell beyond the {most} columns")),
            });
        }
        self.bytes += cell.length();
        if self.bytes > ROW {
            return Err(Refusal::TooLarge(format!("line {line}: a row of more than {ROW} bytes")));
        }
        if self.cells.len() <= place {
            self.cells.resize(place + 1, Cell::Text(String::new()));
        }
        self.cells[place] = cell;
        Ok(())
    }

    /// Ends a row; one without cells is none.
    fn end(&mut self) -> Result<(), Refusal> {
        self.bytes = 0;
        if self.cells.is_empty() {
            return Ok(());
        }
        let cells = std::mem::take(&mut self.cells);
        match &self.columns {
            None => self.columns = Some(columns(&cells)?),
            Some(columns) => self.sink.take(row(columns, self.at.into(), &cells, self.decimal)?)?,
        }
        Ok(())
    }

    /// Why a formula in that cell is refused, unless something before it is.
    fn formula(&mut self, line: u32, place: usize) -> Refusal {
        if line != self.at
            && let Err(refusal) = self.end()
        {
            return refusal;
        }
        let header = self.columns.as_ref().map_or("", |columns| columns.header(place));
        let column = if header.is_empty() { letters(place) } else { header.to_owned() };
        Refusal::Formula { line: line.into(), column }
    }
}

/// The cell as it shows itself.
fn cell(value: &DataRef<'_>, format: Option<&Shown>) -> Cell {
    let number = |number: f64| format.map_or(Cell::Number(number, String::new()), |format| format.of(number));
    match value {
        DataRef::Empty => Cell::Text(String::new()),
        DataRef::String(text) => Cell::Text(text.clone()),
        DataRef::SharedString(text) => Cell::Text((*text).to_owned()),
        DataRef::Int(value) => number(*value as f64),
        DataRef::Float(value) => number(*value),
        DataRef::Bool(_) => Cell::Other("a boolean".to_owned()),
        DataRef::Error(error) => Cell::Other(format!("the error {error}")),
        _ => Cell::Other("a date or a time".to_owned()),
    }
}
