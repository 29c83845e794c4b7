//! Cells of tables, as files have them.

use super::short;
use crate::number::{self, Decimal, Evidence};

/// A cell as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text, which may be a number as people write it.
    Text(String),
    /// A number as programs write it, with the unit that the cell shows behind it.
    Number(f64, String),
    /// What is neither a number nor a text: a date, a boolean, an error.
    Other(String),
}

impl Cell {
    /// Whether nothing is in it.
    pub fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }

    /// What a header or a name says.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.trim().to_owned(),
            Self::Number(number, unit) => format!("{number} {unit}").trim_end().to_owned(),
            Self::Other(_) => String::new(),
        }
    }

    /// Bytes that it has.
    pub fn length(&self) -> usize {
        match self {
            Self::Text(text) | Self::Other(text) => text.len(),
            Self::Number(_, unit) => size_of::<f64>() + unit.len(),
        }
    }

    /// The word that it holds.
    pub(super) fn word(&self) -> Result<String, String> {
        match self {
            Self::Other(what) => Err(format!("the cell holds {what}, not a text")),
            Self::Text(_) | Self::Number(..) => Ok(self.text()),
        }
    }

    /// The number that it holds, with its unit; a text is one with that decimal mark, or in one way only.
    pub(super) fn quantity(&self, decimal: Option<Decimal>) -> Result<(f64, String), String> {
        match self {
            Self::Number(number, unit) => Ok((*number, unit.clone())),
            Self::Text(text) => of_text(text.trim(), decimal),
            Self::Other(what) => Err(format!("the cell holds {what}, not a number")),
        }
    }
}

/// The number in a text, and the unit behind it.
fn of_text(text: &str, decimal: Option<Decimal>) -> Result<(f64, String), String> {
    let (number, unit) = number::split(text);
    let no_number = || format!("\"{}\" is not a number", short(text));
    let number = match decimal {
        Some(decimal) => decimal.read(number).ok_or_else(|| match (Evidence::of(number), decimal) {
            (Evidence::NoNumber, _) => no_number(),
            (_, Decimal::Point) => format!("{}: with a decimal point", no_number()),
            (_, Decimal::Comma) => format!("{}: with a decimal comma", no_number()),
        })?,
        None => match Evidence::of(number) {
            Evidence::Same(number) | Evidence::Only(_, number) => number,
            Evidence::Either(point, comma) => {
                return Err(format!("\"{}\" may be {point} or {comma}: write it as a number", short(text)));
            }
            Evidence::NoNumber => return Err(no_number()),
        },
    };
    Ok((number, unit.to_owned()))
}
