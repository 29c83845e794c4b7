//! Calculations: asked for, watched, called off, read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use safire_actors::scenarios::{Asker, CalculateAnswer};
use safire_domain::{
    RunId, ScenarioId,
    engine::{Failure, InputDocument},
    lifecycle::{Rest, Status},
    run::{Computed, Run, Snapshot, steps},
    scenario::{Pathway, Scenario},
};
use safire_store::{
    Window,
    idempotency::Key,
    runs::{self, Cancelled},
    scenarios,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    scenarios::{check, find},
    view::{ResultView, RunView},
};
use crate::{
    App, Problem,
    auth::Caller,
    body::Body,
    conditional::{Has, Tagged, not_modified},
    extract::{Id, Query},
    idempotency::{self, RequestKey},
    page::{Page, Range},
    prefer::{PREFERENCE_APPLIED, Wait},
    problem::ProblemBody,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(calculate, cancel))
        .routes(routes!(status))
        .routes(routes!(calculate_now))
        .routes(routes!(result))
        .routes(routes!(list))
        .routes(routes!(quick))
}

/// Has a scenario calculated; the run's row is the truth from here on.
pub(super) async fn accept(app: &App, caller: Caller, key: Option<Key>, id: ScenarioId) -> Result<Run, Problem> {
    answer(app.scenarios.calculate(Asker { access: caller.access(), key, again: None }, id).await?)
}

/// The run that was accepted, or why none was.
pub(super) fn answer(answer: CalculateAnswer) -> Result<Run, Problem> {
    match answer {
        CalculateAnswer::Run(run) => Ok(run),
        CalculateAnswer::Busy(run) => Err(Problem::conflict(
            "calculation.in_motion",
            format!("run {run} of other inputs is in motion; wait for it or cancel it"),
        )),
        CalculateAnswer::Invalid(invalid) => Err(invalid.into()),
        CalculateAnswer::Forbidden => Err(Problem::read_only("scenario")),
        CalculateAnswer::Unknown => Err(Problem::not_found("scenario")),
        CalculateAnswer::UnknownRun => Err(Problem::not_found("run")),
        CalculateAnswer::NotFailed(state) => Err(Problem::conflict(
            "run.not_failed",
            format!("only a run that failed can be tried again; this one is {}", state.as_str()),
        )),
        CalculateAnswer::OtherRequest => Err(idempotency::mismatch()),
        CalculateAnswer::InProgress => Err(idempotency::in_progress()),
        CalculateAnswer::Failed(error) => Err(error.into()),
    }
}

/// Begins a calculation and answers at once. Asked again, it answers with the same run; when the
/// stored result is of these very inputs, with the run that gave it. With `Prefer: wait=N` it answers
/// when the run has ended, or after N seconds.
#[utoipa::path(
    post, path = "/scenarios/{id}/calculate", tag = "calculation", security(("bearer" = [])),
    params(("id" = ScenarioId, Path)),
    responses(
        (status = 200, description = "The result is there already", body = RunView),
        (status = 202, description = "Accepted; Location says where to watch", body = RunView),
        (status = 401, body = ProblemBody),
        (status = 403, description = "Another's scenario, or a viewer asks", body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, description = "A run of other inputs is in motion", body = ProblemBody),
        (status = 422, description = "The inputs are incomplete or wrong", body = ProblemBody),
        (status = 503, description = "The pool is full; try again", body = ProblemBody),
    )
)]
async fn calculate(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    wait: Wait,
    key: RequestKey,
) -> Result<Response, Problem> {
    let run = accept(&app, caller, key.get(), id).await?;
    let Some(patience) = wait.within(app.settings.sync_wait) else { return Ok(accepted(run)) };
    let run = ended(&app, caller, run, patience).await?;
    let applied = [(PREFERENCE_APPLIED, format!("wait={}", patience.as_secs()))];
    Ok((applied, accepted(run)).into_response())
}

pub(super) fn accepted(run: Run) -> Response {
    let base = format!("/api/v1/scenarios/{}", run.scenario_id);
    if run.state.has_ended() {
        let location = [(header::LOCATION, format!("{base}/result"))];
        return (StatusCode::OK, location, Json(RunView::from(run))).into_response();
    }
    let headers = [(header::LOCATION, format!("{base}/calculate/status")), (header::RETRY_AFTER, "1".to_owned())];
    (StatusCode::ACCEPTED, headers, Json(RunView::from(run))).into_response()
}

