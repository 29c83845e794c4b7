//! Checking the specification of an analysis: everything that is wrong with it, at once.

use crate::inputs::{Allowed, Inputs, Invalid, Place, Violation, code, violation::number};
use crate::units::{Group, Quantity, UnitError};

/// The codes of violations that only specifications have.
pub mod codes {
    /// There is no such numeric input, or no result depends on it.
    pub const UNKNOWN_INPUT: &str = "analysis.unknown_input";
    /// The same is given twice.
    pub const REPEATED: &str = "analysis.repeated";
    /// Two parameters are not in order.
    pub const NOT_ASCENDING: &str = "analysis.not_ascending";
    /// No random numbers can have such correlations.
    pub const NOT_POSITIVE_DEFINITE: &str = "analysis.not_positive_definite";
}

/// What is wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<Violation>);

impl Complaints {
    /// Whether nothing is.
    pub fn resolve(self) -> Result<(), Invalid> {
        Invalid::unless_empty(self.0)
    }

    /// Adds one thing that no range describes.
    pub fn add(&mut self, pointer: String, code: &'static str, message: String) {
        self.0.push(Violation { pointer, code, message, allowed: None });
    }

    /// A number of the specification that must lie in a range.
    pub fn number(&mut self, pointer: String, what: &str, value: f64, allowed: Allowed) {
        let above = if allowed.min_exclusive { value > allowed.min } else { value >= allowed.min };
        if above && value <= allowed.max {
            return;
        }
        let message = format!("{what} is {}, which is out of range; allowed is {allowed}", number(value));
        self.0.push(Violation { pointer, code: code::OUT_OF_RANGE, message, allowed: Some(allowed) });
    }

    /// A count that must lie in a range.
    pub fn count(&mut self, pointer: &str, what: &str, value: u64, (min, max): (u64, u64)) {
        let allowed = Allowed { min: min as f64, max: max as f64, unit: "1", min_exclusive: false };
        self.number(pointer.into(), what, value as f64, allowed);
    }

    /// Two parameters that must ascend.
    pub fn ascending(&mut self, pointer: String, what: &str, low: f64, high: f64) {
        if low < high {
            return;
        }
        let message = format!("{what} must ascend, but {} is not below {}", number(low), number(high));
        self.add(pointer, codes::NOT_ASCENDING, message);
    }

    /// The number of the inputs that a pointer names.
    pub fn place(&mut self, pointer: String, inputs: &Inputs, named: &str) -> Option<Place> {
        let place = inputs.place(named);
        if place.is_none() {
            let message = format!("no result depends on a numeric input {named:?} of this scenario");
            self.add(pointer, codes::UNKNOWN_INPUT, message);
        }
        place
    }

    /// The number of the inputs that `at`'s pointer names, where its unit is one of that number.
    pub fn place_in_unit(&mut self, at: &str, inputs: &Inputs, named: &str, unit: &str) -> Option<Place> {
        let place = self.place(format!("{at}/input"), inputs, named)?;
        let known = self.converted(&format!("{at}/unit"), place.field.group, unit, 1.0);
        known.is_finite().then_some(place)
    }

    /// A number in its base unit, within the range of the input that it stands for.
    pub fn value(&mut self, pointer: String, what: &str, place: Place, unit: &str, value: f64) -> f64 {
        let base = self.converted(&pointer, place.field.group, unit, value);
        self.whole(&pointer, what, place, base);
        self.number(pointer, what, base, Allowed::of(place.field));
        base
    }

    /// A number in the base unit of an input that may take only whole numbers.
    pub fn whole(&mut self, pointer: &str, what: &str, place: Place, value: f64) {
        if !place.field.range.whole || value.is_nan() || value.fract() == 0.0 {
            return;
        }
        let allowed = Allowed::of(place.field);
        let message = format!("{what} is {}, which is not a whole number; allowed is {allowed}", number(value));
        self.0.push(Violation { pointer: pointer.into(), code: code::NOT_INTEGER, message, allowed: Some(allowed) });
    }

    /// A number in its base unit, whatever its size.
    pub fn converted(&mut self, pointer: &str, group: Group, unit: &str, value: f64) -> f64 {
        match Quantity::new(value, unit).in_base_unit(group) {
            Ok(value) => value,
            Err(error) => {
                let code = match error {
                    UnitError::Unknown { .. } => code::UNKNOWN_UNIT,
                    UnitError::WrongGroup { .. } => code::WRONG_UNIT_GROUP,
                };
                self.add(pointer.to_owned(), code, error.to_string());
                f64::NAN
            }
        }
    }

    /// A list that must not be empty, nor too long, nor name anything twice.
    pub fn list<T: PartialEq>(&mut self, pointer: &str, what: &str, items: &[T], max: usize) {
        self.count(pointer, &format!("the number of {what}"), items.len() as u64, (1, max as u64));
        for (at, item) in items.iter().enumerate().take(max) {
            if items[..at].contains(item) {
                let message = format!("the {what} name the same twice");
                self.add(format!("{pointer}/{at}"), codes::REPEATED, message);
            }
        }
    }
}

/// A range in the unit of a field.
pub(crate) fn allowed(place: Place, min: f64, max: f64, min_exclusive: bool) -> Allowed {
    Allowed { min, max, unit: place.field.group.base_unit(), min_exclusive }
}
