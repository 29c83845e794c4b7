//! Values separated by commas, semicolons or tabs (RFC 4180), in UTF-8.
//!
//! The separator and the decimal mark are told by the file, as far as they are not given. Memory is bounded by a row,
//! whatever the file holds.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use safire_domain::{
    number::Decimal,
    reading::BYTE_ORDER_MARK,
    table::{Cell, Columns, Weighed},
};

use super::{COLUMNS, Dialect, ROW, Refusal, Sink, columns, malformed, row};

/// The marks that may separate cells, the likelier first.
const SEPARATORS: [u8; 3] = *b",;\t";

pub(super) fn read(file: File, given: Dialect, sink: &mut Sink) -> Result<Columns, Refusal> {
    let mut table = Table::open(file)?;
    table.separator = match (given.separator, table.named) {
        (Some(separator), _) => separator.byte(),
        (None, Some(named)) => named,
        (None, None) => table.likeliest_separator()?,
    };
    let decimal = match given.decimal {
        Some(decimal) => decimal,
        None => table.decimal()?,
    };
    table.rows(|columns, line, cells| sink.take(row(columns, line, cells, Some(decimal))?))
}

/// A file of rows.
struct Table {
    file: BufReader<File>,
    /// Where the rows begin, in bytes, and on which line.
    begin: (u64, i64),
    /// The separator that a first line `sep=;` names, as Excel understands it.
    named: Option<u8>,
    separator: u8,
}

impl Table {
    /// Passes over the byte-order mark, and over a line that names the separator.
    fn open(mut file: File) -> Result<Self, Refusal> {
        let mut start = Vec::new();
        file.by_ref().take(16).read_to_end(&mut start)?;
        let mark = if start.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let line = start[mark..].split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let named = match line.trim_ascii_end().to_ascii_lowercase().strip_prefix(b"sep=") {
            Some([separator]) => Some(*separator),
            // A tab, which ends the line.
            Some([]) if line.starts_with(b"sep=\t") => Some(b'\t'),
            _ => None,
        };
        let begin = if named.is_some() { ((mark + line.len()) as u64, 2) } else { (mark as u64, 1) };
        Ok(Self { file: BufReader::new(file), begin, named, separator: SEPARATORS[0] })
    }

    /// The separator with which the headers are those of scenarios, or nearly; of equals the one that there is most of.
    fn likeliest_separator(&mut self) -> Result<u8, Refusal> {
        let mut best = (SEPARATORS[0], usize::MAX, 0);
        for separator in SEPARATORS {
            self.separator = separator;
            let (faults, cells) = match self.header() {
                Ok(header) => {
                    (columns(without_blanks(&header, 0)).map_or_else(|refusal| refusal.faults(), |_| 0), header.len())
                }
                Err(Refusal::TooLarge(_)) => (usize::MAX, COLUMNS),
                Err(refusal) => return Err(refusal),
            };
            let (_, fewest, most) = best;
            if faults < fewest || faults == fewest && cells > most {
                best = (separator, faults, cells);
            }
        }
        Ok(best.0)
    }

    fn header(&mut self) -> Result<Vec<Cell>, Refusal> {
        let mut header = Vec::new();
        self.records(|_, cells| {
            header = cells.to_vec();
            Ok(false)
        })?;
        Ok(header)
    }

    /// The decimal mark that the numbers tell. Who separates by commas has a decimal point, unless numbers tell otherwise.
    fn decimal(&mut self) -> Result<Decimal, Refusal> {
        let mut weighed = Weighed::default();
        self.rows(|columns, line, cells| {
            columns.weigh(line, cells, &mut weighed);
            Ok(())
        })?;
        weighed.decide(self.separator == b',').map_err(Refusal::Ambiguous)
    }

    /// Hands on every row but the headers, with its line.
    fn rows(
        &mut self,
        mut take: impl FnMut(&Columns, i64, &[Cell]) -> Result<(), Refusal>,
    ) -> Result<Columns, Refusal> {
        let mut found: Option<Columns> = None;
        self.records(|line, cells| {
            let Some(columns) = &found else {
                found = Some(self::columns(without_blanks(cells, 0))?);
                return Ok(true);
            };
            let cells = without_blanks(cells, columns.len());
            if cells.len() != columns.len() {
                let message = format!("line {line}: {} cells, but there are {} columns", cells.len(), columns.len());
                return Err(malformed(message));
            }
            take(columns, line, cells)?;
            Ok(true)
        })?;
        found.ok_or(Refusal::Empty)
    }

