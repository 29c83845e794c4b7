//! The decimal mark of a table, told by all of its numbers.

use std::fmt;

use super::short;
use crate::number::{self, Decimal, Evidence};

/// The numbers of a table that say something of its decimal mark: the first of each kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weighed {
    point: Option<Found>,
    comma: Option<Found>,
    /// One that is a number either way, with a point in it, and one with a comma.
    with_point: Option<Found>,
    with_comma: Option<Found>,
}

/// A cell, as people find it.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    line: i64,
    column: String,
    text: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text)
    }
}

impl Weighed {
    /// Adds what a number in a text says.
    pub(super) fn add(&mut self, line: i64, column: &str, text: &str) {
        let seen = match Evidence::of(number::split(text).0) {
            Evidence::Only(Decimal::Point, _) => &mut self.point,
            Evidence::Only(Decimal::Comma, _) => &mut self.comma,
            Evidence::Either(point, comma) if point.abs() < comma.abs() => &mut self.with_point,
            Evidence::Either(..) => &mut self.with_comma,
            Evidence::Same(_) | Evidence::NoNumber => return,
        };
        seen.get_or_insert_with(|| Found { line, column: column.to_owned(), text: short(text) });
    }

    /// The decimal mark of the table, a point where no number tells. Where it cannot be told, why, with advice. A number
    /// with a point that can be read either way has a decimal point where `is_pointed` says that such a table has one.
    pub fn decide(&self, is_pointed: bool) -> Result<Decimal, String> {
        let advice = "say which mark is before the decimals: ?decimal=. or ?decimal=,";
        let unsure = self.with_comma.as_ref().or(self.with_point.as_ref().filter(|_| !is_pointed));
        match (&self.point, &self.comma, unsure) {
            (Some(point), Some(comma), _) => {
                Err(format!("{point} has a decimal point; {comma} has a decimal comma; {advice}"))
            }
            (None, Some(_), _) => Ok(Decimal::Comma),
            (Some(_), None, _) | (None, None, None) => Ok(Decimal::Point),
            (None, None, Some(unsure)) => {
                let number = number::split(&unsure.text).0;
                let [point, comma] = [Decimal::Point, Decimal::Comma].map(|mark| mark.read(number).unwrap_or_default());
                Err(format!("{unsure} may be {point} or {comma}; {advice}"))
            }
        }
    }
}
