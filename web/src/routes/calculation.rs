//! Calculations: asked for, watched, called off. What they found is in [`super::results`].

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use safire_actors::{
    calculations::Waiter,
    scenarios::{Asker, CalculateAnswer},
};
use safire_domain::{
    RunId, ScenarioId,
    engine::{Analysis, Failure, InputDocument},
    lifecycle::RunState,
    run::{Kind, Run, is_base},
};
use safire_store::{
    Window,
    idempotency::Key,
    runs::{self, Ask, Cancelled, Filter},
    scenarios,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::{
    asked::{self, Asked, Question},
    results::{BesideQuery, find_run, is_stale, render},
    scenarios::{check, find},
    view::{ResultView, RunView, StatusView},
};
use crate::{
    App, Problem,
    auth::Caller,
    conditional::{IfMatch, changed, versions},
    extract::{Id, InRun, Query},
    idempotency::{self, OptionallyKeyed},
    prefer::{PREFERENCE_APPLIED, Wait},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(calculate, cancel))
        .routes(routes!(cancel_run))
        .routes(routes!(status))
        .routes(routes!(calculate_now))
}

/// Has a scenario calculated; the run's row is the truth from here on.
pub(super) async fn accept(
    app: &App,
    caller: Caller,
    key: Option<Key>,
    id: ScenarioId,
    Question { analysis, at, inputs }: Question,
    if_match: Option<IfMatch>,
) -> Result<Run, Problem> {
    if let Some(inputs) = &inputs {
        check(app, &find(app, caller, id).await?.pathway, inputs).await?;
    }
    let asker = Asker {
        inputs,
        versions: versions(if_match),
        ..Asker::new(caller.access(), key, Ask::Analysis(Box::new(analysis)))
    };
    answer(app.scenarios.calculate(asker, id).await?, at)
}

/// The run that was accepted, or why none was; the analysis stands at `at` in the body.
pub(super) fn answer(answer: CalculateAnswer, at: &str) -> Result<Run, Problem> {
    match answer {
        CalculateAnswer::Run(run) => Ok(*run),
        CalculateAnswer::Busy(run) => Err(Problem::conflict(
            "calculation.in_motion",
            format!("run {run} of other inputs is in motion; wait for it or cancel it"),
        )),
        CalculateAnswer::Changed => Err(changed()),
        CalculateAnswer::Invalid(invalid) => Err(invalid.into()),
        CalculateAnswer::InvalidAnalysis(invalid) => Err(asked::invalid(at, &invalid)),
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

/// What a calculation is asked for with: an analysis, or inputs for the scenario and an analysis.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes bodies, which are read kind by kind")]
enum CalculationRequest {
    Analysis(Analysis),
    Inputs(Box<InputsRequest>),
}

/// Inputs that the scenario is to have from now on, and what to find out about them.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "inputs": { "plant": { "capacity": { "value": 250, "unit": "kt/yr" } } },
    "analysis": { "analysis": "tornado", "metrics": ["npv"], "inputs": [
        { "input": "/feedstocks/UCO/price", "unit": "USD/t", "low": 800, "high": 1200 }] }
}))]
#[expect(dead_code, reason = "it describes bodies, which are read kind by kind")]
struct InputsRequest {
    /// What differs from the defaults; it replaces all that was given before, as PATCH of the scenario does.
    inputs: InputDocument,
    /// What to find out: the base analysis, unless given.
    analysis: Option<Analysis>,
}

