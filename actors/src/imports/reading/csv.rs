//! Values separated by commas, semicolons or tabs (RFC 4180), in UTF-8.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use safire_domain::table::Columns;

use super::{ROW, Refusal, Sink, columns, malformed, row};

/// The mark that some programs put before UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

pub(super) fn read(mut file: File, sink: &mut Sink) -> Result<Columns, Refusal> {
    let Start { delimiter, feeds } = begin(&mut file)?;
    let mut settings = ReaderBuilder::new();
    let reader = settings.has_headers(false).flexible(true).delimiter(delimiter);
    let mut reader = reader.from_reader(BufReader::new(file));
    let mut record = ByteRecord::new();
    let mut found: Option<Columns> = None;
    while reader.read_byte_record(&mut record).map_err(|error| failed(&error))? {
        let line = record.position().map_or(0, csv::Position::line) + if found.is_some() { feeds } else { 0 };
        let line = i64::try_from(line).unwrap_or(i64::MAX);
        if record.as_slice().len() > ROW && found.is_some() {
            return Err(Refusal::TooLarge(format!("line {line}: a row of more than {ROW} bytes")));
        }
        let cells = StringRecord::from_byte_record(record.clone())
            .map_err(|_| malformed(format!("line {line}: the file is not UTF-8")))?;
        let cells: Vec<String> = cells.iter().map(str::to_owned).collect();
        let Some(columns) = &found else {
            found = Some(self::columns(&cells)?);
            continue;
        };
        if cells.len() != columns.len() {
            let message = format!("line {line}: {} cells, but there are {} columns", cells.len(), columns.len());
            return Err(malformed(message));
        }
        sink.take(row(columns, line, &cells)?)?;
    }
    found.ok_or(Refusal::Empty)
}

fn failed(error: &csv::Error) -> Refusal {
    malformed(format!("the file cannot be read: {error}"))
}

/// How a file begins.
struct Start {
    delimiter: u8,
    /// Line feeds that the reader leaves to the next row: it ends a row with a carriage return where there is one.
    feeds: u64,
}

/// Passes over the mark; the separator is the one that the first line has most of.
fn begin(file: &mut File) -> Result<Start, Refusal> {
    let mut start = Vec::new();
    file.by_ref().take(ROW as u64).read_to_end(&mut start)?;
    let mark = if start.starts_with(MARK) { MARK.len() } else { 0 };
    file.seek(SeekFrom::Start(mark as u64))?;
    let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let many = |separator: u8| first.iter().filter(|byte| **byte == separator).count();
    // Of equals the last is taken.
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|separator| many(*separator)).unwrap_or(b',');
    Ok(Start { delimiter, feeds: first.ends_with(b"\r").into() })
}
