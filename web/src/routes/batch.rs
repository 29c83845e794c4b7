//! Many new scenarios at once, each with its own answer.

use axum::{Json, extract::State};
use chrono::TimeDelta;
use http::StatusCode;
use safire_domain::{
    ProjectId, ScenarioId, draft::Draft, engine::InputDocument, master_data::MasterData, name::Name, reading,
    scenario::Scenario,
};
use safire_store::{access::Written, idempotency, scenarios};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{scenarios::not_inserted, view::ScenarioView};
use crate::{
    App, Problem,
    auth::Caller,
    idempotency::{Keyed, made},
    problem::{FieldError, field_errors},
};

/// Scenarios in one request at most.
const MOST: usize = 500;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_many))
}

/// New scenarios.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewScenarios {
    /// 1 to 500 scenarios.
    #[schema(value_type = Vec<NewScenario>, min_items = 1, max_items = 500)]
    scenarios: Vec<Value>,
}

/// One of many new scenarios. Inputs that are left out come from the defaults.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "project_id": "01a1f914-e4c8-7d26-be8e-d1e3f79d9011", "name": "Houston", "process": "HEFA", "feedstock": "UCO",
    "country": "USA", "inputs": { "plant": { "capacity": { "value": 250, "unit": "kt/yr" } } },
}))]
struct NewScenario {
    /// The project that gets it.
    project_id: ProjectId,
    name: Name,
    #[schema(example = "HEFA")]
    process: String,
    #[schema(example = "UCO")]
    feedstock: String,
    #[schema(example = "USA")]
    country: String,
    #[serde(default)]
    inputs: InputDocument,
}

/// What became of many new scenarios.
#[derive(Serialize, ToSchema)]
struct Batch {
    /// How many were made.
    #[schema(example = 1)]
    created: usize,
    /// How many were refused.
    #[schema(example = 0)]
    refused: usize,
    /// What became of each, in the order of the request.
    items: Vec<BatchItem>,
}

/// What became of one of many new scenarios.
#[derive(Serialize, ToSchema)]
struct BatchItem {
    /// Its place in the request, from 0.
    #[schema(example = 0)]
    index: usize,
    /// The status that it would have been answered with alone: 201, 403, 404 or 422.
    #[schema(example = 201)]
    status: u16,
    /// The scenario, a draft, when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<ScenarioView>,
    /// Why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ItemProblem>,
}

/// Why one of many was refused.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "code": "inputs.invalid", "detail": "unknown country \"XX\"", "errors": [] }))]
pub(super) struct ItemProblem {
    /// What is wrong, for programs.
    code: &'static str,
    /// What is wrong, for people.
    detail: String,
    /// The fields that are wrong, by JSON pointer into the request.
    errors: Vec<FieldError>,
}

impl ItemProblem {
    /// The problem, and the status that it would have been answered with alone.
    pub fn of(problem: Problem) -> (u16, Self) {
        let (status, code, detail, errors) = problem.into_parts();
        (status.as_u16(), Self { code, detail, errors })
    }
}

/// Makes many scenarios.
///
/// Up to 500, in one transaction, each answered like one that is made alone: those that are right are made, the others
/// are refused and say why. Sent again with the same Idempotency-Key it makes nothing, and is answered as the first time.
#[utoipa::path(
    post, path = "/scenarios:batch", tag = "scenarios",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = NewScenarios,
    responses(
        (status = 200, description = "What became of each", body = Batch),
        (status = 403, description = "A viewer asks"),
    )
)]
async fn create_many(
    State(app): State<App>,
    caller: Caller,
    Keyed { body: NewScenarios { scenarios: given }, key }: Keyed<NewScenarios>,
) -> Result<Json<Value>, Problem> {
    caller.must_write()?;
    if !(1..=MOST).contains(&given.len()) {
        let message = format!("there are {} scenarios, allowed are 1 to {MOST}", given.len());
        return Err(FieldError::new("/scenarios", "out_of_range", message).into());
    }
    let (master_data, now, access) = (app.master_data().await?, app.now(), caller.access());
    let draft = |(index, value)| draft(index, value, &master_data);
    let drafts = given.into_iter().enumerate().map(draft);
    // A microsecond apart, so that they sort as they were given.
    let times = (0..).map(|place| now + TimeDelta::microseconds(place));
    let scenarios: Vec<Result<Scenario, Problem>> = drafts
        .zip(times)
        .map(|(read, at)| read.map(|(project, draft)| draft.scenario(ScenarioId::new(at), project, at)))
        .collect();
    let key = key.get();
    let insert = app.database.write(move |c| {
        Box::pin(idempotency::once(c, key, now, move |c| {
            Box::pin(async move {
                let right: Vec<Scenario> = scenarios.iter().flatten().cloned().collect();
                let written = scenarios::insert_batch(c, access, right).await?;
                Ok(Ok::<_, ()>(answer(scenarios, written)))
            })
        }))
    });
    match made(insert.await?)? {
        Ok(answer) => Ok(Json(answer)),
        Err(()) => Err(Problem::contended()),
    }
}

/// Reads and checks one scenario; what is wrong is named by its place in the request.
fn draft(index: usize, value: Value, master_data: &MasterData) -> Result<(ProjectId, Draft), Problem> {
    let at = format!("/scenarios/{index}");
    let item: NewScenario =
        reading::read(&at, value).map_err(|violation| Problem::invalid("body.invalid", vec![violation.into()]))?;
    let NewScenario { project_id, name, process, feedstock, country, inputs } = item;
    let draft = Draft { name, process, feedstock, country, inputs };
    let violations = draft.violations(master_data);
    if violations.is_empty() {
        return Ok((project_id, draft));
    }
    Err(Problem::invalid("inputs.invalid", field_errors(&at, &violations)))
}

/// What became of each, rendered once: what is remembered under a key is what was answered.
fn answer(scenarios: Vec<Result<Scenario, Problem>>, written: Vec<Written>) -> Value {
    let mut written = written.into_iter();
    let items: Vec<BatchItem> = (0..)
        .zip(scenarios)
        .map(|(index, scenario)| {
            let settled = scenario.and_then(|scenario| match written.next() {
                Some(Written::Yes) => Ok(ScenarioView::from(scenario)),
                refused => Err(not_inserted(refused.unwrap_or(Written::Stale))),
            });
            item(index, settled)
        })
        .collect();
    let created = items.iter().filter(|item| item.scenario.is_some()).count();
    let batch = Batch { created, refused: items.len() - created, items };
    serde_json::to_value(batch).unwrap_or_default()
}

fn item(index: usize, settled: Result<ScenarioView, Problem>) -> BatchItem {
    match settled {
        Ok(scenario) => {
            BatchItem { index, status: StatusCode::CREATED.as_u16(), scenario: Some(scenario), problem: None }
        }
        Err(problem) => {
            let (status, problem) = ItemProblem::of(problem);
            BatchItem { index, status, scenario: None, problem: Some(problem) }
        }
    }
}
