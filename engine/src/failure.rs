//! Why a calculation ended without a result.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The code of a [`Failure`] whose result left the finite numbers.
pub const NOT_FINITE: &str = "engine.not_finite";

/// A calculation that ended without a result: stored and served as the state of a failed run.
///
/// ```
/// use safire_engine::Failure;
///
/// let failure = Failure::new("run.cancelled", "the run was cancelled by its owner");
/// assert_eq!(failure.to_string(), "the run was cancelled by its owner");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[schema(description = "A calculation that ended without a result.")]
#[serde(deny_unknown_fields)]
#[error("{message}")]
#[schema(example = json!({ "code": "engine.not_finite", "message": "NPV is not a finite number", "quantity": "npv", "value": "inf" }))]
pub struct Failure {
    /// What happened, for programs, e.g. `engine.not_finite`.
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// What happened, for people.
    pub message: String,
    /// The result that could not be worked out, by its name in the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// What came out instead, as text, because JSON knows neither NaN nor infinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Failure {
    /// A failure that is not about one quantity.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), quantity: None, value: None }
    }

    /// `quantity` came out as `value`, which is not a finite number.
    pub fn not_finite(quantity: impl Into<String>, value: f64) -> Self {
        let quantity = quantity.into();
        Self {
            code: Cow::Borrowed(NOT_FINITE),
            message: format!("{quantity} came out as {value}: the inputs are too extreme to calculate with"),
            quantity: Some(quantity),
            value: Some(value.to_string()),
        }
    }
}
