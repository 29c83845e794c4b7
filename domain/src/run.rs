//! Runs: one calculation of one scenario, with everything needed to repeat it.

use safire_engine::{BaseAnalysis, ENGINE_VERSION, Failure, InputDocument, Inputs, ResolvedInput, Step, Trace};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{RunId, ScenarioId, Timestamp, lifecycle::RunState};

/// How many times a run is begun before it is given up.
pub const MAX_ATTEMPTS: i64 = 3;

/// A run as it is stored, without its inputs and its result.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The run's id.
    pub id: RunId,
    /// The scenario that it calculates.
    pub scenario_id: ScenarioId,
    /// The revision of the scenario's inputs that it took.
    pub revision: i64,
    /// Where it stands.
    pub state: RunState,
    /// How many times it was begun.
    pub attempt: i64,
    /// What it computes, as a digest: see [`fingerprint`].
    pub fingerprint: String,
    /// The engine that calculates it.
    pub engine_version: String,
    /// The edition of the master data that its defaults came from.
    pub edition: i64,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// How a calculation ended.
pub type Outcome = Result<BaseAnalysis, Failure>;

/// A run's inputs, complete and with the source of every value: what makes it repeatable after the
/// scenario or the master data have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What the user had given.
    pub given: InputDocument,
    /// The default set of that edition.
    pub defaults: Option<InputDocument>,
}

impl Snapshot {
    /// Resolves the snapshot again; it was valid when the run was accepted.
    pub fn resolve(&self) -> Result<safire_engine::Resolved, safire_engine::Invalid> {
        safire_engine::resolve(&self.given, self.defaults.as_ref())
    }

    /// Whether both are complete and hold the same numbers, whatever units and defaults they come from.
    pub fn computes_like(&self, other: &Self) -> bool {
        match (self.resolve(), other.resolve()) {
            (Ok(mine), Ok(theirs)) => mine.inputs == theirs.inputs,
            _ => false,
        }
    }
}

/// A result with what it was computed from, as users see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Computed {
    /// What was found.
    pub result: BaseAnalysis,
    /// Every input with its source.
    pub resolved_inputs: Vec<ResolvedInput>,
    /// How every number came about, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<Step>>,
}

/// The steps of a base analysis, computed again: they take longer to store than to find.
pub fn steps(inputs: &Inputs) -> Vec<Step> {
    let mut trace = Trace::default();
    // What fails without a trace fails with it, and the steps up to there are still worth seeing.
    let _ = safire_engine::analyse(inputs, &mut trace);
    trace.steps
}

/// A digest of everything that decides a base analysis: two runs with equal fingerprints have equal
/// results to the bit, whatever units their inputs were written in.
pub fn fingerprint(inputs: &Inputs, edition: i64) -> String {
    let text =
        serde_json::json!({ "analysis": "base", "engine": ENGINE_VERSION, "edition": edition, "inputs": inputs });
    let digest = Sha256::digest(text.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
