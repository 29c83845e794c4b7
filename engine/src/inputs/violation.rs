//! What is wrong with a document, all of it at once.

use serde::Serialize;
use utoipa::ToSchema;

use crate::units::{Group, Quantity, UnitError};

use super::fields::Field;

/// A document that was refused, with everything that is wrong with it; never empty.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema, thiserror::Error)]
#[error("{}", self.summary())]
pub struct Invalid(Vec<Violation>);

impl Invalid {
    /// `Ok` where there is nothing to complain about.
    pub(crate) fn unless_empty(violations: Vec<Violation>) -> Result<(), Self> {
        if violations.is_empty() { Ok(()) } else { Err(Self(violations)) }
    }

    /// What is wrong, in the order of the document.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }

    /// What is wrong, in the order of the document.
    pub fn into_violations(self) -> Vec<Violation> {
        self.0
    }

    fn summary(&self) -> String {
        let lines: Vec<String> = self.0.iter().map(Violation::to_string).collect();
        lines.join("; ")
    }
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Violation {
    /// Where, as a JSON pointer into the document, e.g. `/products/jet/yield`.
    pub pointer: String,
    /// What, for programs, e.g. `out_of_range`.
    pub code: &'static str,
    /// What, for people: the field, the value as given, the range and its unit.
    pub message: String,
    /// What would have been accepted, where that is a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

/// The codes of violations.
pub mod code {
    /// No group has such a unit.
    pub const UNKNOWN_UNIT: &str = "unit.unknown";
    /// The unit measures something else.
    pub const WRONG_UNIT_GROUP: &str = "unit.wrong_group";
    /// The value is outside the physical range.
    pub const OUT_OF_RANGE: &str = "out_of_range";
    /// The value is NaN or infinite.
    pub const NOT_FINITE: &str = "not_finite";
    /// The value must be a whole number.
    pub const NOT_INTEGER: &str = "not_integer";
    /// Neither the user nor the default set gives the value.
    pub const REQUIRED: &str = "required";
    /// The products weigh more than the fuel.
    pub const YIELDS_EXCEED_ONE: &str = "yields_exceed_one";
    /// The products hold more carbon than the feedstocks.
    pub const CARBON_BALANCE: &str = "carbon_balance";
    /// The main product is not named, or is not made.
    pub const MAIN_PRODUCT_MISSING: &str = "main_product_missing";
    /// Nothing is made.
    pub const NO_PRODUCT: &str = "no_product";
    /// The shares of capital by year of construction do not sum to 1.
    pub const CONSTRUCTION_SHARES: &str = "construction_shares";
    /// The loan outlives the plant.
    pub const DEBT_TERM: &str = "debt_term";
    /// Both a default life-cycle value and an inventory are given.
    pub const CI_TWICE: &str = "ci_given_twice";
    /// Emissions cannot be shared by a value that is 0.
    pub const NO_VALUE: &str = "no_value_to_allocate_by";
}

/// A range of accepted values.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Allowed {
    /// The least value.
    pub min: f64,
    /// The greatest value, which is accepted.
    pub max: f64,
    /// The unit of both.
    pub unit: &'static str,
    /// Whether the least value itself is refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub min_exclusive: bool,
}

impl Allowed {
    /// The range of a field, in its base unit.
    pub fn of(field: &Field) -> Self {
        Self { min: field.range.min, max: field.range.max, unit: field.group.base_unit(), min_exclusive: false }
    }

    pub(super) fn up_to(max: f64, group: Group) -> Self {
        Self { min: 0.0, max, unit: group.base_unit(), min_exclusive: false }
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from = if self.min_exclusive { "more than " } else { "" };
        let (min, max, unit) = (number(self.min), number(self.max), self.unit);
        write!(f, "{from}{min} to {max}{}", suffix(unit))
    }
}

/// A number as people write it: digits while they can be counted, else an exponent.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e12).contains(&size) && value.is_finite() {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// A value as it was given.
fn as_given(quantity: &Quantity) -> String {
    number(quantity.value) + &suffix(&quantity.unit)
}

/// A unit behind a number; the unit `1` goes without saying.
fn suffix(unit: &str) -> String {
    if unit == "1" { String::new() } else { format!(" {unit}") }
}

/// Builds the violations of one field.
pub(super) struct Refusal<'a> {
    pub field: &'static Field,
    pub code: Option<&'a str>,
}

impl Refusal<'_> {
    fn violation(&self, code: &'static str, problem: &str) -> Violation {
        let allowed = Allowed::of(self.field);
        let whole = if self.field.range.whole { ", whole numbers" } else { "" };
        let title = self.field.title(self.code);
        Violation {
            pointer: self.field.pointer(self.code),
            code,
            message: format!("{title} {problem}; allowed is {allowed}{whole}"),
            allowed: Some(allowed),
        }
    }

    pub(super) fn required(&self) -> Violation {
        self.violation(code::REQUIRED, "is not given and has no default")
    }

    pub(super) fn not_finite(&self, given: &Quantity) -> Violation {
        let problem = format!("is {}, which is not a finite number", as_given(given));
        self.violation(code::NOT_FINITE, &problem)
    }

    pub(super) fn out_of_range(&self, given: &Quantity) -> Violation {
        let problem = format!("is {}, which is out of range", as_given(given));
        self.violation(code::OUT_OF_RANGE, &problem)
    }

    pub(super) fn not_integer(&self, given: &Quantity) -> Violation {
        let problem = format!("is {}, which is not a whole number", as_given(given));
        self.violation(code::NOT_INTEGER, &problem)
    }

    pub(super) fn unit(&self, given: &Quantity, error: &UnitError) -> Violation {
        let code = match error {
            UnitError::Unknown { .. } => code::UNKNOWN_UNIT,
            UnitError::WrongGroup { .. } => code::WRONG_UNIT_GROUP,
        };
        let problem = format!("is {} {}: {error}", number(given.value), given.unit);
        self.violation(code, &problem)
    }
}
