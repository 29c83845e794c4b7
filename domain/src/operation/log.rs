//! What an operation's log says.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Counts, Fault, State};
use crate::engine::Failure;

/// How grave a line of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// Something was left out.
    Warning,
    /// It could not go on.
    Error,
}

/// A line of an operation's log: the step that was taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// It was begun.
    TakenUp {
        /// Rows of the file.
        rows: i64,
    },
    /// It was begun again, after whoever worked on it stopped or died.
    Resumed {
        /// How many times it was begun, with this time.
        attempt: i64,
        /// Rows that were looked at before.
        done: i64,
        /// Rows of the file.
        rows: i64,
    },
    /// Of some rows, which were looked at together, some were refused.
    RowsRefused {
        /// How many became scenarios.
        created: i64,
        /// How many were refused.
        refused: i64,
        /// The line of the first that was refused.
        first_line: i64,
        /// The line of the last.
        last_line: i64,
        /// What is wrong with the first.
        reason: String,
    },
    /// All rows were looked at; what became of them is calculated.
    Calculating {
        /// Scenarios to be calculated.
        scenarios: i64,
    },
    /// All of them had their calculation.
    Calculated {
        /// Those whose calculation succeeded.
        calculated: i64,
        /// Those that could not be calculated.
        not_calculated: i64,
    },
    /// Nothing more will be done.
    Ended {
        /// How it ended.
        state: State,
        /// Rows that became scenarios.
        created: i64,
        /// Rows that were refused.
        refused: i64,
        /// Why it could not go on.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
}

impl Step {
    /// The rows of a chunk, if some of them were refused.
    pub fn of_refused(created: i64, refused: &[(i64, Vec<Fault>)]) -> Option<Self> {
        let ((first_line, faults), (last_line, _)) = (refused.first()?, refused.last()?);
        let reason = faults.first().map(|fault| fault.message.clone()).unwrap_or_default();
        let (first_line, last_line) = (*first_line, *last_line);
        Some(Self::RowsRefused { created, refused: refused.len() as i64, first_line, last_line, reason })
    }

    /// An attempt at an operation that is so far.
    pub fn of_attempt(attempt: i64, counts: Counts) -> Self {
        match attempt {
            1 => Self::TakenUp { rows: counts.rows },
            _ => Self::Resumed { attempt, done: counts.done(), rows: counts.rows },
        }
    }

    /// How grave it is.
    pub fn level(&self) -> Level {
        match self {
            Self::Ended { failure: Some(_), .. } => Level::Error,
            Self::RowsRefused { .. } | Self::Calculated { not_calculated: 1.., .. } => Level::Warning,
            _ => Level::Info,
        }
    }

    /// The line for people.
    pub fn message(&self) -> String {
        match self {
            Self::TakenUp { rows } => format!("begun: {rows} rows"),
            Self::Resumed { attempt, done, rows } => {
                format!("begun again, attempt {attempt}: {done} of {rows} rows are done")
            }
            Self::RowsRefused { created, refused, first_line, last_line, reason } => {
                let all = created + refused;
                format!("{refused} of {all} rows refused, lines {first_line} to {last_line}; the first: {reason}")
            }
            Self::Calculating { scenarios } => format!("calculating {scenarios} scenarios"),
            Self::Calculated { calculated, not_calculated } => {
                format!("{calculated} scenarios calculated, {not_calculated} could not be")
            }
            Self::Ended { state, created, refused, failure } => {
                let why = failure.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
                format!("{}{why}; {created} scenarios made, {refused} rows refused", state.as_str())
            }
        }
    }

    /// What is told of it: `level`, `message`, `step`, and the step's figures.
    pub fn told(&self) -> Map<String, Value> {
        let figures = match serde_json::to_value(self) {
            Ok(Value::Object(figures)) => figures,
            // Texts and numbers with names: there is nothing that could not be written.
            _ => Map::new(),
        };
        let head = [("level", serde_json::json!(self.level())), ("message", Value::from(self.message()))];
        head.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(figures).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_the_same_to_people_and_to_programs() {
        let fault = |message: &str| {
            vec![Fault { column: None, pointer: "/name".into(), code: "type".into(), message: message.into() }]
        };
        let refused = Step::of_refused(7, &[(3, fault("no name")), (9, fault("no country"))]).expect("two");
        let told = json!({
            "level": "warning", "message": "2 of 9 rows refused, lines 3 to 9; the first: no name",
            "step": "rows_refused", "created": 7, "refused": 2, "first_line": 3, "last_line": 9, "reason": "no name",
        });
        assert_eq!(Value::from(refused.told()), told);
        assert_eq!(Step::of_refused(7, &[]), None);
        let failure = Some(Failure::new("forbidden", "it may not be"));
        let ended = Step::Ended { state: State::Failed, created: 5, refused: 1, failure };
        assert_eq!(ended.message(), "failed: it may not be; 5 scenarios made, 1 rows refused");
        assert_eq!((ended.level(), &ended.told()["failure"]["code"]), (Level::Error, &json!("forbidden")));
    }

    #[test]
    fn a_second_attempt_is_told_from_the_first() {
        let counts = Counts { rows: 10, created: 4, refused: 1, ..Counts::default() };
        assert_eq!(Step::of_attempt(1, counts), Step::TakenUp { rows: 10 });
        assert_eq!(Step::of_attempt(3, counts), Step::Resumed { attempt: 3, done: 5, rows: 10 });
    }
}
