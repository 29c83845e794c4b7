//! A failed run, tried again as it was.

use axum::{extract::State, response::Response};
use safire_actors::scenarios::Asker;
use safire_domain::{RunId, ScenarioId};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    calculation::{accepted, answer},
    view::RunView,
};
use crate::{
    App, Problem,
    auth::Caller,
    extract::{Id, InRun},
    idempotency::RequestKey,
    problem::ProblemBody,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(retry))
}

/// Begins a new run of just what a failed one was to compute: its inputs and defaults, whatever has become
/// of the scenario's since. Worth while when the failure was none of the inputs' own, such as
/// `run.attempts_exhausted` or `run.deadline_exceeded`.
#[utoipa::path(
    post, path = "/scenarios/{id}/runs/{run_id}/retry", tag = "calculation", security(("bearer" = [])),
    params(
        ("id" = ScenarioId, Path, description = "The scenario", example = "019a9e6c-6f5a-7c3e-8f0a-2b6d1c9e4f10"),
        ("run_id" = RunId, Path, description = "The run that failed", example = "019a9e6d-0b1c-7d2e-9f30-4a5b6c7d8e9f"),
    ),
    responses(
        (status = 202, description = "The new run, accepted; Location says where to watch", body = RunView,
            headers(("Location" = String, description = "Where to watch"),
                ("Retry-After" = u64, description = "Seconds until it is worth looking"))),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 403, description = "Another's scenario, or a viewer asks", body = ProblemBody),
        (status = 404, description = "No such scenario, or no such run of it", body = ProblemBody),
        (status = 409, description = "The run has not failed, or one of the scenario's is in motion",
            body = ProblemBody, content_type = "application/problem+json", example = json!({
                "type": "urn:safire:problem:run.not_failed", "title": "Conflict", "status": 409,
                "code": "run.not_failed", "detail": "only a run that failed can be tried again; this one is succeeded",
                "errors": [], "trace_id": "019a9e6d2c3d7e4f8a5b6c7d8e9f0a1b",
            })),
        (status = 503, description = "The pool is full, or the database is away; try again", body = ProblemBody),
    )
)]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    InRun(run): InRun,
    key: RequestKey,
) -> Result<Response, Problem> {
    let asker = Asker { access: caller.access(), key: key.get(), again: Some(run) };
    Ok(accepted(answer(app.scenarios.calculate(asker, id).await?)?))
}
