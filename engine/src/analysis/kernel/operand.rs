//! What the formulas are about: numbers of the scenario and columns of varied inputs.

use crate::inputs::{Inputs, Place, fields::Field};
use crate::lanes::{Column, TILE};

/// An input in the formulas.
pub(super) enum Operand {
    /// The same for all samples.
    Fixed(Box<Column>),
    /// One of the varied inputs.
    Varied(usize),
}

impl Operand {
    /// The input of a field, of a feedstock or product.
    pub fn of(base: &Inputs, places: &[Place], field: &'static Field, part: usize) -> Self {
        let varied = places.iter().position(|place| place.field == field && place.part == part);
        let number = || Place::of(field, part).map_or(f64::NAN, |place| base.number(place));
        varied.map_or_else(|| Self::fixed(number()), Self::Varied)
    }

    pub fn fixed(value: f64) -> Self {
        Self::Fixed(Box::new(Column::of(value)))
    }

    /// Its numbers.
    #[inline(always)]
    pub fn at<'a>(&'a self, inputs: &'a [Column]) -> &'a Column {
        match self {
            Self::Fixed(column) => column,
            Self::Varied(number) => &inputs[*number],
        }
    }

    /// Its number, if that is the same for all samples.
    #[inline(always)]
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Fixed(column) => Some(column[0]),
            Self::Varied(_) => None,
        }
    }
}

/// A sum of products of two inputs each; what is the same for all samples is added up beforehand.
pub(super) struct Sum {
    fixed: f64,
    varied: Vec<(Operand, Operand)>,
}

impl Sum {
    pub fn of(pairs: impl Iterator<Item = (Operand, Operand)>) -> Self {
        let mut sum = Self { fixed: 0.0, varied: Vec::new() };
        for (a, b) in pairs {
            match (a.value(), b.value()) {
                (Some(a), Some(b)) => sum.fixed += a * b,
                // A factor that is always 0.
                (Some(0.0), None) | (None, Some(0.0)) => {}
                _ => sum.varied.push((a, b)),
            }
        }
        sum
    }

    /// Whether it is 0 for all samples.
    pub fn vanishes(&self) -> bool {
        self.fixed == 0.0 && self.varied.is_empty()
    }

    /// Whether it is the same for all samples.
    pub fn is_fixed(&self) -> bool {
        self.varied.is_empty()
    }

    #[inline(always)]
    pub fn sum(&self, inputs: &[Column]) -> Column {
        let Some(((a, b), others)) = self.varied.split_first() else { return Column::of(self.fixed) };
        let (a, b) = (a.at(inputs), b.at(inputs));
        let mut sum = each(|i| a[i].mul_add(b[i], self.fixed));
        for (a, b) in others {
            let (a, b) = (a.at(inputs), b.at(inputs));
            for i in 0..TILE {
                sum[i] = a[i].mul_add(b[i], sum[i]);
            }
        }
        sum
    }
}

/// A column, number by number.
#[inline(always)]
pub(super) fn each(number: impl Fn(usize) -> f64) -> Column {
    Column::each(number)
}
