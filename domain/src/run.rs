//! Runs: one calculation of one scenario, with everything needed to repeat it.

use safire_engine::{
    Analysis, AnalysisResult, BaseAnalysis, ENGINE_VERSION, Failure, InputDocument, Inputs, Resolved, ResolvedInput,
    Step, Trace,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    RunId, ScenarioId, Timestamp,
    details::Details,
    lifecycle::{RunState, names},
};

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
    /// What it finds out.
    pub analysis: Kind,
    /// Where it stands.
    pub state: RunState,
    /// How many times it was begun.
    pub attempt: i64,
    /// How far it is; `None` before it is begun, and for one that ended too soon to say.
    pub advance: Option<Advance>,
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

/// How far a run, or another operation, is.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    /// What is being done.
    pub stage: String,
    /// Pieces of work done; of a run, evaluations of the base analysis.
    pub done: i64,
    /// Pieces of work in all.
    pub total: i64,
    /// When it was begun.
    pub started_at: Timestamp,
}

impl Advance {
    /// The share of the work that is done, in percent.
    pub fn percent(&self) -> f64 {
        if self.total > 0 { (self.done as f64 / self.total as f64 * 100.0).min(100.0) } else { 0.0 }
    }

    /// How long it will take from `now` on, in seconds, if it goes on as it did.
    pub fn remaining_s(&self, now: Timestamp) -> Option<f64> {
        let spent = (now - self.started_at).num_milliseconds().max(0) as f64 / 1000.0;
        let left = (self.total - self.done).max(0) as f64;
        (self.done > 0).then(|| spent * left / self.done as f64)
    }
}

/// The kinds of analyses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The base analysis alone.
    Base,
    /// How results are distributed when inputs are.
    MonteCarlo,
    /// Which share of a result's variance each input brings.
    Sobol,
    /// Which inputs matter most, one at a time.
    Tornado,
    /// How results bend with each input.
    Spider,
    /// Results over the ranges of one or two inputs.
    Sweep,
}

names!(Kind {
    Base => "base", MonteCarlo => "monte-carlo", Sobol => "sobol", Tornado => "tornado", Spider => "spider",
    Sweep => "sweep"
});

impl Kind {
    /// The kind of an analysis.
    pub fn of(analysis: &Analysis) -> Self {
        match analysis {
            Analysis::Base {} => Self::Base,
            Analysis::MonteCarlo(_) => Self::MonteCarlo,
            Analysis::Sobol(_) => Self::Sobol,
            Analysis::Tornado(_) => Self::Tornado,
            Analysis::Spider(_) => Self::Spider,
            Analysis::Sweep(_) => Self::Sweep,
        }
    }
}

/// What the engine is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The plant.
    pub inputs: Inputs,
    /// What to find out about it, beside the base analysis.
    pub analysis: Analysis,
}

/// What the engine found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The base analysis.
    pub base: BaseAnalysis,
    /// The other analysis that was asked for.
    pub analysis: Option<AnalysisResult>,
}

/// How a calculation ended.
pub type Outcome = Result<Findings, Failure>;

/// A run's inputs, complete and with the source of every value: what makes it repeatable after the
/// scenario or the master data have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What the user had given.
    pub given: InputDocument,
    /// The default set of that edition.
    pub defaults: Option<InputDocument>,
    /// What was asked.
    #[serde(default = "base", skip_serializing_if = "is_base")]
    pub analysis: Analysis,
}

/// The base analysis alone.
pub fn base() -> Analysis {
    Analysis::Base {}
}

/// Whether nothing but the base analysis is asked for.
pub fn is_base(analysis: &Analysis) -> bool {
    *analysis == base()
}

impl Snapshot {
    /// The same for the base analysis alone.
    pub fn base(given: InputDocument, defaults: Option<InputDocument>) -> Self {
        Self { given, defaults, analysis: base() }
    }

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
    /// The base analysis.
    pub result: BaseAnalysis,
    /// The other analysis that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisResult>,
    /// Every input with its source.
    pub resolved_inputs: Vec<ResolvedInput>,
    /// How every number came about, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<Step>>,
    /// Cash flow by year, prices, policy, balances and choices, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// What is told beside a result: computed again, because it takes longer to store than to find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside {
    /// How every number came about.
    pub trace: bool,
    /// Cash flow by year, prices, policy, balances and choices.
    pub details: bool,
}

impl Computed {
    /// What was found from these inputs, with what is asked for beside it.
    pub fn of(findings: Findings, resolved: Resolved, beside: Beside) -> Result<Self, Failure> {
        let Findings { base, analysis } = findings;
        Ok(Self {
            result: base,
            analysis,
            trace: beside.trace.then(|| steps(&resolved.inputs)),
            details: if beside.details { Some(Details::of(&resolved)?) } else { None },
            resolved_inputs: resolved.values,
        })
    }
}

/// The steps of a base analysis.
fn steps(inputs: &Inputs) -> Vec<Step> {
    let mut trace = Trace::default();
    // What fails without a trace fails with it, and the steps up to there are still worth seeing.
    let _ = safire_engine::analyse(inputs, &mut trace);
    trace.steps
}

/// A digest of everything that decides a calculation: two runs with equal fingerprints have equal
/// results to the bit, whatever units and editions their inputs come from.
pub fn fingerprint(order: &Order) -> String {
    let Order { inputs, analysis } = order;
    let text = serde_json::json!({ "analysis": analysis, "engine": ENGINE_VERSION, "inputs": inputs });
    let digest = Sha256::digest(text.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
