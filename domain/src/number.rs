//! Numbers as people write them: `250`, `250.5`, `250,5`, `1.250,5`, `1,250.5`, `1e3`.
//!
//! A point and a comma mean different things in different countries. A number is read with a decimal mark that is
//! known; what a number says of the mark is its [`Evidence`], and one that can be read either way says nothing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What stands before the decimals; the other mark stands between thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Decimal {
    /// `1,250.5`
    #[serde(rename = ".")]
    Point,
    /// `1.250,5`
    #[serde(rename = ",")]
    Comma,
}

/// What a number says about the decimal mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evidence {
    /// The text is no number with either mark.
    NoNumber,
    /// The number is the same with either mark.
    Same(f64),
    /// It is a number with this mark only.
    Only(Decimal, f64),
    /// It is this number with a point, that one with a comma: `1.250`, `1,250`.
    Either(f64, f64),
}

impl Decimal {
    fn marks(self) -> (char, char) {
        match self {
            Self::Point => ('.', ','),
            Self::Comma => (',', '.'),
        }
    }

    /// The number that a text is with this mark; a finite one.
    pub fn read(self, text: &str) -> Option<f64> {
        let (decimal, thousands) = self.marks();
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let (sign, mantissa) = match mantissa.strip_prefix(['+', '-']) {
            Some(rest) => (&text[..1], rest),
            None => ("", mantissa),
        };
        let (whole, decimals) = mantissa.split_once(decimal).unwrap_or((mantissa, ""));
        let whole = if whole.contains(thousands) { ungrouped(whole, thousands)? } else { whole.to_owned() };
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(&whole) || !are_digits(decimals) || whole.len() + decimals.len() == 0 {
            return None;
        }
        let number: f64 = format!("{sign}{whole}.{decimals}{exponent}").parse().ok()?;
        number.is_finite().then_some(number)
    }
}

/// The digits without the marks between thousands; `None` where these are not where they belong.
fn ungrouped(whole: &str, mark: char) -> Option<String> {
    let mut groups = whole.split(mark);
    let first = groups.next()?;
    let begins = (1..=3).contains(&first.len()) && !first.starts_with('0');
    let goes_on = groups.all(|group| group.len() == 3);
    (begins && goes_on).then(|| whole.replace(mark, ""))
}

impl Evidence {
    /// What a text says.
    pub fn of(text: &str) -> Self {
        match (Decimal::Point.read(text), Decimal::Comma.read(text)) {
            (None, None) => Self::NoNumber,
            (Some(point), None) => Self::Only(Decimal::Point, point),
            (None, Some(comma)) => Self::Only(Decimal::Comma, comma),
            (Some(point), Some(comma)) if point == comma => Self::Same(point),
            (Some(point), Some(comma)) => Self::Either(point, comma),
        }
    }
}

/// A number and what stands behind it: a unit, with or without a space before it.
pub fn split(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let digits = |from: usize, other: &[u8]| {
        let rest = &bytes[from.min(bytes.len())..];
        from + rest.iter().take_while(|byte| byte.is_ascii_digit() || other.contains(byte)).count()
    };
    let sign = |at: usize| usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
    let mantissa = digits(sign(0), b".,");
    let mut end = mantissa;
    if matches!(bytes.get(mantissa), Some(b'e' | b'E')) {
        let begin = mantissa + 1 + sign(mantissa + 1);
        let exponent = digits(begin, b"");
        if exponent > begin {
            end = exponent;
        }
    }
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_is_known_reads_what_people_write() {
        for (text, point, comma) in [
            ("250", Some(250.0), Some(250.0)),
            ("-12.5", Some(-12.5), None),
            ("250,5", None, Some(250.5)),
            ("1.250,5", None, Some(1250.5)),
            ("1,250.5", Some(1250.5), None),
            ("1.250", Some(1.25), Some(1250.0)),
            ("1.250.000", None, Some(1_250_000.0)),
            ("0.125", Some(0.125), None),
            ("1.25e3", Some(1250.0), None),
            ("1e3", Some(1000.0), Some(1000.0)),
            (".5", Some(0.5), None),
            ("12.50.000", None, None),
            ("1,2,3", None, None),
            ("1e999", None, None),
            ("NaN", None, None),
            ("inf", None, None),
            ("", None, None),
            ("-", None, None),
            (".", None, None),
            ("1e", None, None),
            ("5.", Some(5.0), None),
        ] {
            assert_eq!((Decimal::Point.read(text), Decimal::Comma.read(text)), (point, comma), "{text}");
        }
    }

    #[test]
    fn a_number_that_can_be_read_either_way_says_so() {
        assert_eq!(Evidence::of("1.250"), Evidence::Either(1.25, 1250.0));
        assert_eq!(Evidence::of("1,250"), Evidence::Either(1250.0, 1.25));
        assert_eq!(Evidence::of("0.125"), Evidence::Only(Decimal::Point, 0.125));
        assert_eq!(Evidence::of("7"), Evidence::Same(7.0));
        assert_eq!(Evidence::of("many"), Evidence::NoNumber);
    }

    #[test]
    fn a_unit_may_follow_at_once() {
        assert_eq!(split("7%"), ("7", "%"));
        assert_eq!(split("7 %"), ("7", "%"));
        assert_eq!(split("1.1 USD/kg"), ("1.1", "USD/kg"));
        assert_eq!(split("12EUR/t"), ("12", "EUR/t"));
        assert_eq!(split("-1e-3kt/yr"), ("-1e-3", "kt/yr"));
        assert_eq!(split("many"), ("", "many"));
        assert_eq!(split("ü"), ("", "ü"));
    }
}
