//! A failed run, tried again as it was.

use axum::{extract::State, response::Response};
use safire_actors::scenarios::Asker;
use safire_domain::{RunId, ScenarioId};
use safire_store::runs::Ask;
use utoipa_axum::router::OpenApiRouter;

use super::{
    calculation::{accepted, answer},
    view::RunView,
};
use crate::{App, Problem, auth::Caller, extract::InRun, idempotency::RequestKey};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(retry))
}

/// Tries a failed run again, as it was.
///
/// A new run of its inputs and defaults, whatever has become of the scenario's since. Worth while when the failure
/// was none of the inputs' own, such as `run.attempts_exhausted` or `run.deadline_exceeded`.
#[utoipa::path(
    post, path = "/scenarios/{id}/runs/{run_id}/retry", tag = "calculation",
    params(("id" = ScenarioId, Path), ("run_id" = RunId, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, description = "Sent again with the same key: the run that it began has ended; Location says where",
            body = RunView, headers(("Location"))),
        (status = 202, description = "The new run, accepted; Location says where to watch", body = RunView,
            headers(("Location"), ("Retry-After"))),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`run.not_failed`: only a run that failed can be tried again; \
            `calculation.in_motion`: a run of the scenario is in motion; wait for it or cancel it"),
    )
)]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    InRun(id, run): InRun,
    key: RequestKey,
) -> Result<Response, Problem> {
    let asker = Asker::new(caller.access(), key.get(), Ask::Again(run));
    Ok(accepted(answer(app.scenarios.calculate(asker, id).await?, "")?))
}
