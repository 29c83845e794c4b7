//! Drafts: scenarios as they are given, whether one by one, in a batch or in a file, and what is wrong with them.

use safire_engine::{InputDocument, Violation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ProjectId, ScenarioId, Timestamp,
    lifecycle::Status,
    master_data::MasterData,
    name::Name,
    scenario::{Pathway, Scenario, check_draft},
};

/// A scenario, whole. Inputs that are left out come from the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScenarioText, description = "A scenario, whole. Inputs that are left out come from the defaults.")]
pub struct Draft {
    /// What it is called.
    pub name: Name,
    /// Process technology, by code.
    #[schema(example = "HEFA")]
    pub process: String,
    /// Main feedstock, by code.
    #[schema(example = "UCO")]
    pub feedstock: String,
    /// Country, by code.
    #[schema(example = "USA")]
    pub country: String,
    /// What differs from the defaults.
    #[serde(default)]
    pub inputs: InputDocument,
}

impl Draft {
    /// Everything that is wrong with it; pointers are relative to the draft.
    pub fn violations(&self, master_data: &MasterData) -> Vec<Violation> {
        let Self { process, feedstock, country, .. } = self;
        let pathway = Pathway { process: process.clone(), feedstock: feedstock.clone(), country: country.clone() };
        violations(master_data, &pathway, &self.inputs)
    }

    /// The new scenario.
    pub fn scenario(self, id: ScenarioId, project_id: ProjectId, now: Timestamp) -> Scenario {
        let Self { name, process, feedstock, country, inputs } = self;
        Scenario {
            id,
            project_id,
            name,
            pathway: Pathway { process, feedstock, country },
            inputs,
            revision: 1,
            status: Status::DRAFT,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Everything that is wrong with what was given, by the master data and the engine's rules.
pub fn violations(master_data: &MasterData, pathway: &Pathway, inputs: &InputDocument) -> Vec<Violation> {
    let defaults = master_data.defaults_for(pathway).map(|set| &set.inputs);
    let mut found = master_data.unknown_codes(pathway, inputs);
    if let Err(invalid) = check_draft(inputs, defaults) {
        let at_inputs = |v: Violation| Violation { pointer: format!("/inputs{}", v.pointer), ..v };
        found.extend(invalid.into_violations().into_iter().map(at_inputs));
    }
    found
}