    /// Hands on every row that is not blank, with the line where it begins, for as long as more are wanted.
    fn records(&mut self, mut take: impl FnMut(i64, &[Cell]) -> Result<bool, Refusal>) -> Result<(), Refusal> {
        self.file.seek(SeekFrom::Start(self.begin.0))?;
        let mut record = Record::new(self.separator, self.begin.1);
        loop {
            let read = self.file.fill_buf()?;
            let length = read.iter().position(|byte| *byte == b'\n').map_or(read.len(), |at| at + 1);
            let ended = read.is_empty();
            let mut rest = &read[..length];
            while !rest.is_empty() || ended {
                let (consumed, complete) = record.take(rest)?;
                rest = &rest[consumed..];
                if complete && !record.end(&mut take)? {
                    return Ok(());
                }
                if ended && !complete {
                    return Ok(());
                }
            }
            if read[..length].ends_with(b"\n") {
                record.line += 1;
            }
            self.file.consume(length);
        }
    }
}

/// The cells without blank ones at the end, as long as more than `least` are left: a spreadsheet writes as many as its
/// widest row has.
fn without_blanks(mut cells: &[Cell], least: usize) -> &[Cell] {
    while let [rest @ .., last] = cells
        && rest.len() >= least
        && last.is_blank()
    {
        cells = rest;
    }
    cells
}

/// A row on its way.
struct Record {
    reader: Reader,
    bytes: Vec<u8>,
    length: usize,
    ends: Vec<usize>,
    cells: usize,
    /// The line that is read, and the one where the row began.
    line: i64,
    began: i64,
}

impl Record {
    fn new(separator: u8, line: i64) -> Self {
        let reader = ReaderBuilder::new().delimiter(separator).build();
        Self { reader, bytes: vec![0; ROW], length: 0, ends: vec![0; COLUMNS + 1], cells: 0, line, began: line }
    }

    /// Takes in a part of a line, or its end; returns how much, and whether a row is complete.
    fn take(&mut self, input: &[u8]) -> Result<(usize, bool), Refusal> {
        if self.length == 0 && self.cells == 0 {
            self.began = self.line;
        }
        let (bytes, ends) = (&mut self.bytes[self.length..], &mut self.ends[self.cells..]);
        let (result, consumed, length, cells) = self.reader.read_record(input, bytes, ends);
        self.length += length;
        self.cells += cells;
        match result {
            ReadRecordResult::InputEmpty | ReadRecordResult::End => Ok((consumed, false)),
            ReadRecordResult::Record => Ok((consumed, true)),
            ReadRecordResult::OutputFull => {
                Err(Refusal::TooLarge(format!("line {}: a row of more than {ROW} bytes", self.began)))
            }
            ReadRecordResult::OutputEndsFull => {
                Err(Refusal::TooLarge(format!("line {}: more than {COLUMNS} columns", self.began)))
            }
        }
    }

