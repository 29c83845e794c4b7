//! How a result came about: every step with its formula and operands, written by the code that computes.
//!
//! The formulas are generic over a [`Recorder`] and hand it a *closure* that would describe the step.
//! [`Plain`] never calls it, so that the compiler removes the description; [`Trace`] calls and keeps it.
//! Neither touches the value, hence both give the same bits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where steps go.
pub trait Recorder {
    /// Takes note of a step, or ignores it without asking for its description.
    fn record(&mut self, step: impl FnOnce() -> Step);
}

/// Records nothing and costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Recorder for Plain {
    #[inline(always)]
    fn record(&mut self, _step: impl FnOnce() -> Step) {}
}

/// Keeps every step, in the order of calculation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Recorder for Trace {
    fn record(&mut self, step: impl FnOnce() -> Step) {
        self.steps.push(step());
    }
}

/// One number that was worked out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "name": "lcop", "value": 1495.81, "unit": "USD/t", "formula": "(K + OPEX) / m",
    "inputs": [
        { "symbol": "OPEX", "name": "OPEX", "value": 710150000, "unit": "USD/yr", "source": "opex.total" },
    ],
}))]
pub struct Step {
    /// Its name, unique in the trace, e.g. `production.jet`.
    pub name: String,
    /// Its value; null where there is none, or several.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: String,
    /// The formula, in the symbols of the operands.
    pub formula: String,
    /// What went into it.
    pub inputs: Vec<Operand>,
    /// Why there is no value, or which values there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A number that went into a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "symbol": "m", "name": "capacity", "value": 500000, "unit": "t/yr", "source": "/plant/capacity" }))]
pub struct Operand {
    /// Its symbol in the formula.
    pub symbol: String,
    /// Its name in sentences.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Where it comes from: an input as a JSON pointer (`/plant/capacity`), or an earlier step by name.
    pub source: String,
}
