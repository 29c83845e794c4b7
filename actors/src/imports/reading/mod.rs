//! Reading a file of scenarios: whatever its format, it becomes the same rows, or is refused as a whole.
//!
//! A file is read once, from beginning to end, before it is accepted: what is malformed anywhere in it leaves nothing
//! behind. Memory is bounded by the limits, not by the file: rows go to a file of their own, compressed.

mod csv;
mod json;
mod shown;
mod spool;
mod xlsx;
mod xml;

use std::{
    fs::File,
    io::{self, Read, Seek},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use safire_domain::{
    number::Decimal,
    operation::{Fault, Format, Row},
    reading::BYTE_ORDER_MARK,
    table::{Cell, Columns},
};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::priority::Priority;
use spool::Sink;
pub use spool::{Spool, unpack};

/// How much a file may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Rows.
    pub rows: u64,
    /// Bytes that a workbook may unpack to.
    pub unpacked: u64,
    /// Where rows are kept while the file is read.
    pub directory: PathBuf,
}

/// The dialect of a table, as far as somebody says it; the rest is told by the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialect {
    /// The mark before the decimals of a number.
    pub decimal: Option<Decimal>,
    /// The mark between the cells of a CSV.
    pub separator: Option<Separator>,
}

/// The mark between the cells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Separator {
    /// `,`
    #[serde(rename = ",")]
    Comma,
    /// `;`
    #[serde(rename = ";")]
    Semicolon,
    /// A tab.
    #[serde(rename = "tab")]
    Tab,
}

impl Separator {
    fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

/// Columns of a table.
const COLUMNS: usize = 512;

/// Bytes of one row.
const ROW: usize = 64 << 10;

/// A file that was read.
#[derive(Debug)]
pub struct Reading {
    /// What it is.
    pub format: Format,
    /// How many rows it has.
    pub rows: i64,
    /// The headers of its columns by the places in a scenario that they fill.
    pub columns: Vec<(String, String)>,
    /// The rows.
    pub spool: Spool,
}

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum Refusal {
    /// It is no table of scenarios.
    #[error("{0}")]
    Malformed(String),
    /// It has a formula, which is nothing that is read.
    #[error("line {line}, column {column}: a formula; give the value")]
    Formula {
        /// The line.
        line: i64,
        /// The column's header.
        column: String,
    },
    /// Its headers are wrong.
    #[error("the columns are wrong")]
    Columns(Vec<Fault>),
    /// Its numbers can be read in two ways.
    #[error("{0}")]
    Ambiguous(String),
    /// It has no rows.
    #[error("the file has no rows")]
    Empty,
    /// It is larger than is allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The disk, or the reader, failed.
    #[error("the file could not be read")]
    Failed(#[source] io::Error),
}

impl Refusal {
    /// The number of things that are wrong.
    fn faults(&self) -> usize {
        if let Self::Columns(faults) = self { faults.len() } else { 1 }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads a file on a thread of its own, which counts less than those that answer requests.
pub async fn read(file: File, dialect: Dialect, limits: Limits) -> Result<Reading, Refusal> {
    let (sender, answer) = oneshot::channel();
    std::thread::Builder::new().name("import".into()).spawn(move || {
        Priority::Long.of_this_thread();
        // The readers are libraries, and the file is a stranger's.
        let reading = catch_unwind(AssertUnwindSafe(|| read_now(file, dialect, &limits)));
        let reading = reading.unwrap_or_else(|_| Err(malformed("the file cannot be read")));
        // Who does not wait any more does not want the answer.
        let _ = sender.send(reading);
    })?;
    answer.await.map_err(|_| Refusal::Failed(io::Error::other("the reader ended")))?
}

fn read_now(mut file: File, dialect: Dialect, limits: &Limits) -> Result<Reading, Refusal> {
    let format = format(&mut file)?;
    let mut sink = Sink::new(limits)?;
    let columns = match format {
        Format::Csv => csv::read(file, dialect, &mut sink)?.by_pointer(),
        Format::Xlsx => xlsx::read(file, dialect.decimal, limits, &mut sink)?.by_pointer(),
        Format::Json => {
            json::read(file, &mut sink)?;
            Vec::new()
        }
    };
    let (rows, spool) = sink.finish()?;
    if rows == 0 { Err(Refusal::Empty) } else { Ok(Reading { format, rows, columns, spool }) }
}

/// What a file is, by how it begins.
fn format(file: &mut File) -> Result<Format, Refusal> {
    let mut start = [0; 512];
    let mut length = 0;
    while length < start.len() {
        match file.read(&mut start[length..])? {
            0 => break,
            read => length += read,
        }
    }
    file.rewind()?;
    let start = start[..length].strip_prefix(BYTE_ORDER_MARK).unwrap_or(&start[..length]);
    if start.starts_with(b"\xD0\xCF\x11\xE0") {
        return Err(malformed("a workbook of the old kind (xls); save it as xlsx or csv"));
    }
    Ok(match start.trim_ascii_start() {
        [] => return Err(Refusal::Empty),
        [b'P', b'K', 3, 4, ..] => Format::Xlsx,
        [b'[' | b'{', ..] => Format::Json,
        _ => Format::Csv,
    })
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::Malformed(message.into())
}

/// The columns of a table, from its first row.
fn columns(headers: &[Cell]) -> Result<Columns, Refusal> {
    if headers.len() > COLUMNS {
        return Err(Refusal::TooLarge(format!("the file has {} columns, allowed are {COLUMNS}", headers.len())));
    }
    if let Some(place) = headers.iter().position(is_formula) {
        return Err(Refusal::Formula { line: 1, column: letters(place) });
    }
    Columns::read(&headers.iter().map(Cell::text).collect::<Vec<_>>()).map_err(Refusal::Columns)
}

/// A row of a table.
fn row(columns: &Columns, line: i64, cells: &[Cell], decimal: Option<Decimal>) -> Result<Row, Refusal> {
    if let Some(place) = cells.iter().position(is_formula) {
        return Err(Refusal::Formula { line, column: columns.header(place).to_owned() });
    }
    columns.row(line, cells, decimal).map_err(|error| Refusal::Failed(error.into()))
}

fn is_formula(cell: &Cell) -> bool {
    matches!(cell, Cell::Text(text) if text.trim_start().starts_with(['=', '＝']))
}

/// The name of a column in a spreadsheet: A to Z, AA and so on.
fn letters(place: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(place % 26).unwrap_or_default());
    if place < 26 { letter.to_string() } else { format!("{}{letter}", letters(place / 26 - 1)) }
}