/// Calculates and waits for the result; answers 202 when it takes longer than the service waits.
#[utoipa::path(
    post, path = "/scenarios/{id}/calculate/sync", tag = "calculation", security(("bearer" = [])),
    params(("id" = ScenarioId, Path), TraceQuery),
    responses(
        (status = 200, description = "How the run ended", body = ResultView),
        (status = 202, description = "It takes longer; Location says where to watch", body = RunView),
        (status = 401, body = ProblemBody),
        (status = 403, description = "Another's scenario, or a viewer asks", body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, description = "A run of other inputs is in motion", body = ProblemBody),
        (status = 422, description = "The inputs are incomplete or wrong", body = ProblemBody),
        (status = 503, description = "The pool is full; try again", body = ProblemBody),
    )
)]
async fn calculate_now(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(query): Query<TraceQuery>,
    key: RequestKey,
) -> Result<Response, Problem> {
    let run = accept(&app, caller, key.get(), id).await?;
    let run = ended(&app, caller, run, app.settings.sync_wait).await?;
    if !run.state.has_ended() {
        return Ok(accepted(run));
    }
    let scenario = find(&app, caller, id).await?;
    let stale = is_stale(&app, &scenario, &run).await?;
    Ok(Json(render(&app, run, stale, query.trace).await?).into_response())
}

/// The run when it has ended, or as it is when the patience is over.
async fn ended(app: &App, caller: Caller, mut run: Run, patience: Duration) -> Result<Run, Problem> {
    let (id, scenario) = (run.id, run.scenario_id);
    let until = Instant::now() + patience;
    while !run.state.has_ended() && Instant::now() < until {
        app.scenarios.wait(scenario, id, until - Instant::now()).await?;
        run = find_run(app, caller, scenario, id).await?;
        if !run.state.has_ended() {
            // In motion in another replica, or begun again here: its row will tell.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(run)
}

async fn find_run(app: &App, caller: Caller, scenario: ScenarioId, run: RunId) -> Result<Run, Problem> {
    let found = app.database.read(move |c| Box::pin(runs::find(c, caller.access(), scenario, run))).await?;
    found.ok_or_else(|| Problem::not_found("run"))
}

/// Where the scenario's latest run stands.
#[utoipa::path(
    get, path = "/scenarios/{id}/calculate/status", tag = "calculation", security(("bearer" = [])),
    params(("id" = ScenarioId, Path)),
    responses(
        (status = 200, body = RunView), (status = 401, body = ProblemBody),
        (status = 404, description = "No such scenario, or it was never calculated", body = ProblemBody),
    )
)]
async fn status(State(app): State<App>, caller: Caller, Id(id): Id<ScenarioId>) -> Result<Json<RunView>, Problem> {
    let latest = app.database.read(move |c| Box::pin(runs::list(c, caller.access(), id, Window::first(1)))).await?;
    let run = latest.into_iter().next();
    run.map(|run| Json(run.into())).ok_or_else(|| Problem::not_found("run of a scenario"))
}

/// Calls the run in motion off; the scenario is again what it was before.
#[utoipa::path(
    delete, path = "/scenarios/{id}/calculate", tag = "calculation", security(("bearer" = [])),
    params(("id" = ScenarioId, Path)),
    responses(
        (status = 200, description = "The run, cancelled", body = RunView),
        (status = 401, body = ProblemBody),
        (status = 403, description = "Another's scenario, or a viewer asks", body = ProblemBody),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Nothing is in motion", body = ProblemBody),
    )
)]
async fn cancel(State(app): State<App>, caller: Caller, Id(id): Id<ScenarioId>) -> Result<Json<RunView>, Problem> {
    match app.scenarios.cancel(caller.access(), id).await?? {
        Cancelled::Yes(run) => Ok(Json(find_run(&app, caller, id, run).await?.into())),
        Cancelled::NotInMotion => Err(Problem::conflict("run.not_in_motion", "nothing is being calculated")),
        Cancelled::Forbidden => Err(Problem::read_only("scenario")),
        Cancelled::Unknown => Err(Problem::not_found("scenario")),
    }
}

/// Whether to say how every number came about.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
#[derive(Default)]
struct TraceQuery {
    /// Add the steps: formula, inputs and value of every number.
    trace: bool,
}

/// The result that stands: of the run that ended last, or of the one before while another is in
/// motion.
#[utoipa::path(
    get, path = "/scenarios/{id}/result", tag = "calculation", security(("bearer" = [])),
    params(("id" = ScenarioId, Path), TraceQuery),
    responses(
        (status = 200, description = "How the run ended", body = ResultView),
        (status = 401, body = ProblemBody),
        (status = 404, description = "No such scenario, or it has no result yet", body = ProblemBody),
    )
)]
async fn result(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(query): Query<TraceQuery>,
    has: Has,
) -> Result<Response, Problem> {
    let scenario = find(&app, caller, id).await?;
    let (Status::Resting(rest) | Status::Calculating { before: rest, .. }) = scenario.status;
    let (Rest::Calculated(run) | Rest::Failed(run)) = rest else {
        return Err(Problem::not_found("result: the scenario was not calculated yet"));
    };
    let run = find_run(&app, caller, id, run).await?;
    let stale = is_stale(&app, &scenario, &run).await?;
    // A result never changes; whether it is stale, and the run's revision, may.
    let parts = (if stale { ".stale" } else { "" }, if query.trace { ".trace" } else { "" });
    let tag = format!("{}.{}.{}{}{}", run.id, run.revision, scenario.revision, parts.0, parts.1);
    if has.has(&tag) {
        return Ok(not_modified(&tag));
    }
    Ok(Tagged::new(tag, render(&app, run, stale, query.trace).await?).into_response())
}