    /// Hands the row on, unless it is blank, and begins the next.
    fn end(&mut self, take: &mut impl FnMut(i64, &[Cell]) -> Result<bool, Refusal>) -> Result<bool, Refusal> {
        let (length, cells) = (std::mem::take(&mut self.length), std::mem::take(&mut self.cells));
        let text = str::from_utf8(&self.bytes[..length])
            .map_err(|_| malformed(format!("line {}: the file is not UTF-8", self.began)))?;
        let mut begin = 0;
        let mut cell = |end: &usize| {
            let cell = text.get(begin..*end).unwrap_or_default();
            begin = *end;
            Cell::Text(cell.to_owned())
        };
        let cells: Vec<Cell> = self.ends[..cells].iter().map(&mut cell).collect();
        if cells.iter().all(Cell::is_blank) { Ok(true) } else { take(self.began, &cells) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use safire_domain::operation::Row;

    use super::{
        super::{Limits, Separator, unpack},
        *,
    };

    fn rows(text: &[u8], given: Dialect) -> Result<Vec<Row>, Refusal> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        let mut sink = Sink::new(&Limits { rows: 1000, unpacked: 0, directory: std::env::temp_dir() }).unwrap();
        read(file, given, &mut sink)?;
        let (_, spool) = sink.finish().unwrap();
        Ok(spool.flat_map(|chunk| unpack(&chunk.unwrap()).unwrap()).collect())
    }

    /// A program's way to write a table.
    #[derive(Debug, Clone)]
    struct Written {
        separator: Separator,
        decimal: Decimal,
        mark: bool,
        names_separator: bool,
        line_end: &'static str,
        quotes: bool,
        thousands: bool,
        blank: usize,
        percent: &'static str,
    }

    impl Written {
        fn number(&self, number: f64) -> String {
            let text = number.to_string();
            let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
            let (mark, between) = match self.decimal {
                Decimal::Point => ('.', ','),
                Decimal::Comma => (',', '.'),
            };
            let digits = whole.trim_start_matches('-');
            let grouped = digits.char_indices().fold(String::new(), |mut grouped, (at, digit)| {
                if self.thousands && at > 0 && (digits.len() - at) % 3 == 0 {
                    grouped.push(between);
                }
                grouped.push(digit);
                grouped
            });
            let decimals = if decimals.is_empty() { String::new() } else { format!("{mark}{decimals}") };
            format!("{}{grouped}{decimals}", if number < 0.0 { "-" } else { "" })
        }

        fn row(&self, cells: &[String]) -> String {
            let separator = char::from(self.separator.byte());
            let cell = |cell: &String| {
                let quoted = self.quotes || cell.contains(separator) || cell.contains(['"', '\n']);
                if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
            };
            let cells: Vec<_> = cells.iter().map(cell).collect();
            format!("{}{}", cells.join(&separator.to_string()), self.line_end)
        }

        fn table(&self, plants: &[(String, f64, f64)]) -> Vec<u8> {
            let mut text = if self.mark { "\u{feff}".to_owned() } else { String::new() };
            if self.names_separator {
                text.push_str(&format!("sep={}{}", char::from(self.separator.byte()), self.line_end));
            }
            let headers =
                ["name", "process", "feedstock", "country", "plant.capacity [kt/yr]", "economics.discount_rate"];
            text.push_str(&self.row(&headers.map(str::to_owned)));
            let blank = char::from(self.separator.byte()).to_string().repeat(headers.len() - 1);
            for (name, capacity, rate) in plants {
                text.push_str(&format!("{blank}{}", self.line_end).repeat(self.blank));
                let own = [name, "HEFA", "UCO", "USA"].map(str::to_owned);
                let numbers = [self.number(*capacity), format!("{}{}", self.number(*rate), self.percent)];
                text.push_str(&self.row(&[&own[..], &numbers].concat()));
            }
            text.into_bytes()
        }
    }

    fn written() -> impl Strategy<Value = Written> {
        let separators = prop::sample::select(vec![Separator::Comma, Separator::Semicolon, Separator::Tab]);
        let decimals = prop::sample::select(vec![Decimal::Point, Decimal::Comma]);
        let ends = prop::sample::select(vec!["\n", "\r\n"]);
        let percent = prop::sample::select(vec!["", "%", " %"]);
        (separators, decimals, any::<[bool; 4]>(), ends, 0usize..3, percent).prop_map(
            |(separator, decimal, [mark, names_separator, quotes, thousands], line_end, blank, percent)| Written {
                separator,
                decimal,
                mark,
                names_separator,
                line_end,
                quotes,
                thousands,
                blank,
                percent,
            },
        )
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-3_000_000i32..3_000_000).prop_map(f64::from),
            (-3_000_000i32..3_000_000, 0i32..7).prop_map(|(digits, decimals)| f64::from(digits) / 10f64.powi(decimals)),
        ]
    }

    fn expected(plants: &[(String, f64, f64)], percent: &str) -> Vec<serde_json::Value> {
        let unit = if percent.is_empty() { "1" } else { "%" };
        let plant = |(name, capacity, rate): &(String, f64, f64)| {
            serde_json::json!({ "name": name.trim(), "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": {
                "plant": { "capacity": { "value": capacity, "unit": "kt/yr" } },
                "economics": { "discount_rate": { "value": rate, "unit": unit } } } })
        };
        plants.iter().map(plant).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whatever program wrote a table: it is read as it was meant, or refused because it can be meant in two ways.
        #[test]
        fn any_dialect_round_trips(
            written in written(),
            plants in prop::collection::vec(("[ -~]{0,8}[A-Z]", number(), number()), 1..8),
        ) {
            let plants: Vec<_> = plants.into_iter().map(|(name, c, r)| (name.replace('=', "-"), c, r)).collect();
            let bodies = |rows: Vec<Row>| -> Vec<serde_json::Value> {
                assert!(rows.iter().all(|row| row.wrong.is_empty()), "{rows:?}");
                rows.iter().map(|row| serde_json::from_str(row.body.get()).unwrap()).collect()
            };
            let (table, expected) = (written.table(&plants), expected(&plants, written.percent));
            let given = Dialect { decimal: Some(written.decimal), separator: None };
            prop_assert_eq!(bodies(rows(&table, given).unwrap()), expected.clone());
            // Commas between cells mean a point, where no number tells.
            let is_usual = written.decimal == Decimal::Point || written.separator != Separator::Comma;
            match rows(&table, Dialect::default()) {
                Ok(rows) if is_usual => prop_assert_eq!(bodies(rows), expected),
                Ok(_) => {}
                Err(refusal) => prop_assert!(matches!(refusal, Refusal::Ambiguous(_)), "{refusal}"),
            }
        }
    }

    #[test]
    fn a_row_is_where_it_begins_whatever_ends_its_lines() {
        let text = "name,process,feedstock,country\n\nA,HEFA,UCO,USA\n\"B\nb\",HEFA,UCO,USA\n,,,\nC,HEFA,UCO,USA";
        for end in ["\n", "\r\n"] {
            let rows = rows(text.replace('\n', end).as_bytes(), Dialect::default()).unwrap();
            assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4, 7], "{end:?}");
        }
    }
}
