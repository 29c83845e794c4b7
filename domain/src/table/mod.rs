//! Scenarios as rows of a table: which input each column holds, and what a row says.
//!
//! A header is `name`, `process`, `feedstock` or `country`, or the place of an input, written with dots
//! (`plant.capacity`) or as a JSON pointer (`/plant/capacity`), with the unit in brackets behind it where it is not
//! the base unit: `plant.capacity [kt/yr]`. An empty cell leaves its input to the defaults.

mod cell;
mod weighed;

use safire_engine::inputs::fields::Field;
use serde_json::{Map, Value, json, value::to_raw_value};

use crate::{
    number::Decimal,
    operation::{Fault, Row},
};
pub use cell::Cell;
pub use weighed::Weighed;

/// The columns of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns(Vec<Column>);

#[derive(Debug, Clone, PartialEq)]
struct Column {
    header: String,
    /// The place in a draft that it fills.
    pointer: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text,
    /// A number in that unit, or in the one behind the number.
    Quantity(Option<String>, &'static str),
}

/// What every row has to say.
const REQUIRED: [&str; 4] = ["name", "process", "feedstock", "country"];

/// Inputs that are words.
const CHOICES: [&str; 10] = [
    "/main_product",
    "/finance/profile",
    "/finance/depreciation",
    "/finance/losses",
    "/finance/financing",
    "/finance/payback",
    "/policy/us_45z",
    "/policy/fuel_kind",
    "/policy/eu_saf_allowances",
    "/carbon/allocation",
];

impl Columns {
    /// Reads the headers; everything that is wrong with them.
    pub fn read(headers: &[String]) -> Result<Self, Vec<Fault>> {
        let mut columns: Vec<Column> = Vec::with_capacity(headers.len());
        let mut wrong = Vec::new();
        for header in headers {
            match Column::read(header) {
                Ok(column) if columns.iter().any(|known| known.pointer == column.pointer) => {
                    wrong.push(fault(header, &column.pointer, "column.repeated", "two columns hold the same input"));
                }
                Ok(column) => columns.push(column),
                Err(message) => wrong.push(fault(header, "", "column.unknown", &message)),
            }
        }
        for name in REQUIRED {
            if !columns.iter().any(|column| column.pointer == format!("/{name}")) {
                wrong.push(fault(name, &format!("/{name}"), "required", &format!("there is no column `{name}`")));
            }
        }
        if wrong.is_empty() { Ok(Self(columns)) } else { Err(wrong) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The header of a column.
    pub fn header(&self, place: usize) -> &str {
        self.0.get(place).map_or("", |column| &column.header)
    }

    /// The headers by the places that they fill.
    pub fn by_pointer(&self) -> Vec<(String, String)> {
        self.0.iter().map(|column| (column.pointer.clone(), column.header.clone())).collect()
    }

    /// Adds what the numbers of a row say about the decimal mark.
    pub fn weigh(&self, line: i64, cells: &[Cell], weighed: &mut Weighed) {
        for (column, cell) in self.0.iter().zip(cells) {
            if let (Kind::Quantity(..), Cell::Text(text)) = (&column.kind, cell) {
                weighed.add(line, &column.header, text.trim());
            }
        }
    }

    /// What a row says, with the cells that cannot be read. Texts are numbers with that decimal mark; without one,
    /// those that can be read in one way.
    pub fn row(&self, line: i64, cells: &[Cell], decimal: Option<Decimal>) -> serde_json::Result<Row> {
        let (mut body, mut wrong) = (Value::Object(Map::new()), Vec::new());
        for (column, cell) in self.0.iter().zip(cells) {
            if cell.is_blank() {
                continue;
            }
            match column.value(cell, decimal) {
                Ok(value) => put(&mut body, &column.pointer, value),
                Err(message) => wrong.push(fault(&column.header, &column.pointer, "type", &message)),
            }
        }
        Ok(Row { line, body: to_raw_value(&body)?, wrong })
    }
}

/// The header of the column that holds the place of a fault, or a part of it.
pub fn column_of<'c>(columns: &'c [(String, String)], pointer: &str) -> Option<&'c str> {
    let holds = |place: &str| {
        let rest = pointer.strip_prefix(place).or_else(|| place.strip_prefix(pointer));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut holding = columns.iter().filter(|(place, _)| holds(place));
    let (_, header) = holding.next()?;
    // A fault of a whole section is no single column's.
    if holding.next().is_some() { None } else { Some(header) }
}

impl Column {
    fn read(header: &str) -> Result<Self, String> {
        let trimmed = header.trim();
        let (place, unit) = match trimmed.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
            Some((place, unit)) => (place.trim(), Some(unit.trim())),
            None => (trimmed, None),
        };
        let column = |pointer: String, kind| Self { header: trimmed.to_owned(), pointer, kind };
        if unit.is_none() && REQUIRED.contains(&place) {
            return Ok(column(format!("/{place}"), Kind::Text));
        }
        let pointer = if place.starts_with('/') { place.to_owned() } else { format!("/{}", place.replace('.', "/")) };
        if unit.is_none() && CHOICES.contains(&pointer.as_str()) {
            return Ok(column(format!("/inputs{pointer}"), Kind::Text));
        }
        let field = Field::at(&pointer).ok_or_else(|| format!("\"{}\" is no input", short(place)))?;
        if let Some(unit) = unit
            && !field.group.units().any(|known| known.symbol == unit)
        {
            let known: Vec<_> = field.group.units().map(|unit| unit.symbol).collect();
            return Err(format!("{} has no unit \"{}\"; it has {}", field.label, short(unit), known.join(", ")));
        }
        let kind = Kind::Quantity(unit.map(str::to_owned), field.group.base_unit());
        Ok(column(format!("/inputs{pointer}"), kind))
    }

