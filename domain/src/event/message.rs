//! What is told of an event, on live streams and to other systems.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{About, Kind, Topic};
use crate::{ProjectId, RunId, ScenarioId, Timestamp, lifecycle::StatusName, run::Advance};

/// An event as it is told: on live streams, and to other systems.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "812-1", "type": "operation_complete", "event": "calculated", "time": "2026-11-20T09:30:00Z",
    "project_id": "01a1f914-e4c8-7d26-be8e-d1e3f79d9011", "scenario_id": "01a1f914-e4d2-7c41-9f0b-0f6c3f1f9a52",
    "run_id": "01a1f914-e4d9-7bd0-8a1e-7d4f5a0c2b63", "operation_id": "01a1f914-e4d9-7bd0-8a1e-7d4f5a0c2b63",
    "status": "calculated", "version": 3, "data": { "lcop_usd_per_t": 1495.81, "npv_usd": 3224127521.0 },
}))]
pub struct EventMessage {
    /// Its place among all events; later ones are not always larger as text.
    pub id: String,
    /// What it is about.
    #[serde(rename = "type")]
    pub topic: Topic,
    /// What happened.
    pub event: Kind,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The project that it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The scenario that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario_id: Option<ScenarioId>,
    /// The run that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The operation that it belongs to: of a calculation, the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<Uuid>,
    /// The scenario's status after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusName>,
    /// The scenario's version after it: it grows with each change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// What else there is to tell.
    pub data: Map<String, Value>,
}

/// Word that events are missing before this one, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({ "type": "reset", "time": "2026-11-20T09:30:00Z" }))]
pub struct ResetMessage {
    /// `reset`.
    #[serde(rename = "type")]
    pub topic: Topic,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
}

/// How far an operation is, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "progress_update", "time": "2026-11-20T09:30:00Z",
    "project_id": "01a1f914-e4c8-7d26-be8e-d1e3f79d9011", "scenario_id": "01a1f914-e4d2-7c41-9f0b-0f6c3f1f9a52",
    "run_id": "01a1f914-e4d9-7bd0-8a1e-7d4f5a0c2b63", "operation_id": "01a1f914-e4d9-7bd0-8a1e-7d4f5a0c2b63",
    "stage": "samples", "done": 250000, "total": 1000000, "percent": 25.0, "remaining_s": 4.5,
}))]
pub struct ProgressMessage {
    /// `progress_update`.
    #[serde(rename = "type")]
    pub topic: Topic,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The project that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The scenario that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario_id: Option<ScenarioId>,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The operation: of a calculation, the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<Uuid>,
    /// What is being done.
    pub stage: String,
    /// Pieces of work done.
    pub done: i64,
    /// Pieces of work in all.
    pub total: i64,
    /// The share of the work that is done, in percent.
    pub percent: f64,
    /// How long it will take from now on, in seconds, if it goes on as it did.
    pub remaining_s: Option<f64>,
}

impl ProgressMessage {
    /// How far it was at `now`.
    pub fn new(about: &About, advance: &Advance, now: Timestamp) -> Self {
        Self {
            topic: Topic::ProgressUpdate,
            time: now,
            project_id: about.project,
            scenario_id: about.scenario,
            run_id: about.run,
            operation_id: about.operation,
            stage: advance.stage.clone(),
            done: advance.done,
            total: advance.total,
            percent: advance.percent(),
            remaining_s: advance.remaining_s(now),
        }
    }
}
