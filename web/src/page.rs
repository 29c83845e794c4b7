//! Lists, a page at a time: by `skip` and `limit`, or from cursor to cursor.

use std::str::FromStr;

use safire_store::Window;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Problem, problem::FieldError};

/// The largest page.
const MOST: i64 = 200;

/// Which part of a list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Range {
    /// Entries to pass over.
    #[param(minimum = 0, default = 0)]
    skip: i64,
    /// Entries to return, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 100)]
    limit: i64,
    /// Where to go on: `next_cursor` of the page before. Entries that come or go meanwhile shift nothing.
    #[param(max_length = 64)]
    cursor: Option<String>,
}

impl Default for Range {
    fn default() -> Self {
        Self { skip: 0, limit: 100, cursor: None }
    }
}

impl Range {
    /// The range of these parts, where they are given.
    pub fn new(skip: Option<i64>, limit: Option<i64>, cursor: Option<String>) -> Self {
        let usual = Self::default();
        Self { skip: skip.unwrap_or(usual.skip), limit: limit.unwrap_or(usual.limit), cursor }
    }

    /// The part of a list of things with such ids, in bounds.
    pub fn window<K: FromStr>(self) -> Result<Window<K>, Problem> {
        if self.skip < 0 {
            return Err(wrong("skip", "out_of_range", format!("skip is {}, allowed is 0 or more", self.skip)));
        }
        if !(1..=MOST).contains(&self.limit) {
            let message = format!("limit is {}, allowed are 1 to {MOST}", self.limit);
            return Err(wrong("limit", "out_of_range", message));
        }
        let after = match self.cursor {
            Some(_) if self.skip > 0 => {
                let message = "skip and cursor are two ways to walk a list: give one of them";
                return Err(wrong("skip", "conflict", message.to_owned()));
            }
            Some(cursor) => Some(cursor.parse().map_err(|_| not_a_cursor())?),
            None => None,
        };
        Ok(Window { after, skip: self.skip, limit: self.limit })
    }
}

fn not_a_cursor() -> Problem {
    wrong("cursor", "format", "cursor is none: take next_cursor of the page before".to_owned())
}

fn wrong(parameter: &str, code: &'static str, message: String) -> Problem {
    Problem::invalid("query.invalid", vec![FieldError::new(&format!("/{parameter}"), code, message)])
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
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page that a window of a list shows; each entry is followed by its id.
    pub fn of<K>(items: Vec<T>, total: i64, window: &Window<K>, id: impl Fn(&T) -> String) -> Self {
        let shown = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let full = shown == window.limit;
        let more = full && (window.after.is_some() || window.skip + shown < total);
        let next_cursor = items.last().filter(|_| more).map(id);
        Self { items, total, skip: window.skip, limit: window.limit, next_cursor }
    }
}
