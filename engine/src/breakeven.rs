//! The value of an input at which a metric takes a wanted value.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::base::analyse;
use crate::inputs::fields::Field;
use crate::inputs::{InputDocument, resolve};
use crate::metric::Metric;
use crate::solve::root_between;
use crate::trace::Plain;
use crate::units::Quantity;

/// How many parts the range is looked at in. Two crossings within one part of it are seen as none.
const PARTS: u32 = 64;

/// What is asked: which input, for which metric to be how much, and where to look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BreakevenQuestion {
    /// The input, as a JSON pointer.
    pub pointer: String,
    /// The metric.
    pub metric: Metric,
    /// What the metric shall be, in its unit.
    pub target: f64,
    /// Where to look for the input, from and to, in its base unit.
    pub range: [f64; 2],
}

/// Where a metric takes the wanted value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Breakeven {
    /// The input's base unit.
    pub unit: String,
    /// Its value, or several, or why there is none.
    pub answer: Answer,
}

/// Why a question cannot be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BreakevenRefused {
    /// The document has no such number.
    #[error("{pointer} is no input of this document")]
    UnknownInput {
        /// The pointer as given.
        pointer: String,
    },
    /// The range is no range, or not one of the input's.
    #[error("the range {from} to {to} {unit} is not within the {min} to {max} {unit} that {pointer} may have")]
    Range {
        /// The input.
        pointer: String,
        /// Begin of the range as given.
        from: f64,
        /// End of the range as given.
        to: f64,
        /// The least value allowed.
        min: f64,
        /// The greatest value allowed.
        max: f64,
        /// The unit of all four.
        unit: &'static str,
    },
}

/// Looks for the values of an input at which a metric is as wanted, everything else in the complete
/// `document` staying as it is.
///
/// The range is looked at in 64 equal parts, and every change of sign of `metric − target` is bracketed to
/// the last digit. Where a metric jumps past its target, as a payback in whole years does, the answer is
/// where it jumps; of an input of whole numbers it is the first number beyond. Values at which the scenario
/// is refused, or the metric does not exist, are passed over.
///
/// ```
/// use safire_engine::breakeven::{BreakevenQuestion, breakeven};
/// use safire_engine::{InputDocument, Metric};
///
/// let example: serde_json::Value =
///     serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
/// let document: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
///
/// let question = BreakevenQuestion {
///     pointer: "/products/jet/price".into(),
///     metric: Metric::Npv,
///     target: 0.0,
///     range: [0.0, 5000.0],
/// };
/// let found = breakeven(&document, &question).unwrap();
/// assert_eq!(format!("{:.2}", found.answer.value().unwrap()), "1679.10");
/// ```
pub fn breakeven(document: &InputDocument, question: &BreakevenQuestion) -> Result<Breakeven, BreakevenRefused> {
    let field = checked(document, question)?;
    let gap = |value: f64| gap(document, question, field, value);
    let points: Vec<(f64, f64)> = places(question.range, field).into_iter().map(|at| (at, gap(at))).collect();
    let mut values: Vec<f64> = points.iter().filter(|(_, gap)| *gap == 0.0).map(|(at, _)| *at).collect();
    for pair in points.windows(2) {
        if pair[0].1 * pair[1].1 < 0.0 {
            values.extend(if field.range.whole { Some(pair[1].0) } else { root_between(gap, pair[0], pair[1]) });
        }
    }
    values.sort_by(f64::total_cmp);
    let asked = points.iter().filter(|(_, gap)| !gap.is_nan()).count();
    Ok(Breakeven { unit: field.group.base_unit().into(), answer: answer(values, asked) })
}

fn checked(document: &InputDocument, question: &BreakevenQuestion) -> Result<&'static Field, BreakevenRefused> {
    let pointer = question.pointer.clone();
    let unit_value = |field: &Field| Quantity::new(0.0, field.group.base_unit());
    let known = Field::at(&pointer).filter(|field| document.clone().set(&pointer, unit_value(field)));
    let Some(field) = known else {
        return Err(BreakevenRefused::UnknownInput { pointer });
    };
    let ([from, to], range) = (question.range, field.range);
    if from < to && from >= range.min && to <= range.max {
        return Ok(field);
    }
    let unit = field.group.base_unit();
    Err(BreakevenRefused::Range { pointer, from, to, min: range.min, max: range.max, unit })
}

/// The values to look at first.
fn places([from, to]: [f64; 2], field: &Field) -> Vec<f64> {
    let parts = f64::from(PARTS);
    let even = |part: u32| from + (to - from) * (f64::from(part) / parts);
    if !field.range.whole {
        return (0..=PARTS).map(even).collect();
    }
    let mut whole: Vec<f64> = if to - from <= 4.0 * parts {
        (0..=(to.floor() - from.ceil()).max(0.0) as u32).map(|step| from.ceil() + f64::from(step)).collect()
    } else {
        (0..=PARTS).map(|part| even(part).round()).collect()
    };
    whole.dedup();
    whole
}

/// By how much the metric misses its target, NaN where there is no metric.
fn gap(document: &InputDocument, question: &BreakevenQuestion, field: &Field, value: f64) -> f64 {
    let mut changed = document.clone();
    if !changed.set(&question.pointer, Quantity::new(value, field.group.base_unit())) {
        return f64::NAN;
    }
    let Ok(resolved) = resolve(&changed, None) else { return f64::NAN };
    let Ok(result) = analyse(&resolved.inputs, &mut Plain) else { return f64::NAN };
    question.metric.of(&result).map_or(f64::NAN, |found| found - question.target)
}

fn answer(values: Vec<f64>, asked: usize) -> Answer {
    match values.as_slice() {
        [] if asked == 0 => Answer::none("the metric has no value anywhere in the range"),
        [] => Answer::none("the metric does not reach the target in the range"),
        [value] => Answer::Found { value: *value },
        _ => Answer::Several { values },
    }
}
