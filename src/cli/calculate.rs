//! `safire calculate`: a scenario from a file, without a server.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use safire_domain::{
    engine::{self, Analysis, InputDocument, Invalid, Plain, Resolved, Violation},
    master_data::MasterData,
    run::{self, Computed, Kind, Snapshot, is_base, steps},
    scenario::{Pathway, check_draft},
    usual::usual,
};
use serde::Deserialize;

use super::Format;
use crate::report;

/// A scenario in a file: the body of `POST /calculate/quick`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    process: String,
    feedstock: String,
    country: String,
    #[serde(default)]
    inputs: InputDocument,
    #[serde(default = "run::base")]
    analysis: Analysis,
}

/// Calculates what the file asks for, or the usual analysis of that kind.
pub(super) fn run(file: &Path, kind: Option<Kind>, trace: bool, format: Format) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    let scenario: ScenarioFile = serde_path_to_error::deserialize(&mut reader)
        .with_context(|| format!("{} is not a scenario", file.display()))?;
    reader.end().with_context(|| format!("{} goes on after the scenario", file.display()))?;
    let pathway = Pathway { process: scenario.process, feedstock: scenario.feedstock, country: scenario.country };
    let resolved = resolve(&pathway, scenario.inputs)?;
    let analysis = kind.map_or(scenario.analysis, |kind| usual(kind, &resolved.values));
    let computed = compute(resolved, analysis, trace)?;
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&computed)?),
        Format::Table => print!("{}", report::table(&pathway, &computed)),
    }
    Ok(())
}

fn resolve(pathway: &Pathway, given: InputDocument) -> anyhow::Result<Resolved> {
    let master_data = MasterData::seed();
    let defaults = master_data.defaults_for(pathway).map(|set| set.inputs.clone());
    let mut violations = master_data.unknown_codes(pathway, &given);
    if let Err(invalid) = check_draft(&given, defaults.as_ref()) {
        violations.extend(at("/inputs", invalid));
    }
    refuse(&violations)?;
    match Snapshot::base(given, defaults).resolve() {
        Ok(resolved) => Ok(resolved),
        Err(invalid) => refuse(&at("/inputs", invalid)).and_then(|()| bail!("the inputs are wrong")),
    }
}

fn compute(resolved: Resolved, analysis: Analysis, trace: bool) -> anyhow::Result<Computed> {
    let result = engine::analyse(&resolved.inputs, &mut Plain)?;
    let analysis = match analysis.start(&resolved.inputs) {
        Ok(_) if is_base(&analysis) => None,
        Ok(job) => Some(job.finish()?),
        Err(invalid) => return refuse(&at("/analysis", invalid)).and_then(|()| bail!("the analysis is wrong")),
    };
    let trace = trace.then(|| steps(&resolved.inputs));
    Ok(Computed { result, analysis, resolved_inputs: resolved.values, trace })
}

/// Violations of a part of the file, with pointers from its top.
fn at(part: &str, invalid: Invalid) -> Vec<Violation> {
    let violations = invalid.into_violations().into_iter();
    violations.map(|v| Violation { pointer: format!("{part}{}", v.pointer), ..v }).collect()
}

fn refuse(violations: &[Violation]) -> anyhow::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = violations.iter().map(|violation| format!("  {violation}")).collect();
    bail!("the scenario is refused:\n{}", lines.join("\n"))
}
