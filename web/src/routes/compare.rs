//! Scenarios side by side.

use std::ops::ControlFlow;

use axum::{Json, extract::State};
use safire_domain::{
    ProjectId, RunId, ScenarioId,
    comparison::{InputRow, MOST, MetricRow, differing, metrics},
    engine::{self, BaseAnalysis, Comparing, InputDocument, Metric, ResolvedInput, compare::Subject, inputs::outline},
    lifecycle::{Rest, Status, StatusName},
    name::Name,
    run::Snapshot,
    scenario::Pathway,
};
use safire_store::runs::{self, Ended, Standing};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::{calculation::ask, results::of_this_engine};
use crate::{App, Problem, auth::Caller, extract::Query, problem::FieldError};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(compare))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ComparisonQuery {
    /// The ids of 2 to 20 scenarios, with commas between them. The others are compared with the first.
    #[serde(default)]
    #[param(required, example = "019a9e6c-6f5a-7c3e-8f0a-2b6d1c9e4f10,019a9e6c-7a01-7d52-b1c4-90e8d7f6a5b3")]
    ids: String,
    /// Also say what each changed input contributes to the difference of this metric.
    #[param(inline, example = "npv")]
    metric: Option<Metric>,
}

/// Scenarios side by side: the values of every row are in the order of `scenarios`.
#[derive(Serialize, ToSchema)]
struct Comparison {
    /// The scenarios, in the order of the request.
    scenarios: Vec<Compared>,
    /// Key figures of the results, and how they differ from the first.
    metrics: Vec<MetricRow>,
    /// The inputs in which they differ: of a result, those that it was computed from; of a scenario without one,
    /// those that it has now. Null where a scenario does not have the input.
    inputs: Vec<InputRow>,
    /// What each changed input contributes to the difference from the first scenario, of the metric that was asked
    /// for; contributions sum to the difference. Worked out from the same inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    contributions: Option<engine::Comparison>,
}

/// One of the scenarios.
#[derive(Serialize, ToSchema)]
struct Compared {
    id: ScenarioId,
    project_id: ProjectId,
    name: Name,
    #[serde(flatten)]
    pathway: Pathway,
    /// The product whose selling price is asked for.
    main_product: Option<String>,
    status: StatusName,
    /// The run that the figures are of; null where there is none.
    run_id: Option<RunId>,
    /// The engine that gave the figures; null where there are none.
    engine_version: Option<String>,
    /// Whether the inputs, or the defaults that fill them up, have changed since that run.
    stale: bool,
    /// Why there are no figures; null where there are.
    reason: Option<String>,
}

/// Compares 2 to 20 scenarios.
///
/// Their key figures, with the difference from the first, and the inputs in which they differ. With `metric`, also what
/// each change contributes to the difference of that metric; the calculation pool works it out.
#[utoipa::path(
    get, path = "/scenarios/compare", tag = "scenarios", params(ComparisonQuery),
    responses(
        (status = 200, description = "The scenarios side by side", body = Comparison, example = json!({
            "scenarios": [
                { "id": "019a9e6c-6f5a-7c3e-8f0a-2b6d1c9e4f10", "project_id": "019a9e6c-1d22-7b10-9a41-5e3f7a8b9c0d",
                  "name": "Houston", "process": "HEFA", "feedstock": "UCO", "country": "USA", "main_product": "jet",
                  "status": "calculated", "run_id": "019a9e6c-7000-7000-8000-000000000001", "engine_version": "2",
                  "stale": false, "reason": null },
                { "id": "019a9e6c-7a01-7d52-b1c4-90e8d7f6a5b3", "project_id": "019a9e6c-1d22-7b10-9a41-5e3f7a8b9c0d",
                  "name": "Houston (copy)", "process": "HEFA", "feedstock": "UCO", "country": "USA",
                  "main_product": "jet", "status": "draft", "run_id": null, "engine_version": null, "stale": false,
                  "reason": "it was not calculated yet" },
            ],
            "metrics": [{ "name": "tci_usd", "unit": "USD", "values": [
                { "value": 400000000.0, "difference": 0.0 },
                { "value": null, "reason": "it was not calculated yet", "difference": null },
            ] }],
            "inputs": [{ "pointer": "/plant/capacity", "values": [
                { "value": 500.0, "unit": "kt/yr", "source": "default" },
                { "value": 250.0, "unit": "kt/yr", "source": "user" },
            ] }],
            "contributions": { "metric": "tci", "unit": "USD", "scenarios": [
                { "name": "Houston", "value": { "status": "found", "value": 400000000.0 },
                  "difference": { "status": "found", "value": 0.0 }, "changes": [] },
                { "name": "Houston (copy)", "value": { "status": "found", "value": 263901582.15 },
                  "difference": { "status": "found", "value": -136098417.85 }, "changes": [
                    { "inputs": [{ "pointer": "/plant/capacity", "from": { "value": 500.0, "unit": "kt/yr" },
                                   "to": { "value": 250.0, "unit": "kt/yr" } }],
                      "contribution": { "status": "found", "value": -136098417.85 } }] }] },
        })),
        (status = 409, description = "`engine.changed`: with `metric`, contributions are computed again, and another \
            engine gave a result"),
        (status = 404, description = "There is no such scenario, or the caller may not see it; `detail` and `errors` \
            say which"),
        (status = 422, description = "`query.invalid`: too few ids, too many, one twice, or one that is no id"),
    )
)]
async fn compare(
    State(app): State<App>,
    caller: Caller,
    Query(ComparisonQuery { ids, metric }): Query<ComparisonQuery>,
) -> Result<Json<Comparison>, Problem> {
    let ids = parse(&ids)?;
    let asked = ids.clone();
    let found =
        app.database.read(move |c| Box::pin(async move { runs::standing(c, caller.access(), &asked).await })).await?;
    all_found(&ids, &found)?;
    let contributions = match metric {
        Some(metric) => Some(contributions(&app, caller, &found, metric).await?),
        None => None,
    };
    Ok(Json(Comparison { contributions, ..side_by_side(found) }))
}

