//! Scenarios: one plant, one place, one set of inputs.

use safire_engine::{InputDocument, Invalid, Resolved, inputs::code};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ProjectId, ScenarioId, Timestamp, lifecycle::Status, name::Name};

/// Which plant, fed with what, where: the key of a default set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Pathway {
    /// Process technology, by code.
    #[schema(example = "HEFA")]
    pub process: String,
    /// Main feedstock, by code.
    #[schema(example = "UCO")]
    pub feedstock: String,
    /// Country, by code.
    #[schema(example = "USA")]
    pub country: String,
}

/// A scenario as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The scenario's id.
    pub id: ScenarioId,
    /// The project that it belongs to.
    pub project_id: ProjectId,
    /// What it is called.
    pub name: Name,
    /// Plant, feedstock and place.
    pub pathway: Pathway,
    /// What the user gave; the rest comes from the default set.
    pub inputs: InputDocument,
    /// Counts the changes of pathway and inputs: a result of an older revision is stale.
    pub revision: i64,
    /// Where it stands.
    pub status: Status,
    /// Counts all changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Scenario {
    /// The scenario with this pathway and these inputs: a new revision when what is computed changes.
    #[must_use]
    pub fn revised(self, pathway: Pathway, inputs: InputDocument) -> Self {
        let is_same = pathway == self.pathway && inputs == self.inputs;
        Self { revision: if is_same { self.revision } else { self.revision + 1 }, pathway, inputs, ..self }
    }
}

/// Checks a draft: what is given must be right, what is missing may come later.
///
/// When the inputs are complete, the rules that look at several of them at once (mass yields, carbon
/// balance) are held against the whole.
pub fn check_draft(inputs: &InputDocument, defaults: Option<&InputDocument>) -> Result<(), Invalid> {
    inputs.check()?;
    match safire_engine::resolve(inputs, defaults) {
        Err(invalid) if is_incomplete(&invalid) => Ok(()),
        other => other.map(|_: Resolved| ()),
    }
}

/// While something is missing, sums and balances cannot be judged.
fn is_incomplete(invalid: &Invalid) -> bool {
    invalid.violations().iter().any(|violation| violation.code == code::REQUIRED)
}
