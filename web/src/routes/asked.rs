//! The analysis that a body asks for.
//!
//! It is read kind by kind: reading a tagged value in one go forgets where in the body something is wrong.

use safire_domain::{
    engine::{Analysis, InputDocument, Invalid},
    run::{self, Kind},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    Problem,
    extract::read,
    problem::{FieldError, field_errors},
};

/// What a body says, not looked at yet.
pub(super) type Asked = Map<String, Value>;

/// What a body asks to calculate.
pub(super) struct Question {
    pub analysis: Analysis,
    /// Where in the body the analysis stands.
    pub at: &'static str,
    /// Inputs that the scenario is to have from now on.
    pub inputs: Option<Box<InputDocument>>,
}

impl Question {
    /// The base analysis of the scenario as it is.
    pub fn base() -> Self {
        Self { analysis: run::base(), at: "", inputs: None }
    }
}

/// The question of a body: the analysis stands in it, or under `analysis`; `inputs` as an object are the scenario's.
pub(super) fn question(mut body: Asked) -> Result<Question, Problem> {
    let inputs = match body.remove("inputs") {
        Some(Value::Object(inputs)) => Some(read("/inputs", Value::Object(inputs))?),
        Some(of_analysis) => {
            body.insert("inputs".to_owned(), of_analysis);
            None
        }
        None => None,
    };
    let (at, asked) = match body.remove("analysis") {
        Some(Value::Object(nested)) => match body.keys().next() {
            None => ("/analysis", nested),
            Some(name) if name == "inputs" => {
                let message = "beside an analysis of its own, inputs are the scenario's: an object";
                return Err(FieldError::new("/inputs", "type", message).into());
            }
            Some(name) => return Err(unknown("", name, "beside inputs and analysis there is none")),
        },
        Some(tag) => {
            body.insert("analysis".to_owned(), tag);
            ("", body)
        }
        None => ("", body),
    };
    Ok(Question { analysis: analysis(at, asked)?, at, inputs })
}

const KINDS: &str = "base, monte-carlo, sobol, tornado, spider, sweep";

/// The analysis that stands at `at` in the body: the base analysis when nothing is said.
pub(super) fn analysis(at: &str, mut asked: Asked) -> Result<Analysis, Problem> {
    if asked.is_empty() {
        return Ok(run::base());
    }
    let pointer = format!("{at}/analysis");
    let Some(tag) = asked.remove("analysis") else {
        let message = format!("missing field `analysis`: it is one of {KINDS}");
        return Err(FieldError::new(&pointer, "required", message).into());
    };
    let Some(kind) = tag.as_str().and_then(Kind::from_name) else {
        let message = format!("{tag} is no analysis; there are {KINDS}");
        return Err(FieldError::new(&pointer, "value", message).into());
    };
    Ok(match kind {
        Kind::Base => match asked.keys().next() {
            None => run::base(),
            Some(name) => return Err(unknown(at, name, "the base analysis takes none")),
        },
        Kind::MonteCarlo => Analysis::MonteCarlo(within(at, asked)?),
        Kind::Sobol => Analysis::Sobol(within(at, asked)?),
        Kind::Tornado => Analysis::Tornado(within(at, asked)?),
        Kind::Spider => Analysis::Spider(within(at, asked)?),
        Kind::Sweep => Analysis::Sweep(within(at, asked)?),
    })
}

fn within<T: DeserializeOwned>(at: &str, asked: Asked) -> Result<T, Problem> {
    read(at, Value::Object(asked))
}

fn unknown(at: &str, name: &str, why: &str) -> Problem {
    let message = format!("unknown field `{name}`, {why}");
    FieldError::new(&format!("{at}/{name}"), "field.unknown", message).into()
}

/// What is wrong with an analysis that was read, for the scenario that it is of.
pub(super) fn invalid(at: &str, invalid: &Invalid) -> Problem {
    Problem::invalid("analysis.invalid", field_errors(at, invalid.violations()))
}
