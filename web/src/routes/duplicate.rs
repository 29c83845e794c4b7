//! A copy of a scenario, to try something else.

use axum::{Json, extract::State};
use http::{HeaderName, StatusCode, header::LOCATION};
use safire_domain::{ProjectId, ScenarioId, lifecycle::Status, name::Name, scenario::Scenario};
use safire_store::{access::Written, idempotency, scenarios};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{scenarios::not_inserted, view::ScenarioView};
use crate::{
    App, Problem,
    auth::Caller,
    extract::Id,
    idempotency::{OptionallyKeyed, made},
    problem::FieldError,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(duplicate))
}

/// What is not the same in the copy. All of it may be left out.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct ScenarioCopy {
    /// The copy's name; unless given, that of the scenario with "(copy)".
    name: Option<Name>,
    /// The project that gets the copy; unless given, that of the scenario.
    project_id: Option<ProjectId>,
}

/// Copies a scenario.
///
/// Its process, feedstock, country and inputs make a new draft, in the same project or in another of the caller's.
/// Sent again with the same Idempotency-Key it makes nothing, and is answered as the first time.
#[utoipa::path(
    post, path = "/scenarios/{id}/duplicate", tag = "scenarios",
    params(("id" = ScenarioId, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = Option<ScenarioCopy>, example = json!({ "name": "Houston, dearer feedstock" })),
    responses(
        (status = 201, description = "The copy; Location says where", body = ScenarioView,
            headers(("Location")), example = json!({
                "id": "019a9e6c-6f5a-7c3e-8f0a-2b6d1c9e4f10", "project_id": "019a9e6c-1d22-7b10-9a41-5e3f7a8b9c0d",
                "name": "Houston, dearer feedstock", "process": "HEFA", "feedstock": "UCO", "country": "USA",
                "inputs": { "plant": { "capacity": { "value": 250, "unit": "kt/yr" } } }, "status": "draft",
                "run_id": null, "revision": 1, "version": 1, "created_at": "2025-11-20T09:30:00Z",
                "updated_at": "2025-11-20T09:30:00Z",
            })),
        (status = 403, description = "The project is another's, or a viewer asks; with `project_id`, a scenario that \
            one may only read can be copied to a project of one's own"),
        (status = 404, description = "No such scenario"),
        (status = 422, description = "`body.invalid`: a field is wrong or unknown, or there is no such project"),
    )
)]
async fn duplicate(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    OptionallyKeyed { body: wish, key }: OptionallyKeyed<ScenarioCopy>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<ScenarioView>), Problem> {
    let (access, now, elsewhere, store_key) = (caller.access(), app.now(), wish.project_id.is_some(), key.get());
    let insert = app.database.write(move |c| {
        Box::pin(idempotency::once(c, store_key, now, move |c| {
            Box::pin(async move {
                let Some(original) = scenarios::find(c, access, id).await? else { return Ok(Err(None)) };
                let copy = Scenario {
                    id: ScenarioId::new(now),
                    project_id: wish.project_id.unwrap_or(original.project_id),
                    name: wish.name.unwrap_or_else(|| copy_of(&original.name)),
                    revision: 1,
                    status: Status::DRAFT,
                    version: 1,
                    created_at: now,
                    updated_at: now,
                    ..original
                };
                let written = scenarios::insert(c, access, &copy).await?;
                Ok(if written == Written::Yes { Ok(ScenarioView::from(copy)) } else { Err(Some(written)) })
            })
        }))
    });
    let copy = made(insert.await?)?.map_err(|refused| not_copied(refused, elsewhere))?;
    let location = [(LOCATION, format!("/api/v1/scenarios/{}", copy.id))];
    Ok((StatusCode::CREATED, location, Json(copy)))
}

/// Why there is no copy: what the project that was to get it said, if there was something to copy.
fn not_copied(refused: Option<Written>, elsewhere: bool) -> Problem {
    match refused {
        None => Problem::not_found("scenario"),
        Some(Written::Unknown) if elsewhere => {
            FieldError::new("/project_id", "project.unknown", "there is no such project").into()
        }
        Some(refused) => not_inserted(refused),
    }
}

/// The name with "(copy)", cut where it would be too long.
fn copy_of(name: &Name) -> Name {
    const SUFFIX: &str = " (copy)";
    let kept: String = name.as_str().chars().take(200 - SUFFIX.len()).collect();
    Name::try_from(kept + SUFFIX).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copys_name_is_never_too_long() {
        let name = |text: String| Name::try_from(text).unwrap();
        assert_eq!(copy_of(&name("Houston".into())).as_str(), "Houston (copy)");
        let long = copy_of(&name("ü".repeat(200)));
        assert_eq!(long.as_str().chars().count(), 200);
        assert!(long.as_str().ends_with(" (copy)"));
    }
}
