//! Calculations: asked for, watched, called off. What they found is in [`super::results`].

use std::{
    ops::ControlFlow,
    sync::Arc,
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
    ScenarioId,
    engine::{Analysis, Failure, InputDocument},
    lifecycle::RunState,
    run::{Computed, Order, Run, Snapshot, is_base},
    scenario::Pathway,
};
use safire_store::{
    Window,
    idempotency::Key,
    runs::{self, Ask, Cancelled},
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{
    asked::{self, Asked},
    results::{BesideQuery, find_run, is_stale, render},
    scenarios::{check, find},
    view::{ResultView, RunView, StatusView},
};
use crate::{
    App, Problem,
    auth::Caller,
    body::Body,
    extract::{Id, Query},
    idempotency::{self, OptionallyKeyed},
    prefer::{PREFERENCE_APPLIED, Wait},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(calculate, cancel))
        .routes(routes!(status))
        .routes(routes!(calculate_now))
        .routes(routes!(quick))
}

/// Has a scenario calculated; the run's row is the truth from here on.
pub(super) async fn accept(
    app: &App,
    caller: Caller,
    key: Option<Key>,
    id: ScenarioId,
    analysis: Analysis,
) -> Result<Run, Problem> {
    let ask = Ask::Analysis(Box::new(analysis));
    answer(app.scenarios.calculate(Asker { access: caller.access(), key, ask }, id).await?)
}

/// The run that was accepted, or why none was.
pub(super) fn answer(answer: CalculateAnswer) -> Result<Run, Problem> {
    match answer {
        CalculateAnswer::Run(run) => Ok(*run),
        CalculateAnswer::Busy(run) => Err(Problem::conflict(
            "calculation.in_motion",
            format!("run {run} of other inputs is in motion; wait for it or cancel it"),
        )),
        CalculateAnswer::Invalid(invalid) => Err(invalid.into()),
        CalculateAnswer::InvalidAnalysis(invalid) => Err(asked::invalid("", &invalid)),
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

/// Begins a calculation and answers at once.
///
/// Without a body it is the base analysis; a body asks for another beside it: `monte-carlo`, `sobol`, `tornado`,
/// `spider` or `sweep`. The run that it answers with is stored and is not lost. Asked again, it answers with the
/// same run; when the stored result is of these very inputs, with the run that gave it. With `Prefer: wait=N` it
/// answers when the run has ended, or after N seconds.
#[utoipa::path(
    post, path = "/scenarios/{id}/calculate", tag = "calculation",
    params(
        ("id" = ScenarioId, Path),
        ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header),
    ),
    request_body = Option<Analysis>,
    responses(
        (status = 200, description = "The result is there; Location says where", body = RunView,
            headers(("Location"))),
        (status = 202, description = "Accepted; Location says where to watch", body = RunView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`calculation.in_motion`: a run of other inputs is in motion; wait for it or cancel it"),
        (status = 422, description = "`inputs.invalid`: the inputs are incomplete or wrong; `errors` says where; \
            `analysis.invalid`: the analysis does not fit the scenario; `errors` says where"),
    )
)]
async fn calculate(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    wait: Wait,
    OptionallyKeyed { body, key }: OptionallyKeyed<Asked>,
) -> Result<Response, Problem> {
    let analysis = asked::analysis("", body)?;
    let patience = wait.within(app.settings.sync_wait);
    let _waiter = patience.and_then(|_| waiter(&app, &analysis));
    let run = accept(&app, caller, key.get(), id, analysis).await?;
    let Some(patience) = patience else { return Ok(accepted(run)) };
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

/// Calculates and waits for the result.
///
/// It waits up to 20 s, unless configured otherwise, and then answers 202 with the run, which goes on.
#[utoipa::path(
    post, path = "/scenarios/{id}/calculate/sync", tag = "calculation",
    params(("id" = ScenarioId, Path), ("Idempotency-Key" = Option<String>, Header), BesideQuery),
    request_body = Option<Analysis>,
    responses(
        (status = 200, description = "How the run ended", body = ResultView),
        (status = 202, description = "It takes longer; Location says where to watch", body = RunView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`calculation.in_motion`: a run of other inputs is in motion; wait for it or cancel it"),
        (status = 422, description = "`inputs.invalid`: the inputs are incomplete or wrong; `errors` says where; \
            `analysis.invalid`: the analysis does not fit the scenario; `errors` says where"),
    )
)]
async fn calculate_now(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(query): Query<BesideQuery>,
    OptionallyKeyed { body, key }: OptionallyKeyed<Asked>,
) -> Result<Response, Problem> {
    let analysis = asked::analysis("", body)?;
    let _waiter = waiter(&app, &analysis);
    let run = accept(&app, caller, key.get(), id, analysis).await?;
    let run = ended(&app, caller, run, app.settings.sync_wait).await?;
    if !run.state.has_ended() {
        return Ok(accepted(run));
    }
    let scenario = find(&app, caller, id).await?;
    let stale = is_stale(&app, &scenario, &run).await?;
    Ok(Json(render(&app, run, stale, query.into()).await?).into_response())
}

