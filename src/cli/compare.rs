//! `safire compare`: what the changes between scenarios do to a metric, without a server.

use std::path::PathBuf;

use safire_domain::engine::{Comparing, Metric};

use super::{Format, file, metric};
use crate::report;

/// What to compare.
#[derive(Debug, clap::Args)]
pub(super) struct Compare {
    /// Scenarios as `safire calculate` takes them; the others are compared with the first
    #[arg(required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    /// The metric whose difference is shared among the changed inputs
    #[arg(long, value_name = "NAME", value_parser = metric, default_value = "npv")]
    metric: Metric,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Compare {
    /// Compares the files with the first of them.
    pub fn run(self) -> anyhow::Result<()> {
        let mut scenarios = Vec::new();
        for path in &self.files {
            let scenario = file::read(path)?;
            scenarios.push((path.display().to_string(), Ok(scenario.resolved.document().clone())));
        }
        let compared = Comparing::new(scenarios, self.metric).finish();
        self.format.print(&compared, || report::contributions(&compared))
    }
}