async fn is_stale(app: &App, scenario: &Scenario, run: &Run) -> Result<bool, Problem> {
    let (scenario, run) = (scenario.clone(), run.clone());
    Ok(app.database.read(move |c| Box::pin(async move { runs::is_stale(c, &scenario, &run).await })).await?)
}

/// A run that has ended, with its result if it has one. The caller's right to it was checked.
async fn render(app: &App, run: Run, stale: bool, trace: bool) -> Result<ResultView, Problem> {
    let id = run.id;
    let stored = app.database.read(move |c| Box::pin(runs::result(c, id))).await?;
    let computed = match stored {
        None => None,
        Some((result, snapshot)) => {
            let resolved = snapshot.resolve().map_err(|error| Problem::defect(&error))?;
            let trace = trace.then(|| steps(&resolved.inputs));
            Some(Computed { result, resolved_inputs: resolved.values, trace })
        }
    };
    Ok(ResultView { run: run.into(), stale, computed })
}

/// A scenario's runs, newest first.
#[utoipa::path(
    get, path = "/scenarios/{id}/runs", tag = "calculation", security(("bearer" = [])),
    params(("id" = ScenarioId, Path), Range),
    responses(
        (status = 200, body = Page<RunView>), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody),
    )
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(range): Query<Range>,
) -> Result<Json<Page<RunView>>, Problem> {
    let window = range.window()?;
    let access = caller.access();
    let found = app
        .database
        .read(move |c| {
            Box::pin(async move {
                if scenarios::find(c, access, id).await?.is_none() {
                    return Ok(None);
                }
                Ok(Some((runs::list(c, access, id, window).await?, runs::count(c, access, id).await?)))
            })
        })
        .await?;
    let (items, total) = found.ok_or_else(|| Problem::not_found("scenario"))?;
    let items = items.into_iter().map(RunView::from).collect();
    Ok(Json(Page::of(items, total, &window, |run: &RunView| run.id.to_string())))
}

/// A calculation without a scenario that failed: for what it was given, unless the engine broke or the
/// time was over.
fn failed(failure: &Failure) -> Problem {
    match failure.code.as_ref() {
        "engine.panicked" => Problem::defect(failure),
        "run.deadline_exceeded" => Problem::unavailable(failure.to_string()),
        _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "calculation.failed", failure.to_string()),
    }
}

/// What to calculate, without a scenario.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuickRequest {
    #[schema(example = "HEFA")]
    process: String,
    #[schema(example = "UCO")]
    feedstock: String,
    #[schema(example = "USA")]
    country: String,
    #[serde(default)]
    inputs: InputDocument,
}

/// Calculates at once; nothing is stored.
#[utoipa::path(
    post, path = "/calculate/quick", tag = "calculation", security(("bearer" = [])), params(TraceQuery),
    responses(
        (status = 200, body = Computed), (status = 401, body = ProblemBody),
        (status = 422, description = "An input is wrong, or the calculation failed", body = ProblemBody),
        (status = 500, description = "The engine met a defect of its own", body = ProblemBody),
        (status = 503, description = "The pool is full; try again", body = ProblemBody),
    )
)]
async fn quick(
    State(app): State<App>,
    _: Caller,
    Query(query): Query<TraceQuery>,
    Body(request): Body<QuickRequest>,
) -> Result<Json<Computed>, Problem> {
    let pathway = Pathway { process: request.process, feedstock: request.feedstock, country: request.country };
    check(&app, &pathway, &request.inputs).await?;
    let defaults = app.master_data().await?.defaults_for(&pathway).map(|set| set.inputs.clone());
    let resolved = Snapshot { given: request.inputs, defaults }.resolve()?;

    let permit = app.calculations.admit()?;
    let cancel = CancellationToken::new();
    // A caller that hangs up calls its calculation off.
    let _guard = cancel.clone().drop_guard();
    let inputs = Arc::new(resolved.inputs);
    let outcome = app.calculations.run(permit, Arc::clone(&inputs), cancel, None).await?;
    let result = outcome.map_err(|failure| failed(&failure))?;
    let trace = query.trace.then(|| steps(&inputs));
    Ok(Json(Computed { result, resolved_inputs: resolved.values, trace }))
}