/// Somebody who waits for the answer, where that is a matter of milliseconds.
fn waiter(app: &App, analysis: &Analysis) -> Option<Waiter> {
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

/// Where the scenario's latest run stands.
///
/// Until it was calculated for the first time there is none: 404.
#[utoipa::path(
    get, path = "/scenarios/{id}/calculate/status", tag = "calculation", params(("id" = ScenarioId, Path)),
    responses((status = 200, description = "The run", body = StatusView))
)]
async fn status(State(app): State<App>, caller: Caller, Id(id): Id<ScenarioId>) -> Result<Json<StatusView>, Problem> {
    let found = app
        .database
        .read(move |c| {
            Box::pin(async move {
                let latest = runs::list(c, caller.access(), id, Window::first(1)).await?;
                let Some(run) = latest.into_iter().next() else { return Ok(None) };
                let waits = run.state == RunState::Queued;
                let queue_position = if waits { Some(runs::ahead(c, run.id).await?) } else { None };
                Ok(Some((run, queue_position)))
            })
        })
        .await?;
    let (run, queue_position) = found.ok_or_else(|| Problem::not_found("run of a scenario"))?;
    let running = run.advance.as_ref().filter(|_| run.state == RunState::Running);
    let remaining_s = running.and_then(|advance| advance.remaining_s(app.now()));
    Ok(Json(StatusView { run: run.into(), queue_position, remaining_s }))
}

/// Calls the run in motion off.
///
/// The scenario is again what it was before.
#[utoipa::path(
    delete, path = "/scenarios/{id}/calculate", tag = "calculation", params(("id" = ScenarioId, Path)),
    responses(
        (status = 200, description = "The run, cancelled", body = RunView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`run.not_in_motion`: nothing is being calculated"),
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
    /// What to find out beside the base analysis.
    #[serde(default)]
    #[schema(value_type = Option<Analysis>)]
    analysis: Asked,
}

/// Calculates at once, without a scenario.
///
/// Nothing is stored. Inputs that are left out come from the default set of process, feedstock and country.
#[utoipa::path(
    post, path = "/calculate/quick", tag = "calculation", params(BesideQuery), request_body = QuickRequest,
    responses(
        (status = 200, description = "The result and its inputs", body = Computed),
        (status = 422, description = "`inputs.invalid`: the inputs are incomplete or wrong; `errors` says where; \
            `analysis.invalid`: the analysis does not fit the inputs; `errors` says where; \
            `calculation.failed`: the inputs have no result"),
    )
)]
async fn quick(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<BesideQuery>,
    Body(request): Body<QuickRequest>,
) -> Result<Json<Computed>, Problem> {
    let pathway = Pathway { process: request.process, feedstock: request.feedstock, country: request.country };
    check(&app, &pathway, &request.inputs).await?;
    let defaults = app.master_data().await?.defaults_for(&pathway).map(|set| set.inputs.clone());
    let resolved = Snapshot::base(request.inputs, defaults).resolve()?;
    let analysis = asked::analysis("/analysis", request.analysis)?;
    let order = Order { inputs: resolved.inputs.clone(), analysis };
    order.analysis.start(&order.inputs).map_err(|invalid| asked::invalid("/analysis", &invalid))?;

    let place = app.calculations.admit(caller.user)?;
    let _waiter = waiter(&app, &order.analysis);
    let cancel = CancellationToken::new();
    // A caller that hangs up calls its calculation off.
    let _guard = cancel.clone().drop_guard();
    let outcome = app.calculations.run(place, Arc::new(order), cancel, None).await?;
    let computed = outcome.and_then(|findings| Computed::of(findings, resolved, query.into()));
    computed.map(Json).map_err(|failure| failed(&failure))
}
