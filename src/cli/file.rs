//! Scenarios from files.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use safire_domain::{
    engine::{Analysis, InputDocument, Invalid, Resolved, Violation},
    master_data::MasterData,
    reading::{self, Unread},
    run::{self, Snapshot},
    scenario::{Pathway, check_draft},
};
use serde::Deserialize;

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

/// A complete and valid scenario, and the analysis that it asks for.
pub(super) struct Scenario {
    pub pathway: Pathway,
    pub resolved: Resolved,
    pub analysis: Analysis,
}

/// Reads a scenario, or says all that is wrong with it.
pub(super) fn read(file: &Path) -> anyhow::Result<Scenario> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let scenario: ScenarioFile = match reading::parse(&text) {
        Ok(scenario) => scenario,
        Err(Unread::Malformed(why)) => bail!("{} is not a scenario: {why}", file.display()),
        Err(Unread::Wrong(violation)) => bail!("{} is not a scenario:\n  {violation}", file.display()),
    };
    let pathway = Pathway { process: scenario.process, feedstock: scenario.feedstock, country: scenario.country };
    let resolved = resolve(&pathway, scenario.inputs)?;
    Ok(Scenario { pathway, resolved, analysis: scenario.analysis })
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

/// Violations of a part of the file, with pointers from its top.
pub(super) fn at(part: &str, invalid: Invalid) -> Vec<Violation> {
    let violations = invalid.into_violations().into_iter();
    violations.map(|v| Violation { pointer: format!("{part}{}", v.pointer), ..v }).collect()
}

/// Says everything that is wrong at once.
pub(super) fn refuse(violations: &[Violation]) -> anyhow::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = violations.iter().map(|violation| format!("  {violation}")).collect();
    bail!("the scenario is refused:\n{}", lines.join("\n"))
}
