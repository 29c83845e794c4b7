//! A result that may not exist, or not be the only one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is known about a value that need not exist: an IRR, a payback, a minimum selling price.
///
/// Zero is a value like any other, so "unknown" has its own shape and says why.
///
/// ```
/// use safire_engine::Answer;
///
/// let never = Answer::none("the cash flow never turns positive");
/// assert_eq!(
///     serde_json::to_string(&never).unwrap(),
///     r#"{"status":"none","reason":"the cash flow never turns positive"}"#
/// );
/// assert_eq!(never.value(), None);
/// assert_eq!(Answer::Found { value: 2.0 }.value(), Some(2.0));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "A value that need not exist, or not be the only one.")]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({ "status": "found", "value": 1679.1 }))]
pub enum Answer {
    /// Exactly one value.
    Found {
        /// The value, in the unit that the field's name carries.
        value: f64,
    },
    /// No value, and why.
    None {
        /// Why there is none, for people.
        reason: String,
    },
    /// More than one value solves the equation, so that none of them is *the* answer.
    Several {
        /// All of them, ascending.
        values: Vec<f64>,
    },
    /// Every value from one edge to the other solves the equation.
    Intervals {
        /// All of them, ascending; a single value has two equal edges.
        intervals: Vec<Interval>,
    },
}

/// The values from one edge to the other, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": 1485.77, "to": 1531.68 }))]
pub struct Interval {
    /// The lower edge.
    pub from: f64,
    /// The upper edge.
    pub to: f64,
}

impl Answer {
    /// There is no value, because of `reason`.
    pub fn none(reason: impl Into<String>) -> Self {
        Self::None { reason: reason.into() }
    }

    /// The one value, if there is exactly one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Found { value } => Some(*value),
            Self::None { .. } | Self::Several { .. } | Self::Intervals { .. } => None,
        }
    }

    /// Every number that the answer holds.
    pub fn values(&self) -> Vec<f64> {
        match self {
            Self::Found { value } => vec![*value],
            Self::None { .. } => Vec::new(),
            Self::Several { values } => values.clone(),
            Self::Intervals { intervals } => intervals.iter().flat_map(|one| [one.from, one.to]).collect(),
        }
    }

    /// The values that there are, as `show` writes one: `0.05 or 0.31`, `1 to 2 or 4 to 5`; none without one.
    pub fn shown(&self, show: impl Fn(f64) -> String) -> String {
        let shown: Vec<String> = match self {
            Self::Found { value } => vec![show(*value)],
            Self::None { .. } => Vec::new(),
            Self::Several { values } => values.iter().map(|value| show(*value)).collect(),
            Self::Intervals { intervals } => {
                intervals.iter().map(|one| format!("{} to {}", show(one.from), show(one.to))).collect()
            }
        };
        shown.join(" or ")
    }

    /// Why there is not exactly one value: the reason, or all that there are.
    pub fn why_not_one(&self) -> Option<String> {
        match self {
            Self::Found { .. } => None,
            Self::None { reason } => Some(reason.clone()),
            Self::Several { .. } | Self::Intervals { .. } => {
                Some(format!("there are several: {}", self.shown(|value| value.to_string())))
            }
        }
    }

    /// The answer for a value worked out from this one; without one value the reason is passed on.
    pub(crate) fn and_then(&self, next: impl FnOnce(f64) -> Self) -> Self {
        match self {
            Self::Found { value } => next(*value),
            other => other.clone(),
        }
    }
}
