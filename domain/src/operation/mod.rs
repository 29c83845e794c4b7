//! Operations: work that takes longer than a request. There is one kind, the import of a file of scenarios.

mod log;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{OperationId, ProjectId, Timestamp, UserId, engine::Failure, lifecycle::names, run::Advance};

pub use log::{Level, Step};

/// How many times an operation is taken up without getting any further before it is given up.
pub const MAX_STUMBLES: i64 = 3;

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = OperationState)]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// It is being worked on.
    Running,
    /// Everything was done.
    Succeeded,
    /// It could not go on; what was done stays.
    Failed,
    /// It was called off; what was done stays.
    Cancelled,
}

names!(State {
    Queued => "queued", Running => "running", Succeeded => "succeeded", Failed => "failed", Cancelled => "cancelled",
});

impl State {
    /// Whether nothing more will happen.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ImportFormat)]
pub enum Format {
    /// Values separated by commas, semicolons or tabs.
    Csv,
    /// An array of scenarios.
    Json,
    /// A workbook, of which the first sheet is taken.
    Xlsx,
}

names!(Format { Csv => "csv", Json => "json", Xlsx => "xlsx" });

/// An import as it is stored, without its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The project that gets the scenarios.
    pub project_id: ProjectId,
    /// Who began it.
    pub user_id: UserId,
    /// The name of the file, as its sender gave it.
    pub file_name: String,
    /// What the file is.
    pub format: Format,
    /// Whether the scenarios are calculated when they are made.
    pub calculate: bool,
    /// Where it stands.
    pub state: State,
    /// How far it is.
    pub counts: Counts,
    /// Why it could not go on.
    pub failure: Option<Failure>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What an import has, and has had, to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of the file.
    pub rows: i64,
    /// Rows that became scenarios.
    pub created: i64,
    /// Rows that were refused.
    pub refused: i64,
    /// Scenarios whose calculation succeeded.
    pub calculated: i64,
    /// Scenarios that could not be calculated.
    pub not_calculated: i64,
}

impl Counts {
    /// Rows that were looked at.
    pub fn done(&self) -> i64 {
        self.created + self.refused
    }
}

impl Operation {
    /// What is being done.
    pub fn stage(&self) -> &'static str {
        match self.state {
            State::Queued => "waiting",
            _ if self.state.has_ended() => "ended",
            _ if self.calculate && self.counts.done() >= self.counts.rows => "calculating",
            _ => "making scenarios",
        }
    }

    /// Steps done, and steps in all: a row is one, and so is a calculation.
    fn steps(&self) -> (i64, i64) {
        let Counts { rows, refused, calculated, not_calculated, .. } = self.counts;
        let (done, all) = (self.counts.done(), rows);
        if !self.calculate {
            return (done, all);
        }
        (done + calculated + not_calculated, all + rows - refused)
    }

    /// How far it is, from when it was begun on.
    pub fn advance(&self) -> Option<Advance> {
        let (done, total) = self.steps();
        Some(Advance { stage: self.stage().to_owned(), done, total, started_at: self.started_at? })
    }

    /// The share of the work that is done, in percent.
    pub fn percent(&self) -> f64 {
        let (done, all) = self.steps();
        if all > 0 { (done as f64 / all as f64 * 100.0).min(100.0) } else { 100.0 }
    }

    /// How long it will take from `now` on, in seconds, if it goes on as it did.
    pub fn remaining_s(&self, now: Timestamp) -> Option<f64> {
        self.advance().filter(|_| self.state == State::Running)?.remaining_s(now)
    }
}

/// A row of a file on its way to a scenario: what it says, in the form of a draft, and what could not be read of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The line where it begins, or which entry it is, from 1.
    pub line: i64,
    /// The draft, unread.
    pub body: Box<serde_json::value::RawValue>,
    /// Cells that are not what their columns say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<Fault>,
}

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RowFault, example = json!({
    "column": "economics.discount_rate [%]", "pointer": "/inputs/economics/discount_rate", "code": "out_of_range",
    "message": "discount rate is 900 %; allowed is 0 to 1",
}))]
pub struct Fault {
    /// The column's header, where the file has columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Where it is in the scenario, as a JSON pointer.
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: String,
    /// What is wrong, for people: the field, the value, the range and the unit.
    pub message: String,
}

impl Fault {
    /// A fault that can be stored and shown: a NUL, which PostgreSQL has in no text, becomes a replacement character.
    pub fn of(column: Option<String>, pointer: String, code: &str, message: &str) -> Self {
        let storable = |text: String| text.replace('\0', "\u{fffd}");
        Self {
            column: column.map(storable),
            pointer: storable(pointer),
            code: code.to_owned(),
            message: storable(message.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(calculate: bool, counts: Counts) -> Operation {
        let now = Timestamp::UNIX_EPOCH;
        Operation {
            id: OperationId::new(now),
            project_id: ProjectId::new(now),
            user_id: UserId::new(now),
            file_name: "plants.csv".into(),
            format: Format::Csv,
            calculate,
            state: State::Running,
            counts,
            failure: None,
            created_at: now,
            started_at: Some(now),
            finished_at: None,
        }
    }

    #[test]
    fn a_calculation_is_a_step_like_a_row() {
        let half = Counts { rows: 100, created: 40, refused: 10, ..Counts::default() };
        assert_eq!(import(false, half).percent(), 50.0);
        assert_eq!((import(true, half).percent() * 190.0).round(), 5000.0);
        let all = Counts { created: 90, calculated: 80, not_calculated: 10, ..half };
        assert_eq!((import(true, all).percent(), import(true, all).stage()), (100.0, "calculating"));
        let later = Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(5);
        assert_eq!(import(false, half).remaining_s(later), Some(5.0));
        assert_eq!(import(false, Counts { rows: 5, ..Counts::default() }).remaining_s(later), None);
    }
}
