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
    let mut search = Search::new(document.clone(), question.clone())?;
    while search.step() {}
    Ok(search.finish())
}

/// A search under way: [`breakeven`] in small steps, between which others can have their turn.
pub struct Search {
    document: InputDocument,
    question: BreakevenQuestion,
    field: &'static Field,
    waiting: std::vec::IntoIter<f64>,
    /// Where was looked, and by how much the metric missed its target there.
    points: Vec<(f64, f64)>,
    /// Pairs of neighbouring points that have been searched between.
    searched: usize,
    values: Vec<f64>,
}

impl Search {
    /// Gets ready to search, or says why the question cannot be answered.
    pub fn new(document: InputDocument, question: BreakevenQuestion) -> Result<Self, BreakevenRefused> {
        let field = checked(&document, &question)?;
        let waiting = places(question.range, field).into_iter();
        Ok(Self { document, question, field, waiting, points: Vec::new(), searched: 0, values: Vec::new() })
    }

    /// Looks at one place, or closely between two. Says whether there is more to do.
    pub fn step(&mut self) -> bool {
        if let Some(at) = self.waiting.next() {
            let gap = self.gap(at);
            self.points.push((at, gap));
            return true;
        }
        let Some(&[before, after]) = self.points.get(self.searched..self.searched + 2) else { return false };
        self.searched += 1;
        if before.1 * after.1 < 0.0 {
            let crossing = if self.field.range.whole { Some(after.0) } else { self.root(before, after) };
            self.values.extend(crossing);
        }
        true
    }

    /// What was found.
    pub fn finish(mut self) -> Breakeven {
        while self.step() {}
        self.values.extend(self.points.iter().filter(|(_, gap)| *gap == 0.0).map(|(at, _)| *at));
        self.values.sort_by(f64::total_cmp);
        let asked = self.points.iter().filter(|(_, gap)| !gap.is_nan()).count();
        Breakeven { unit: self.field.group.base_unit().into(), answer: answer(self.values, asked) }
    }

    fn gap(&self, value: f64) -> f64 {
        gap(&self.document, &self.question, self.field, value)
    }

    fn root(&self, before: (f64, f64), after: (f64, f64)) -> Option<f64> {
        root_between(|value| self.gap(value), before, after)
    }
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