/// Begins a calculation and answers at once.
///
/// Without a body it is the base analysis; a body asks for another beside it: `monte-carlo`, `sobol`, `tornado`,
/// `spider` or `sweep`. `inputs` as an object are stored in the scenario, in the same step; then the analysis, if there
/// is one, may stand under `analysis`. The run that it answers with is stored and is not lost. Asked again, it answers
/// with the same run; when the stored result is of these very inputs, with the run that gave it. One run of each kind
/// may be in motion. With `Prefer: wait=N` it answers when the run has ended, or after N seconds; with `If-Match`, only
/// while the scenario has that version.
#[utoipa::path(
    post, path = "/scenarios/{id}/calculate", tag = "calculation",
    params(
        ("id" = ScenarioId, Path),
        ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header),
        ("If-Match" = Option<String>, Header),
    ),
    request_body = Option<CalculationRequest>,
    responses(
        (status = 200, description = "The result is there; Location says where", body = RunView,
            headers(("Location"))),
        (status = 202, description = "Accepted; Location says where to watch", body = RunView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`calculation.in_motion`: a run of other inputs is in motion; wait for it or cancel it"),
        (status = 412, description = "`version.changed`: the scenario is no longer the version in If-Match"),
        (status = 422, description = "`inputs.invalid`: the inputs are incomplete or wrong; `errors` says where; \
            `analysis.invalid`: the analysis does not fit the scenario; `errors` says where"),
    )
)]
async fn calculate(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    wait: Wait,
    if_match: Option<IfMatch>,
    OptionallyKeyed { body, key }: OptionallyKeyed<Asked>,
) -> Result<Response, Problem> {
    let question = asked::question(body)?;
    let patience = wait.within(app.settings.sync_wait);
    let _waiter = patience.and_then(|_| waiter(&app, &question.analysis));
    let run = accept(&app, caller, key.get(), id, question, if_match).await?;
    let Some(patience) = patience else { return Ok(accepted(run)) };
    let run = ended(&app, caller, run, patience).await?;
    let applied = [(PREFERENCE_APPLIED, format!("wait={}", patience.as_secs()))];
    Ok((applied, accepted(run)).into_response())
}

pub(super) fn accepted(run: Run) -> Response {
    let base = format!("/api/v1/scenarios/{}", run.scenario_id);
    let of_kind = match run.analysis {
        Kind::Base => String::new(),
        kind => format!("?analysis={}", kind.as_str()),
    };
    if run.state.has_ended() {
        let location = [(header::LOCATION, format!("{base}/result{of_kind}"))];
        return (StatusCode::OK, location, Json(RunView::from(run))).into_response();
    }
    let status = format!("{base}/calculate/status{of_kind}");
    let headers = [(header::LOCATION, status), (header::RETRY_AFTER, "1".to_owned())];
    (StatusCode::ACCEPTED, headers, Json(RunView::from(run))).into_response()
}

/// Calculates and waits for the result.
///
/// It waits up to 20 s, unless configured otherwise, and then answers 202 with the run, which goes on.
#[utoipa::path(
    post, path = "/scenarios/{id}/calculate/sync", tag = "calculation",
    params(
        ("id" = ScenarioId, Path), ("Idempotency-Key" = Option<String>, Header), ("If-Match" = Option<String>, Header),
        BesideQuery,
    ),
    request_body = Option<CalculationRequest>,
    responses(
        (status = 200, description = "How the run ended", body = ResultView),
        (status = 202, description = "It takes longer; Location says where to watch", body = RunView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`calculation.in_motion`: a run of other inputs is in motion; wait for it or cancel it"),
        (status = 412, description = "`version.changed`: the scenario is no longer the version in If-Match"),
        (status = 422, description = "`inputs.invalid`: the inputs are incomplete or wrong; `errors` says where; \
            `analysis.invalid`: the analysis does not fit the scenario; `errors` says where"),
    )
)]
async fn calculate_now(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(query): Query<BesideQuery>,
    if_match: Option<IfMatch>,
    OptionallyKeyed { body, key }: OptionallyKeyed<Asked>,
) -> Result<Response, Problem> {
    let question = asked::question(body)?;
    let _waiter = waiter(&app, &question.analysis);
    let run = accept(&app, caller, key.get(), id, question, if_match).await?;
    let run = ended(&app, caller, run, app.settings.sync_wait).await?;
    if !run.state.has_ended() {
        return Ok(accepted(run));
    }
    let scenario = find(&app, caller, id).await?;
    let stale = is_stale(&app, &scenario, &run).await?;
    Ok(Json(render(&app, run, stale, query.into()).await?).into_response())
}

/// Somebody who waits for the answer, where that is a matter of milliseconds.
pub(super) fn waiter(app: &App, analysis: &Analysis) -> Option<Waiter> {
    is_base(analysis).then(|| app.calculations.waiter())
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

/// Which run's state is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatusQuery {
    /// The latest of this kind, instead of the latest of all.
    #[param(inline)]
    analysis: Option<Kind>,
}

