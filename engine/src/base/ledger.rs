//! Where every number of an analysis is entered: refused unless finite, and shown to the recorder.

use std::fmt::Display;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::trace::{Operand, Recorder, Step};

use super::figures::{Figure, Name};

pub(crate) struct Ledger<'r, R> {
    recorder: &'r mut R,
}

impl<'r, R: Recorder> Ledger<'r, R> {
    pub fn new(recorder: &'r mut R) -> Self {
        Self { recorder }
    }

    /// Enters a figure and hands its value back.
    pub fn enter(
        &mut self,
        figure: &'static Figure,
        value: f64,
        operands: impl FnOnce() -> Vec<Operand>,
    ) -> Result<f64, Failure> {
        self.enter_named(figure, &figure.name, value, operands)
    }

    /// Enters the figure of one feedstock, product or year and hands its value back.
    pub fn enter_of(
        &mut self,
        figure: &'static Figure,
        part: impl Display,
        value: f64,
        operands: impl FnOnce() -> Vec<Operand>,
    ) -> Result<f64, Failure> {
        self.enter_named(figure, &Name::of(figure, part), value, operands)
    }

    /// Enters an answer and hands it back.
    pub fn enter_answer(
        &mut self,
        figure: &'static Figure,
        answer: Answer,
        operands: impl FnOnce() -> Vec<Operand>,
    ) -> Result<Answer, Failure> {
        let answer = match answer {
            Answer::Found { value } => Answer::Found { value: finite(&figure.name, value)? },
            other => other,
        };
        self.recorder.record(|| {
            let (value, note) = (answer.value(), answer.why_not_one());
            step(figure, figure.name.into(), value, note, operands())
        });
        Ok(answer)
    }

    fn enter_named(
        &mut self,
        figure: &'static Figure,
        name: &impl Display,
        value: f64,
        operands: impl FnOnce() -> Vec<Operand>,
    ) -> Result<f64, Failure> {
        let value = finite(name, value)?;
        self.recorder.record(|| step(figure, name.to_string(), Some(value), None, operands()));
        Ok(value)
    }
}

/// `value`, unless it is NaN or infinite.
fn finite(name: &impl Display, value: f64) -> Result<f64, Failure> {
    if value.is_finite() {
        // Stores that keep decimal numbers lose the sign of zero, so results have none.
        Ok(value + 0.0)
    } else {
        Err(Failure::not_finite(name.to_string(), value))
    }
}

fn step(figure: &Figure, name: String, value: Option<f64>, note: Option<String>, inputs: Vec<Operand>) -> Step {
    Step { name, value, unit: figure.unit.into(), formula: figure.formula.into(), inputs, note }
}
