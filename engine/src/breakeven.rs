//! The value of an input at which a metric takes a wanted value.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Answer, Interval};
use crate::base::analyse;
use crate::inputs::fields::{self, Field};
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
/// The range is looked at in 64 equal parts. Where the metric ceases to exist within a part, the edge of its existence is
/// found, and the part is searched up to it. Every change of sign of `metric − target` is then bracketed to the last
/// digit. A metric that takes only whole numbers, such as a payback, has the wanted value over an interval: the answer is
/// its two edges; where it jumps past its target, the answer is where it jumps. Values at which the scenario is refused
/// are passed over.
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
    /// Evenly spaced points of the range.
    grid: Vec<Point>,
    /// Parts of the grid that have been searched.
    parts: usize,
    /// The points of these parts, and those that were found between them.
    searched: Vec<Point>,
    /// Values at which the metric passes the target.
    crossings: Vec<f64>,
}

/// A value of the input with the metric there, NaN where there is none.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: f64,
    value: f64,
}

impl Search {
    /// Gets ready to search, or says why the question cannot be answered.
    pub fn new(document: InputDocument, question: BreakevenQuestion) -> Result<Self, BreakevenRefused> {
        let field = checked(&document, &question)?;
        let waiting = places(question.range, field).into_iter();
        let (grid, searched, crossings) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { document, question, field, waiting, grid, parts: 0, searched, crossings })
    }

    /// Looks at one place, or closely between two. Says whether there is more to do.
    pub fn step(&mut self) -> bool {
        if let Some(at) = self.waiting.next() {
            self.grid.push(self.point(at));
            return true;
        }
        let Some(&[before, after]) = self.grid.get(self.parts..self.parts + 2) else { return false };
        self.parts += 1;
        self.searched.push(before);
        self.part(before, after);
        self.searched.push(after);
        true
    }

    /// Searches between two neighbours of the grid.
    fn part(&mut self, before: Point, after: Point) {
        if before.value.is_nan() == after.value.is_nan() {
            return self.stretch(before, after);
        }
        let (last, first) = self.boundary(before, after, |point| point.value.is_nan());
        if before.value.is_nan() {
            self.searched.extend([last, first]);
            self.stretch(first, after);
        } else {
            self.stretch(before, last);
            self.searched.extend([last, first]);
        }
    }

    /// Searches where the metric exists at both ends.
    fn stretch(&mut self, before: Point, after: Point) {
        if before.value.is_nan() {
            return;
        }
        if !self.question.metric.is_whole() {
            let gap = |point: Point| (point.at, point.value - self.question.target);
            let (before, after) = (gap(before), gap(after));
            if before.1 * after.1 < 0.0 {
                let root = match self.field.range.whole {
                    true => Some(after.0),
                    false => root_between(|at| self.point(at).value - self.question.target, before, after),
                };
                self.crossings.extend(root);
            }
            return;
        }
        // A whole number is the target between half a number less and half a number more.
        for threshold in [self.question.target - 0.5, self.question.target + 0.5] {
            if (before.value > threshold) != (after.value > threshold) {
                let (last, first) = self.boundary(before, after, |point| point.value > threshold);
                self.searched.extend([last, first]);
                self.crossings.push(first.at);
            }
        }
    }

    /// The neighbouring numbers between which a property changes that the two points differ in.
    fn boundary(&self, mut before: Point, mut after: Point, property: impl Fn(Point) -> bool) -> (Point, Point) {
        let is_before = property(before);
        loop {
            let middle = f64::midpoint(before.at, after.at);
            let middle = if self.field.range.whole { middle.floor() } else { middle };
            if middle <= before.at || middle >= after.at {
                return (before, after);
            }
            let middle = self.point(middle);
            *(if property(middle) == is_before { &mut before } else { &mut after }) = middle;
        }
    }

    /// What was found.
    pub fn finish(mut self) -> Breakeven {
        while self.step() {}
        Breakeven { unit: self.field.group.base_unit().into(), answer: self.answer() }
    }

    fn answer(mut self) -> Answer {
        let known: Vec<f64> = self.grid.iter().map(|point| point.value).filter(|value| !value.is_nan()).collect();
        if let [first, others @ ..] = known.as_slice()
            && !others.is_empty()
            && known.len() == self.grid.len()
            && others.iter().all(|other| other == first)
        {
            let unit = self.question.metric.unit();
            let everywhere = format!("it is {first} {unit} everywhere in the range");
            return Answer::none(format!("the metric does not depend on this input: {everywhere}"));
        }
        self.searched.sort_by(|a, b| a.at.total_cmp(&b.at));
        let hits = self.hits();
        // A jump of a whole number past the target is no crossing where the target is taken between.
        let crossings = if self.question.metric.is_whole() && !hits.is_empty() { Vec::new() } else { self.crossings };
        answer(hits, crossings, !known.is_empty() || self.searched.iter().any(|point| !point.value.is_nan()))
    }

    /// Runs of points at which the metric is just the target.
    fn hits(&self) -> Vec<Interval> {
        let is_hit = |point: &&Point| point.value == self.question.target;
        let runs = self.searched.split(|point| !is_hit(&point)).filter(|run| !run.is_empty());
        runs.map(|run| Interval { from: run[0].at, to: run[run.len() - 1].at }).collect()
    }

    /// The metric at a value of the input.
    fn point(&self, at: f64) -> Point {
        Point { at, value: value(&self.document, &self.question, self.field, at) }
    }
}

fn checked(document: &InputDocument, question: &BreakevenQuestion) -> Result<&'static Field, BreakevenRefused> {
    let pointer = question.pointer.clone();
    let unit_value = |field: &Field| Quantity::new(0.0, field.group.base_unit());
    let known = Field::at(&pointer).filter(|field| document.clone().set(&pointer, unit_value(field)));
    // Without a loan there is no rate and no term at which a share could be owed.
    let is_loanless = || resolve(document, None).is_ok_and(|resolved| resolved.inputs.place(&pointer).is_none());
    let known = known.filter(|field| **field != fields::DEBT_SHARE || !is_loanless());
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

/// The metric, NaN where there is none.
fn value(document: &InputDocument, question: &BreakevenQuestion, field: &Field, at: f64) -> f64 {
    let mut changed = document.clone();
    if !changed.set(&question.pointer, Quantity::new(at, field.group.base_unit())) {
        return f64::NAN;
    }
    let Ok(resolved) = resolve(&changed, None) else { return f64::NAN };
    let Ok(result) = analyse(&resolved.inputs, &mut Plain) else { return f64::NAN };
    question.metric.of(&result).unwrap_or(f64::NAN)
}

fn answer(hits: Vec<Interval>, crossings: Vec<f64>, exists: bool) -> Answer {
    let at = |at| Interval { from: at, to: at };
    let mut found: Vec<Interval> = hits.into_iter().chain(crossings.into_iter().map(at)).collect();
    found.sort_by(|a, b| a.from.total_cmp(&b.from));
    found.dedup();
    if found.iter().any(|interval| interval.from < interval.to) {
        return Answer::Intervals { intervals: found };
    }
    match found.as_slice() {
        [] if !exists => Answer::none("the metric has no value anywhere in the range"),
        [] => Answer::none("the metric does not reach the target in the range"),
        [one] => Answer::Found { value: one.from },
        _ => Answer::Several { values: found.iter().map(|interval| interval.from).collect() },
    }
}
