//! What clients see of scenarios and runs.

use safire_domain::{
    ProjectId, RunId, ScenarioId, Timestamp,
    details::Details,
    engine::{Analysis, AnalysisResult, BaseAnalysis, Failure, InputDocument, ResolvedInput, Step},
    lifecycle::{RunState, StatusName},
    name::Name,
    run::{Computed, Kind, Run, is_base},
    scenario::{Pathway, Scenario},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scenario.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct ScenarioView {
    pub id: ScenarioId,
    pub project_id: ProjectId,
    pub name: Name,
    #[serde(flatten)]
    pub pathway: Pathway,
    /// What was given; the rest comes from the default set of process, feedstock and country.
    pub inputs: InputDocument,
    pub status: StatusName,
    /// The run that the status speaks of.
    pub run_id: Option<RunId>,
    /// Counts the changes of the inputs; a result of an older revision is stale.
    pub revision: i64,
    /// Counts all changes.
    pub version: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<Scenario> for ScenarioView {
    fn from(scenario: Scenario) -> Self {
        use safire_domain::lifecycle::Status;
        let run_id = match scenario.status {
            Status::Calculating { run, .. } => Some(run),
            Status::Resting(rest) => rest.run(),
        };
        Self {
            id: scenario.id,
            project_id: scenario.project_id,
            name: scenario.name,
            pathway: scenario.pathway,
            inputs: scenario.inputs,
            status: scenario.status.name(),
            run_id,
            revision: scenario.revision,
            version: scenario.version,
            created_at: scenario.created_at,
            updated_at: scenario.updated_at,
        }
    }
}

/// One calculation of a scenario.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1f914-e4d2-7f40-9c8a-0b6c8a1f5e11", "scenario_id": "01a1f914-e4cb-71f4-b826-42e3d362e3cf",
    "analysis": "base", "state": "succeeded", "attempt": 1, "revision": 1, "engine_version": "2", "edition": 1,
    "created_at": "2026-11-20T09:30:00Z", "finished_at": "2026-11-20T09:30:00.004Z",
}))]
pub(super) struct RunView {
    pub id: RunId,
    pub scenario_id: ScenarioId,
    /// What it finds out.
    pub analysis: Kind,
    /// What was asked: the analysis as it was sent. Of one run and of results, beside the base analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<Analysis>,
    pub state: RunState,
    /// How far it is, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// How many times it was begun.
    pub attempt: i64,
    /// The revision of the scenario's inputs that it took.
    pub revision: i64,
    pub engine_version: String,
    /// The edition of the master data that its defaults came from.
    pub edition: i64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// How far a run is.
#[derive(Serialize, ToSchema)]
pub(super) struct Progress {
    /// What is being done.
    #[schema(example = "sampling")]
    pub stage: String,
    /// The share of the work that is done, in percent.
    #[schema(example = 42.5, minimum = 0, maximum = 100)]
    pub percent: f64,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let progress = run.advance.filter(|_| run.state == RunState::Running).map(|advance| Progress {
            percent: advance.percent(),
            stage: advance.stage,
            started_at: advance.started_at,
        });
        Self {
            analysis: run.analysis,
            question: None,
            progress,
            id: run.id,
            scenario_id: run.scenario_id,
            state: run.state,
            attempt: run.attempt,
            revision: run.revision,
            engine_version: run.engine_version,
            edition: run.edition,
            failure: run.failure,
            created_at: run.created_at,
            finished_at: run.finished_at,
        }
    }
}

impl RunView {
    /// The same with what was asked.
    pub fn asked(self, question: Option<Analysis>) -> Self {
        Self { question: question.filter(|question| !is_base(question)), ..self }
    }
}

/// The state of a scenario's latest run.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusView {
    /// The scenario's status, which follows its base analysis.
    pub status: StatusName,
    #[serde(flatten)]
    pub run: RunView,
    /// While it waits: how many of all runs were accepted before it and wait too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<i64>,
    /// While it runs: how long it will take from now on, in seconds, if it goes on as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3.2)]
    pub remaining_s: Option<f64>,
}

/// The newest result of an analysis beside the base analysis.
#[derive(Serialize, ToSchema)]
pub(super) struct AnalysisView {
    pub analysis: Kind,
    /// The run that gave it.
    pub run_id: RunId,
    /// Whether the scenario's inputs, or the defaults that fill them up, have changed since.
    pub stale: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// How a scenario's calculation ended.
#[derive(Serialize, ToSchema)]
pub(super) struct ResultView {
    pub run: RunView,
    /// Of the scenario's result: the newest result of each other analysis, which `?analysis=` reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub analyses: Vec<AnalysisView>,
    /// Whether the scenario's inputs have changed since, or the defaults that fill them up: calculated now, it
    /// would be of other inputs.
    pub stale: bool,
    /// What was found; absent when the run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<BaseAnalysis>,
    /// The other analysis that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisResult>,
    /// Every input with its source; absent when the run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_inputs: Option<Vec<ResolvedInput>>,
    /// How every number came about, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<Step>>,
    /// Cash flow, prices, policy, balances and choices, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

impl ResultView {
    pub fn new(run: RunView, stale: bool, computed: Option<Computed>) -> Self {
        let Some(computed) = computed else {
            return Self {
                run,
                analyses: Vec::new(),
                stale,
                result: None,
                analysis: None,
                resolved_inputs: None,
                trace: None,
                details: None,
            };
        };
        let Computed { result, analysis, resolved_inputs, trace, details } = computed;
        let (result, resolved_inputs) = (Some(result), Some(resolved_inputs));
        Self { run, analyses: Vec::new(), stale, result, analysis, resolved_inputs, trace, details }
    }
}
