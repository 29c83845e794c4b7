//! `safire calculate`: a scenario from a file, without a server.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use safire_domain::{
    engine::{self, InputDocument, Invalid, Plain, Violation},
    master_data::MasterData,
    run::{Computed, Snapshot, steps},
    scenario::{Pathway, check_draft},
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
}

pub(super) fn run(file: &Path, trace: bool, format: Format) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    let scenario: ScenarioFile = serde_path_to_error::deserialize(&mut reader)
        .with_context(|| format!("{} is not a scenario", file.display()))?;
    reader.end().with_context(|| format!("{} goes on after the scenario", file.display()))?;
    let pathway = Pathway { process: scenario.process, feedstock: scenario.feedstock, country: scenario.country };
    let computed = compute(&pathway, scenario.inputs, trace)?;
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&computed)?),
        Format::Table => print!("{}", report::table(&pathway, &computed)),
    }
    Ok(())
}

fn compute(pathway: &Pathway, given: InputDocument, trace: bool) -> anyhow::Result<Computed> {
    let master_data = MasterData::seed();
    let defaults = master_data.defaults_for(pathway).map(|set| set.inputs.clone());
    let mut violations = master_data.unknown_codes(pathway, &given);
    if let Err(invalid) = check_draft(&given, defaults.as_ref()) {
        violations.extend(in_the_file(invalid));
    }
    refuse(&violations)?;
    let resolved = match (Snapshot { given, defaults }).resolve() {
        Ok(resolved) => resolved,
        Err(invalid) => return refuse(&in_the_file(invalid)).and_then(|()| bail!("the inputs are wrong")),
    };
    let result = engine::analyse(&resolved.inputs, &mut Plain)?;
    let trace = trace.then(|| steps(&resolved.inputs));
    Ok(Computed { result, resolved_inputs: resolved.values, trace })
}

/// Violations of the inputs, with pointers from the top of the file.
fn in_the_file(invalid: Invalid) -> Vec<Violation> {
    let violations = invalid.into_violations().into_iter();
    violations.map(|v| Violation { pointer: format!("/inputs{}", v.pointer), ..v }).collect()
}

fn refuse(violations: &[Violation]) -> anyhow::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = violations.iter().map(|violation| format!("  {violation}")).collect();
    bail!("the scenario is refused:\n{}", lines.join("\n"))
}