/// The state of the scenario's latest run, and the scenario's status.
///
/// `status` follows the base analysis: `draft`, `calculating`, `calculated` or `failed`; `state` is the run's. Until
/// something was calculated for the first time there is none: 404.
#[utoipa::path(
    get, path = "/scenarios/{id}/calculate/status", tag = "calculation", params(("id" = ScenarioId, Path), StatusQuery),
    responses((status = 200, description = "The run", body = StatusView))
)]
async fn status(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(StatusQuery { analysis }): Query<StatusQuery>,
) -> Result<Json<StatusView>, Problem> {
    let filter = Filter { analysis, state: None };
    let found = app
        .database
        .read(move |c| {
            Box::pin(async move {
                let latest = runs::list(c, caller.access(), id, filter, Window::first(1)).await?;
                let Some(run) = latest.into_iter().next() else { return Ok(None) };
                // After the run: when that has ended, the status knows.
                let Some(scenario) = scenarios::find(c, caller.access(), id).await? else { return Ok(None) };
                let waits = run.state == RunState::Queued;
                let queue_position = if waits { Some(runs::ahead(c, run.id).await?) } else { None };
                Ok(Some((scenario.status.name(), run, queue_position)))
            })
        })
        .await?;
    let (status, run, queue_position) = found.ok_or_else(|| Problem::not_found("run of a scenario"))?;
    let running = run.advance.as_ref().filter(|_| run.state == RunState::Running);
    let remaining_s = running.and_then(|advance| advance.remaining_s(app.now()));
    Ok(Json(StatusView { status, run: run.into(), queue_position, remaining_s }))
}

/// Cancels the scenario's run in motion.
///
/// The run of the base analysis, or else the newest of another kind. The scenario's status is again what it was before.
/// Whoever means one run names it: `DELETE /scenarios/{id}/runs/{run_id}`.
#[utoipa::path(
    delete, path = "/scenarios/{id}/calculate", tag = "calculation", params(("id" = ScenarioId, Path)),
    responses(
        (status = 200, description = "The run, cancelled", body = RunView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`run.not_in_motion`: nothing is being calculated"),
    )
)]
async fn cancel(State(app): State<App>, caller: Caller, Id(id): Id<ScenarioId>) -> Result<Json<RunView>, Problem> {
    cancelled(&app, caller, id, None).await
}

/// Cancels a run.
///
/// That one, and no other that has begun meanwhile.
#[utoipa::path(
    delete, path = "/scenarios/{id}/runs/{run_id}", tag = "calculation",
    params(("id" = ScenarioId, Path), ("run_id" = RunId, Path)),
    responses(
        (status = 200, description = "The run, cancelled", body = RunView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`run.not_in_motion`: the run has ended"),
    )
)]
async fn cancel_run(State(app): State<App>, caller: Caller, InRun(id, run): InRun) -> Result<Json<RunView>, Problem> {
    cancelled(&app, caller, id, Some(run)).await
}

async fn cancelled(app: &App, caller: Caller, id: ScenarioId, run: Option<RunId>) -> Result<Json<RunView>, Problem> {
    match app.scenarios.cancel(caller.access(), id, run).await?? {
        Cancelled::Yes(run) => Ok(Json(find_run(app, caller, id, run).await?.into())),
        Cancelled::NotInMotion => {
            let detail = if run.is_some() { "the run has ended" } else { "nothing is being calculated" };
            Err(Problem::conflict("run.not_in_motion", detail))
        }
        Cancelled::Forbidden => Err(Problem::read_only("scenario")),
        Cancelled::Unknown => Err(Problem::not_found("scenario")),
        Cancelled::UnknownRun => Err(Problem::not_found("run")),
    }
}

/// A calculation without a scenario that failed: for what it was given, unless the engine broke or the
/// time was over.
pub(super) fn failed(failure: &Failure) -> Problem {
    match failure.code.as_ref() {
        "engine.panicked" => Problem::defect(failure),
        "run.deadline_exceeded" => Problem::unavailable(failure.to_string()),
        _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "calculation.failed", failure.to_string()),
    }
}

/// Has a question answered by the calculation pool, in steps the last of which gives the answer.
pub(super) async fn ask<Q, T>(
    app: &App,
    caller: Caller,
    question: Q,
    step: impl Fn(Q) -> ControlFlow<T, Q> + Send + 'static,
) -> Result<T, Problem>
where
    Q: Send + 'static,
    T: Send + 'static,
{
    let place = app.calculations.admit(caller.user)?;
    let cancel = CancellationToken::new();
    // A caller that hangs up calls its question off.
    let _guard = cancel.clone().drop_guard();
    let mut left = Some(question);
    let steps = move || match step(left.take()?) {
        ControlFlow::Break(answer) => Some(answer),
        ControlFlow::Continue(rest) => {
            left = Some(rest);
            None
        }
    };
    app.calculations.ask(place, cancel, steps).await?.map_err(|failure| failed(&failure))
}
