//! Results as files: a table for programs ([`csv`]) and a workbook that calculates for people ([`xlsx`]).

pub(crate) mod csv;
pub(crate) mod xlsx;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use safire_domain::{
    engine::{Analysis, Inputs},
    run::{Computed, Run},
    scenario::Scenario,
};
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::Problem;

/// The form that a result is asked for in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For programs.
    #[default]
    Json,
    /// A table, for notebooks.
    Csv,
    /// A workbook, for people.
    Xlsx,
}

pub(crate) const CSV: &str = "text/csv; charset=utf-8";
pub(crate) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// A file, as bytes.
#[derive(ToSchema)]
#[schema(as = File, value_type = String, format = Binary, example = "PK\u{3}\u{4}…")]
pub(crate) struct Bytes(#[expect(dead_code, reason = "only described")] Vec<u8>);

/// A result with everything that it rests on.
pub(crate) struct Report {
    pub scenario: Scenario,
    pub run: Run,
    /// What was asked beside the base analysis.
    pub question: Option<Analysis>,
    pub inputs: Inputs,
    /// With trace and details.
    pub computed: Computed,
}

/// Files that are rendered at once: each takes a core for some milliseconds.
const AT_ONCE: usize = 2;

/// Where files are rendered: beside the threads that answer requests.
#[derive(Clone)]
pub(crate) struct Renderer(Arc<Semaphore>);

impl Default for Renderer {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Renderer {
    pub async fn render<F>(&self, draw: F) -> Result<Vec<u8>, Problem>
    where
        F: FnOnce() -> Result<Vec<u8>, Problem> + Send + 'static,
    {
        let _turn = self.0.acquire().await.map_err(|error| Problem::defect(&error))?;
        tokio::task::spawn_blocking(draw).await.map_err(|error| Problem::defect(&error))?
    }
}

/// An answer that browsers store under that name.
pub(crate) fn attachment(kind: &'static str, name: &str, file: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition)], file).into_response()
}