    fn value(&self, cell: &Cell, decimal: Option<Decimal>) -> Result<Value, String> {
        let Kind::Quantity(unit, base) = &self.kind else { return Ok(json!(cell.word()?)) };
        let (number, own) = cell.quantity(decimal)?;
        let own = Some(own).filter(|own| !own.is_empty());
        let unit: &str = match (unit, &own) {
            (Some(unit), Some(own)) if unit != own => {
                return Err(format!("the cell is in \"{}\", its column in {unit}", short(own)));
            }
            (Some(unit), _) => unit,
            (None, Some(own)) => own,
            (None, None) => base,
        };
        Ok(json!({ "value": number, "unit": unit }))
    }
}

fn fault(column: &str, pointer: &str, code: &str, message: &str) -> Fault {
    Fault::of(Some(short(column)), pointer.to_owned(), code, message)
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Puts a value at a place that is made on the way.
fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut at = body;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Some(fields) = at.as_object_mut() else { return };
        at = fields.entry(token).or_insert(Value::Null);
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;
    use crate::reading;

    fn columns(headers: &[&str]) -> Result<Columns, Vec<Fault>> {
        Columns::read(&headers.iter().map(|header| (*header).to_owned()).collect::<Vec<_>>())
    }

    const OWN: [&str; 4] = ["name", "process", "feedstock", "country"];

    fn row(headers: &[&str], cells: &[&str]) -> Row {
        let headers = [&OWN, headers].concat();
        let cells = [&["A plant", "HEFA", "UCO", "USA"], cells].concat();
        columns(&headers).unwrap().row(2, &texts(&cells), Some(Decimal::Point)).unwrap()
    }

    fn texts(cells: &[&str]) -> Vec<Cell> {
        cells.iter().map(|cell| Cell::Text((*cell).to_owned())).collect()
    }

    #[test]
    fn a_row_is_a_draft() {
        let row = row(
            &["plant.capacity [kt/yr]", "/feedstocks/UCO/price", "economics.discount_rate [%]", "finance.profile"],
            &["250", "1.1 USD/kg", "", "nrel-nth-plant"],
        );
        assert_eq!(row.wrong, []);
        let draft: Draft = reading::parse(row.body.get().as_bytes()).unwrap();
        let expected = json!({
            "name": "A plant", "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": {
                "plant": { "capacity": { "value": 250.0, "unit": "kt/yr" } },
                "feedstocks": { "UCO": { "price": { "value": 1.1, "unit": "USD/kg" } } },
                "finance": { "profile": "nrel-nth-plant" },
            } });
        assert_eq!(draft, serde_json::from_value(expected).unwrap());
    }

    #[test]
    fn cells_that_are_no_numbers_are_named() {
        let row = row(&["plant.capacity [kt/yr]", "economics.tax_rate"], &["many", "NaN"]);
        let wrong: Vec<_> = row.wrong.iter().map(|fault| (fault.column.as_deref(), fault.pointer.as_str())).collect();
        let capacity = (Some("plant.capacity [kt/yr]"), "/inputs/plant/capacity");
        assert_eq!(wrong, [capacity, (Some("economics.tax_rate"), "/inputs/economics/tax_rate")]);
    }

    #[test]
    fn the_decimal_mark_is_told_by_all_numbers_and_never_guessed() {
        let columns = columns(&[&OWN[..], &["plant.capacity", "economics.discount_rate [%]"]].concat()).unwrap();
        let decided = |rows: &[[&str; 2]], is_pointed: bool| {
            let mut weighed = Weighed::default();
            for (line, numbers) in (2..).zip(rows) {
                let cells = [&["A,1", "HEFA", "1.250", "USA"][..], numbers].concat();
                columns.weigh(line, &texts(&cells), &mut weighed);
            }
            weighed.decide(is_pointed)
        };
        assert_eq!(decided(&[["1.250", ""], ["250,5 kt/yr", "7%"]], false), Ok(Decimal::Comma));
        assert_eq!(decided(&[["1.250", ""], ["1,250.5", ""]], false), Ok(Decimal::Point));
        assert_eq!(decided(&[["1.250", ""]], true), Ok(Decimal::Point));
        assert_eq!(decided(&[["250", "7"]], false), Ok(Decimal::Point));
        assert!(decided(&[["1,250", ""]], true).is_err(), "who has a point does not write a comma alone");
        let advice = "say which mark is before the decimals: ?decimal=. or ?decimal=,";
        let refused = decided(&[["250", ""], ["1.250 t/yr", ""]], false).unwrap_err();
        assert_eq!(refused, format!("line 3, column plant.capacity: 1.250 t/yr may be 1.25 or 1250; {advice}"));
        let refused = decided(&[["250,5", "0.07"]], true).unwrap_err();
        let both = "line 2, column economics.discount_rate [%]: 0.07 has a decimal point; \
            line 2, column plant.capacity: 250,5 has a decimal comma";
        assert_eq!(refused, format!("{both}; {advice}"));
    }

    #[test]
    fn a_cell_that_is_neither_number_nor_text_is_named() {
        let columns = columns(&[&OWN[..], &["economics.discount_rate [%]"]].concat()).unwrap();
        let own = texts(&["A", "HEFA", "UCO", "USA"]);
        let wrong = |cell: Cell| {
            let row = columns.row(2, &[own.clone(), vec![cell]].concat(), None).unwrap();
            row.wrong.into_iter().map(|fault| fault.message).collect::<Vec<_>>()
        };
        assert_eq!(wrong(Cell::Number(7.0, "%".to_owned())), Vec::<String>::new());
        assert_eq!(wrong(Cell::Number(7.0, "EUR".to_owned())), ["the cell is in \"EUR\", its column in %"]);
        assert_eq!(wrong(Cell::Other("a date".to_owned())), ["the cell holds a date, not a number"]);
        assert_eq!(wrong(Cell::Text("7,5".to_owned())), Vec::<String>::new());
        assert_eq!(wrong(Cell::Text("1.250".to_owned())), ["\"1.250\" may be 1.25 or 1250: write it as a number"]);
        let row = columns.row(2, &[Cell::Other("a boolean".to_owned())], None).unwrap();
        assert_eq!(row.wrong[0].message, "the cell holds a boolean, not a text");
    }

    #[test]
    fn headers_that_say_nothing_are_named_all_at_once() {
        let codes = |headers: &[&str]| -> Vec<_> {
            columns(headers).unwrap_err().into_iter().map(|fault| (fault.column.unwrap(), fault.code)).collect()
        };
        let refused = codes(&["name", "name", "plant.color", "plant.capacity [kg]", "process", "feedstock"]);
        let refused: Vec<_> = refused.iter().map(|(column, code)| (column.as_str(), code.as_str())).collect();
        let expected = [
            ("name", "column.repeated"),
            ("plant.color", "column.unknown"),
            ("plant.capacity [kg]", "column.unknown"),
            ("country", "required"),
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn every_word_that_is_an_input_has_a_column() {
        for choice in CHOICES {
            let mut inputs = json!({});
            put(&mut inputs, choice, json!(0));
            let refused = serde_json::from_value::<safire_engine::InputDocument>(inputs).unwrap_err().to_string();
            assert!(!refused.contains("unknown field"), "{choice}: {refused}");
        }
    }

    #[test]
    fn a_fault_is_its_columns() {
        let columns = columns(&[&OWN[..], &["plant.capacity", "products.jet.price", "products.jet.yield"]].concat());
        let columns = columns.unwrap().by_pointer();
        assert_eq!(column_of(&columns, "/inputs/plant/capacity"), Some("plant.capacity"));
        assert_eq!(column_of(&columns, "/inputs/plant/capacity/value"), Some("plant.capacity"));
        assert_eq!(column_of(&columns, "/inputs/plant"), Some("plant.capacity"));
        assert_eq!(column_of(&columns, "/inputs/products"), None, "it is of two columns");
        assert_eq!(column_of(&columns, "/inputs/plant/capacities"), None);
        assert_eq!(column_of(&columns, "/name"), Some("name"));
    }
}
