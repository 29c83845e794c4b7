//! Tables of comma-separated values (RFC 4180).

use csv::{Terminator, WriterBuilder};
use safire_domain::engine::ResolvedInput;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Report;
use crate::Problem;

/// A table that is written row by row.
pub(crate) struct Table(csv::Writer<Vec<u8>>);

impl Table {
    pub fn new(header: &[&str]) -> Result<Self, Problem> {
        let mut table = Self::continued();
        table.row(header)?;
        Ok(table)
    }

    /// Rows that follow others.
    pub fn continued() -> Self {
        Self(WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()))
    }

    pub fn row<C: AsRef<str>>(&mut self, cells: &[C]) -> Result<(), Problem> {
        let cells = cells.iter().map(|cell| harmless(cell.as_ref()));
        self.0.write_record(cells).map_err(|error| Problem::defect(&error))
    }

    pub fn finish(self) -> Result<Vec<u8>, Problem> {
        self.0.into_inner().map_err(|error| Problem::defect(error.error()))
    }
}

/// A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front, as
/// OWASP advises; numbers stay as they are.
pub(crate) fn harmless(cell: &str) -> String {
    let begins_like_one = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let is_number = cell.parse::<f64>().is_ok_and(f64::is_finite);
    if begins_like_one && !is_number { format!("'{cell}") } else { cell.to_owned() }
}

/// A result: one number or text a row.
pub(crate) fn result(report: &Report) -> Result<Vec<u8>, Problem> {
    let Report { scenario, run, computed, .. } = report;
    let mut rows = Rows(Table::new(&["section", "name", "year", "value", "unit", "source"])?);
    let texts = [
        ("id", scenario.id.to_string()),
        ("name", scenario.name.as_str().to_owned()),
        ("process", scenario.pathway.process.clone()),
        ("feedstock", scenario.pathway.feedstock.clone()),
        ("country", scenario.pathway.country.clone()),
    ];
    for (name, text) in texts {
        rows.0.row(&["scenario", name, "", &text, "", ""])?;
    }
    let texts = [
        ("id", run.id.to_string()),
        ("revision", run.revision.to_string()),
        ("engine_version", run.engine_version.clone()),
        ("edition", run.edition.to_string()),
    ];
    for (name, text) in texts {
        rows.0.row(&["run", name, "", &text, "", ""])?;
    }
    rows.of("result", &computed.result, &["cash_flow_usd"])?;
    if let Some(question) = &report.question {
        rows.of("question", question, &[])?;
    }
    if let Some(analysis) = &computed.analysis {
        rows.of("analysis", analysis, &[])?;
    }
    for ResolvedInput { pointer, value, unit, source } in &computed.resolved_inputs {
        let source = text_of(source)?;
        rows.0.row(&["input", pointer, "", &value.to_string(), unit, &source])?;
    }
    for choice in computed.details.iter().flat_map(|details| &details.choices) {
        rows.0.row(&["choice", &choice.pointer, "", &choice.code, "", &text_of(&choice.source)?])?;
    }
    rows.cash_flow(report)?;
    rows.0.finish()
}

struct Rows(Table);

impl Rows {
    fn of(&mut self, section: &str, value: &impl Serialize, without: &[&str]) -> Result<(), Problem> {
        let value = serde_json::to_value(value).map_err(|error| Problem::defect(&error))?;
        for (name, text) in flat(&value) {
            if !without.iter().any(|list| name.starts_with(list)) {
                self.0.row(&[section, &name, "", &text, "", ""])?;
            }
        }
        Ok(())
    }

    fn cash_flow(&mut self, report: &Report) -> Result<(), Problem> {
        let Some(details) = &report.computed.details else { return Ok(()) };
        let table = &details.cash_flow;
        for row in &table.years {
            let Value::Object(columns) = serde_json::to_value(row).map_err(|error| Problem::defect(&error))? else {
                continue;
            };
            for (name, value) in named(columns, &table.products, &table.incentives) {
                let unit = if name.contains("_usd") { "USD" } else { "" };
                self.0.row(&["cash_flow", &name, &row.year.to_string(), &shown(&value), unit, ""])?;
            }
        }
        Ok(())
    }
}

/// The columns of a year, those by product and incentive under their codes.
fn named(columns: Map<String, Value>, products: &[String], incentives: &[String]) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, value) in columns {
        let codes = if name.starts_with("revenue_by") { products } else { incentives };
        match value {
            Value::Array(values) => {
                let coded = codes.iter().zip(values);
                all.extend(coded.map(|(code, value)| (format!("{name}.{code}"), value)));
            }
            value if name != "year" => all.push((name, value)),
            _ => {}
        }
    }
    all
}

/// Every number and text in a value, by its path; entries that have a code are named by it.
pub(crate) fn flat(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, at: String, found: &mut Vec<(String, String)>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| collect(value, below(key), found)),
        Value::Array(entries) => {
            for (place, entry) in entries.iter().enumerate() {
                let name = entry["code"].as_str().map_or(place.to_string(), str::to_owned);
                collect(entry, below(&name), found);
            }
        }
        Value::Null => {}
        value => found.push((at, shown(value))),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The word that a choice of words is written as.
pub(crate) fn text_of(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_value(value).map(|value| shown(&value)).map_err(|error| Problem::defect(&error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_that_looks_like_a_formula_is_disarmed_and_numbers_are_not() {
        for text in ["=1+1", "+cmd|' /C calc'!A0", "-x", "@SUM(A1)", "\t=1", "\r=1", "＝1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["-12.5", "+3", "-1e-9", "plain", "a=b", ""] {
            assert_eq!(harmless(text), text);
        }
        assert_eq!(harmless("-inf"), "'-inf");
    }

    #[test]
    fn a_table_quotes_what_has_to_be() {
        let mut table = Table::new(&["a", "b"]).unwrap();
        table.row(&["x,\"y\"", "two\nlines"]).unwrap();
        assert_eq!(table.finish().unwrap(), b"a,b\r\n\"x,\"\"y\"\"\",\"two\nlines\"\r\n");
    }

    #[test]
    fn entries_are_named_by_their_code() {
        let value = json!({ "npv": 1.5, "products": [{ "code": "jet", "t": 2 }], "flow": [1, null] });
        let found = flat(&value);
        let expected = [("npv", "1.5"), ("products.jet.code", "jet"), ("products.jet.t", "2"), ("flow.0", "1")];
        for (name, text) in expected {
            assert!(found.contains(&(name.to_owned(), text.to_owned())), "{name} in {found:?}");
        }
        assert_eq!(found.len(), expected.len());
    }
}
