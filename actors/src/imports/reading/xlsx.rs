//! The first sheet of a workbook. What it unpacks to is measured before anything looks into it.

use std::{
    fs::File,
    io::{self, BufReader, Seek},
};

use calamine::{Data, DataRef, Reader, Xlsx, XlsxError};
use safire_domain::table::Columns;
use zip::ZipArchive;

use super::{COLUMNS, Limits, Refusal, Sink, columns, malformed, row};

/// Files in a workbook.
const FILES: usize = 1000;

/// Bytes that everything but the sheets may unpack to: readers keep it in memory.
const BESIDE_SHEETS: u64 = 64 << 20;

pub(super) fn read(mut file: File, limits: &Limits, sink: &mut Sink) -> Result<Columns, Refusal> {
    measure(&file, limits)?;
    file.rewind()?;
    let mut book: Xlsx<_> = Xlsx::new(BufReader::new(file)).map_err(|error| failed(&error))?;
    let name = book.sheet_names().into_iter().next().ok_or(Refusal::Empty)?;
    let mut cells = book.worksheet_cells_reader(&name).map_err(|error| failed(&error))?;
    let mut rows = Rows { columns: None, at: 0, cells: Vec::new(), sink };
    while let Some(cell) = cells.next_cell_with_formula().map_err(|error| failed(&error))? {
        let (line, place) = (cell.pos.0 + 1, cell.pos.1 as usize);
        if cell.formula.is_some() {
            let header = rows.columns.as_ref().map_or("", |columns| columns.header(place)).to_owned();
            return Err(Refusal::Formula { line: line.into(), column: header });
        }
        rows.put(line, place, cell.value)?;
    }
    rows.end()?;
    rows.columns.ok_or(Refusal::Empty)
}

fn failed(error: &XlsxError) -> Refusal {
    malformed(format!("the workbook cannot be read: {error}"))
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
        let unpacked = io::copy(&mut io::Read::take(entry, left + 1), &mut io::sink());
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
    cells: Vec<String>,
    sink: &'s mut Sink,
}

impl Rows<'_> {
    fn put(&mut self, line: u32, place: usize, value: DataRef<'_>) -> Result<(), Refusal> {
        if line != self.at {
            self.end()?;
            self.at = line;
        }
        let text = Data::from(value).to_string();
        if text.is_empty() {
            return Ok(());
        }
        let most = self.columns.as_ref().map_or(COLUMNS, Columns::len);
        if place >= most {
            return Err(match self.columns {
                None => Refusal::TooLarge(format!("the file has more than {COLUMNS} columns")),
                Some(_) => malformed(format!("line {line}: a cell beyond the {most} columns")),
            });
        }
        if self.cells.len() <= place {
            self.cells.resize(place + 1, String::new());
        }
        self.cells[place] = text;
        Ok(())
    }

    /// Ends a row; one without cells is none.
    fn end(&mut self) -> Result<(), Refusal> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let cells = std::mem::take(&mut self.cells);
        match &self.columns {
            None => self.columns = Some(columns(&cells)?),
            Some(columns) => self.sink.take(row(columns, self.at.into(), &cells)?)?,
        }
        Ok(())
    }
}