/// What each change contributes, worked out by the pool: many changes take many evaluations.
async fn contributions(
    app: &App,
    caller: Caller,
    all: &[Standing],
    metric: Metric,
) -> Result<engine::Comparison, Problem> {
    all.iter().filter_map(|standing| standing.ended.as_ref()).try_for_each(|ended| of_this_engine(&ended.run))?;
    let subject = |standing: &Standing| -> Subject {
        let (given, defaults) = document(standing);
        let resolved = Snapshot::base(given.clone(), defaults.cloned()).resolve()?;
        Ok(resolved.document().clone())
    };
    let named = all.iter().map(|standing| (standing.scenario.name.as_str().to_owned(), subject(standing)));
    let comparing = Comparing::new(named.collect(), metric);
    let step = |mut comparing: Comparing| match comparing.step() {
        true => ControlFlow::Continue(comparing),
        false => ControlFlow::Break(comparing.finish()),
    };
    ask(app, caller, comparing, step).await
}

fn parse(text: &str) -> Result<Vec<ScenarioId>, Problem> {
    let texts: Vec<&str> = text.split(',').filter(|part| !part.is_empty()).collect();
    if !(2..=MOST).contains(&texts.len()) {
        let message = format!("there are {} ids, allowed are 2 to {MOST}", texts.len());
        return Err(Problem::invalid("query.invalid", vec![FieldError::new("/ids", "out_of_range", message)]));
    }
    let (mut ids, mut errors) = (Vec::new(), Vec::new());
    for (index, text) in texts.into_iter().enumerate() {
        let mut wrong = |code, message: &str| errors.push(FieldError::new(&format!("/ids/{index}"), code, message));
        match text.trim().parse::<ScenarioId>() {
            Ok(id) if ids.contains(&id) => wrong("repeated", "the id is given twice"),
            Ok(id) => ids.push(id),
            Err(_) => wrong("type", "this is not the id of a scenario"),
        }
    }
    if errors.is_empty() { Ok(ids) } else { Err(Problem::invalid("query.invalid", errors)) }
}

/// Names every scenario that the caller cannot see.
fn all_found(ids: &[ScenarioId], found: &[Standing]) -> Result<(), Problem> {
    let is_missing = |id: &ScenarioId| !found.iter().any(|standing| standing.scenario.id == *id);
    let missing: Vec<(usize, ScenarioId)> = ids.iter().copied().enumerate().filter(|(_, id)| is_missing(id)).collect();
    let Some((_, first)) = missing.first() else { return Ok(()) };
    let error = |(index, id): &(usize, ScenarioId)| {
        FieldError::new(&format!("/ids/{index}"), "not_found", format!("there is no such scenario: {id}"))
    };
    Err(Problem::not_found(&format!("scenario: {first}")).naming(missing.iter().map(error).collect()))
}

fn side_by_side(all: Vec<Standing>) -> Comparison {
    let inputs: Vec<Vec<ResolvedInput>> = all.iter().map(inputs).collect();
    let results: Vec<Result<&BaseAnalysis, String>> = all.iter().map(result).collect();
    Comparison {
        contributions: None,
        metrics: metrics(&results),
        inputs: differing(&inputs),
        scenarios: all.iter().zip(results).map(|(standing, result)| compared(standing, result.err())).collect(),
    }
}

/// What the result was computed from; without one, what the scenario has now.
fn document(standing: &Standing) -> (&InputDocument, Option<&InputDocument>) {
    match &standing.ended {
        Some(Ended { snapshot, .. }) => (&snapshot.given, snapshot.defaults.as_ref()),
        None => (&standing.scenario.inputs, standing.defaults.as_ref()),
    }
}

fn inputs(standing: &Standing) -> Vec<ResolvedInput> {
    let (given, defaults) = document(standing);
    outline(given, defaults)
}

fn result(standing: &Standing) -> Result<&BaseAnalysis, String> {
    match (&standing.ended, standing.scenario.status) {
        (Some(Ended { result: Some(result), .. }), _) => Ok(result),
        (Some(Ended { run, .. }), _) => {
            let failure = run.failure.as_ref().map(ToString::to_string).unwrap_or_default();
            Err(format!("the calculation failed: {failure}"))
        }
        (None, Status::Calculating { .. }) => Err("its first calculation is in motion".into()),
        (None, Status::Resting(Rest::Draft)) => Err("it was not calculated yet".into()),
        (None, Status::Resting(_)) => Err("it was calculated this very moment; ask again".into()),
    }
}

fn compared(standing: &Standing, reason: Option<String>) -> Compared {
    let (given, defaults) = document(standing);
    let default_product = defaults.and_then(|defaults| defaults.main_product.as_ref());
    let main_product = given.main_product.as_ref().or(default_product).cloned();
    let (stale, scenario) = (standing.is_stale(), &standing.scenario);
    Compared {
        id: scenario.id,
        project_id: scenario.project_id,
        name: scenario.name.clone(),
        pathway: scenario.pathway.clone(),
        main_product,
        status: scenario.status.name(),
        run_id: standing.ended.as_ref().map(|ended| ended.run.id),
        engine_version: standing.ended.as_ref().map(|ended| ended.run.engine_version.clone()),
        stale,
        reason,
    }
}
