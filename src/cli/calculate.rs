//! `safire calculate`: a scenario from a file, without a server.

use std::path::PathBuf;

use anyhow::{Context, bail};
use safire_domain::{
    breakeven::{Asked, Between, BreakevenRequest},
    engine::{self, Analysis, Metric, Plain, Resolved},
    run::{Beside, Computed, Findings, Kind, is_base},
    usual::usual,
};

use super::{
    Format, file,
    file::{Scenario, at, refuse},
    kind, metric,
};
use crate::report;

/// What to calculate, and what to show of it.
#[derive(Debug, clap::Args)]
pub(super) struct Calculate {
    /// JSON with process, feedstock, country, inputs and analysis
    file: PathBuf,
    /// The usual analysis of this kind, whatever the file asks for: every price and the investment moved by a fifth
    #[arg(long, value_name = "KIND", value_parser = kind)]
    analysis: Option<Kind>,
    /// Show how every number came about
    #[arg(long)]
    trace: bool,
    /// Show cash flow by year, prices, policy, balances and choices
    #[arg(long)]
    details: bool,
    /// Instead, find the value of this input at which the metric is as wanted, e.g. /feedstocks/UCO/price
    #[arg(long, value_name = "INPUT", conflicts_with_all = ["analysis", "trace", "details"])]
    breakeven: Option<String>,
    /// The metric of the breakeven
    #[arg(long, value_name = "NAME", value_parser = metric, default_value = "npv")]
    metric: Metric,
    /// What the metric shall be, in its unit
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, allow_negative_numbers = true)]
    target: f64,
    /// Where to look for the breakeven, e.g. --range 0 5000 USD/t; else ten times the input's value to both sides
    #[arg(long, num_args = 3, value_names = ["FROM", "TO", "UNIT"], allow_negative_numbers = true)]
    range: Option<Vec<String>>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Calculate {
    /// Calculates what the file asks for, the usual analysis of a kind, or a breakeven.
    pub fn run(self) -> anyhow::Result<()> {
        let scenario = file::read(&self.file)?;
        match &self.breakeven {
            Some(input) => self.find(input, &scenario.resolved),
            None => self.analyse(scenario),
        }
    }

    fn analyse(self, scenario: Scenario) -> anyhow::Result<()> {
        let Scenario { pathway, resolved, analysis } = scenario;
        let analysis = self.analysis.map_or(analysis, |kind| usual(kind, &resolved.values));
        let computed = compute(resolved, analysis, Beside { trace: self.trace, details: self.details })?;
        self.format.print(&computed, || report::table(&pathway, &computed))
    }

    fn find(&self, input: &str, resolved: &Resolved) -> anyhow::Result<()> {
        let range = self.range.as_deref().map(between).transpose()?;
        let request = BreakevenRequest { input: input.to_owned(), metric: self.metric, target: self.target, range };
        let found = match request.of(resolved).map(Asked::finish) {
            Ok(found) => found,
            Err(violations) => return refuse(&violations),
        };
        self.format.print(&found, || report::breakeven(&found))
    }
}

fn between(range: &[String]) -> anyhow::Result<Between> {
    let [from, to, unit] = range else { bail!("a range has a begin, an end and a unit") };
    let number = |text: &str| text.parse().with_context(|| format!("--range: {text} is not a number"));
    Ok(Between { from: number(from)?, to: number(to)?, unit: unit.clone() })
}

fn compute(resolved: Resolved, analysis: Analysis, beside: Beside) -> anyhow::Result<Computed> {
    let base = engine::analyse(&resolved.inputs, &mut Plain)?;
    let analysis = match analysis.start(&resolved.inputs) {
        Ok(_) if is_base(&analysis) => None,
        Ok(job) => Some(job.finish()?),
        Err(invalid) => return refuse(&at("/analysis", invalid)).and_then(|()| bail!("the analysis is wrong")),
    };
    Ok(Computed::of(Findings { base, analysis }, resolved, beside)?)
}
