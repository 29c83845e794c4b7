//! Lists, a page at a time.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Problem, problem::FieldError};

/// The largest page.
const MOST: i64 = 200;

/// Which part of a list.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Range {
    /// Entries to pass over.
    #[param(minimum = 0, default = 0)]
    skip: i64,
    /// Entries to return, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 100)]
    limit: i64,
}

impl Default for Range {
    fn default() -> Self {
        Self { skip: 0, limit: 100 }
    }
}

impl Range {
    /// Skip and limit, in bounds.
    pub fn checked(self) -> Result<(i64, i64), Problem> {
        let wrong = |pointer: &str, message: String| {
            let error = FieldError { pointer: pointer.into(), code: "out_of_range".into(), message, allowed: None };
            Err(Problem::invalid("query.invalid", vec![error]))
        };
        if self.skip < 0 {
            return wrong("/skip", format!("skip is {}, allowed is 0 or more", self.skip));
        }
        if !(1..=MOST).contains(&self.limit) {
            return wrong("/limit", format!("limit is {}, allowed are 1 to {MOST}", self.limit));
        }
        Ok((self.skip, self.limit))
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// How many the whole list has.
    pub total: i64,
    /// How many were passed over.
    pub skip: i64,
    /// How many were asked for.
    pub limit: i64,
}
