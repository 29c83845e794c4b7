//! Scenarios.

use axum::{Json, extract::State, response::Response};
use http::{HeaderName, StatusCode, header::LOCATION};
use safire_domain::{
    ProjectId, ScenarioId,
    draft::{Draft, violations},
    engine::InputDocument,
    lifecycle::Status,
    name::Name,
    scenario::{Pathway, Scenario},
};
use safire_store::{
    access::{Right, Written},
    idempotency, projects, scenarios,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{
    projects::{removed, stored},
    view::ScenarioView,
};
use crate::{
    App, Problem,
    auth::Caller,
    body::Body,
    conditional::{Has, IfMatch, Tagged, versions},
    extract::{Id, Query},
    idempotency::{Keyed, RequestKey, made},
    page::{Page, Range},
    problem::field_errors,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(read, replace, change, remove))
}

/// Parts of a scenario. `inputs`, when given, replaces all that was given before.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "inputs": { "economics": { "discount_rate": { "value": 9, "unit": "%" } } } }))]
struct ScenarioChange {
    name: Option<Name>,
    process: Option<String>,
    feedstock: Option<String>,
    country: Option<String>,
    inputs: Option<InputDocument>,
}

/// Checks what was given against the master data and the engine's rules; nothing is stored.
pub(super) async fn check(app: &App, pathway: &Pathway, inputs: &InputDocument) -> Result<(), Problem> {
    let violations = violations(&app.master_data().await?, pathway, inputs);
    if violations.is_empty() { Ok(()) } else { Err(Problem::invalid("inputs.invalid", field_errors("", &violations))) }
}

/// A checked new scenario.
pub(super) async fn draft(
    app: &App,
    project_id: ProjectId,
    name: Name,
    pathway: Pathway,
    inputs: InputDocument,
) -> Result<Scenario, Problem> {
    check(app, &pathway, &inputs).await?;
    let now = app.now();
    Ok(Scenario {
        id: ScenarioId::new(now),
        project_id,
        name,
        pathway,
        inputs,
        revision: 1,
        status: Status::DRAFT,
        version: 1,
        created_at: now,
        updated_at: now,
    })
}

/// A scenario that the caller may see.
pub(super) async fn find(app: &App, caller: Caller, id: ScenarioId) -> Result<Scenario, Problem> {
    let found = app.database.read(move |c| Box::pin(scenarios::find(c, caller.access(), id))).await?;
    found.ok_or_else(|| Problem::not_found("scenario"))
}

/// Makes a scenario.
///
/// What is given is checked at once, all of it; what is missing may come later. Inputs that are left out
/// come from the default set of process, feedstock and country.
#[utoipa::path(
    post, path = "/projects/{id}/scenarios", tag = "scenarios",
    params(("id" = ProjectId, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = Draft,
    responses(
        (status = 201, description = "The scenario, a draft", body = ScenarioView, headers(("Location"))),
        (status = 403, description = "another's project, or a viewer asks"),
        (status = 422, description = "`inputs.invalid`: an input is wrong; nothing was stored"),
    )
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Id(project): Id<ProjectId>,
    Keyed { body: new, key }: Keyed<Draft>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<ScenarioView>), Problem> {
    let pathway = Pathway { process: new.process, feedstock: new.feedstock, country: new.country };
    let scenario = draft(&app, project, new.name, pathway, new.inputs).await?;
    store(&app, caller, &key, scenario).await
}

/// Stores a new scenario, once.
pub(super) async fn store(
    app: &App,
    caller: Caller,
    key: &RequestKey,
    scenario: Scenario,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<ScenarioView>), Problem> {
    let (key, now) = (key.get(), scenario.created_at);
    let insert = app.database.write(move |c| {
        Box::pin(idempotency::once(c, key, now, move |c| {
            Box::pin(async move {
                let written = scenarios::insert(c, caller.access(), &scenario).await?;
                Ok(if written == Written::Yes { Ok(ScenarioView::from(scenario)) } else { Err(written) })
            })
        }))
    });
    let scenario = made(insert.await?)?.map_err(not_inserted)?;
    let location = [(LOCATION, format!("/api/v1/scenarios/{}", scenario.id))];
    Ok((StatusCode::CREATED, location, Tagged::new(scenario.version, scenario)))
}

/// Why a project did not take a scenario.
pub(super) fn not_inserted(refused: Written) -> Problem {
    match refused {
        Written::Forbidden => Problem::read_only("project"),
        Written::Unknown => Problem::not_found("project"),
        Written::Yes | Written::Stale => Problem::contended(),
    }
}

/// A project's scenarios, oldest first.
///
/// A page at a time.
#[utoipa::path(
    get, path = "/projects/{id}/scenarios", tag = "scenarios", params(("id" = ProjectId, Path), Range),
    responses((status = 200, description = "A page of scenarios", body = Page<ScenarioView>))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Id(project): Id<ProjectId>,
    Query(range): Query<Range>,
) -> Result<Json<Page<ScenarioView>>, Problem> {
    let window = range.window()?;
    let access = caller.access();
    let found = app
        .database
        .read(move |c| {
            Box::pin(async move {
                if projects::find(c, access, project).await?.is_none() {
                    return Ok(None);
                }
                let items = scenarios::list(c, access, project, window).await?;
                Ok(Some((items, scenarios::count(c, access, project).await?)))
            })
        })
        .await?;
    let (items, total) = found.ok_or_else(|| Problem::not_found("project"))?;
    let items = items.into_iter().map(ScenarioView::from).collect();
    Ok(Json(Page::of(items, total, &window, |scenario: &ScenarioView| scenario.id.to_string())))
}

/// One scenario.
///
/// With what was given for it, and where it stands; the rest of the inputs is in the result.
#[utoipa::path(
    get, path = "/scenarios/{id}", tag = "scenarios",
    params(("id" = ScenarioId, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, description = "The scenario", body = ScenarioView))
)]
async fn read(State(app): State<App>, caller: Caller, Id(id): Id<ScenarioId>, has: Has) -> Result<Response, Problem> {
    let scenario = find(&app, caller, id).await?;
    Ok(has.or(Tagged::new(scenario.version, ScenarioView::from(scenario))))
}

/// Replaces a scenario's name, codes and inputs.
///
/// For the project's owner and administrators. Other codes or inputs make the result stale.
#[utoipa::path(
    put, path = "/scenarios/{id}", tag = "scenarios", params(("id" = ScenarioId, Path)), request_body = Draft,
    responses(
        (status = 200, description = "The scenario as it is now", body = ScenarioView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 422, description = "`inputs.invalid`: an input is wrong; nothing was stored"),
    )
)]
async fn replace(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    if_match: IfMatch,
    Body(text): Body<Draft>,
) -> Result<Tagged<ScenarioView>, Problem> {
    let change = ScenarioChange {
        name: Some(text.name),
        process: Some(text.process),
        feedstock: Some(text.feedstock),
        country: Some(text.country),
        inputs: Some(text.inputs),
    };
    write(&app, caller, id, if_match, change).await
}

/// Changes parts of a scenario.
///
/// For the project's owner and administrators; what is left out or null stays as it is. `inputs` replaces
/// all that was given before.
#[utoipa::path(
    patch, path = "/scenarios/{id}", tag = "scenarios", params(("id" = ScenarioId, Path)),
    request_body = ScenarioChange,
    responses(
        (status = 200, description = "The scenario as it is now", body = ScenarioView),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 422, description = "`inputs.invalid`: an input is wrong; nothing was stored"),
    )
)]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    if_match: IfMatch,
    Body(change): Body<ScenarioChange>,
) -> Result<Tagged<ScenarioView>, Problem> {
    write(&app, caller, id, if_match, change).await
}

async fn write(
    app: &App,
    caller: Caller,
    id: ScenarioId,
    if_match: IfMatch,
    change: ScenarioChange,
) -> Result<Tagged<ScenarioView>, Problem> {
    let mut written = Written::Stale;
    for _ in 0..if_match.tries() {
        written = try_to_write(app, caller, id, &if_match, change.clone()).await?;
        if written != Written::Stale {
            break;
        }
    }
    stored(written, &if_match, "scenario")?;
    let scenario = find(app, caller, id).await?;
    Ok(Tagged::new(scenario.version, scenario.into()))
}

async fn try_to_write(
    app: &App,
    caller: Caller,
    id: ScenarioId,
    if_match: &IfMatch,
    change: ScenarioChange,
) -> Result<Written, Problem> {
    let access = caller.access();
    let found = app.database.read(move |c| Box::pin(scenarios::find_with_right(c, access, id))).await?;
    let (before, right) = found.ok_or_else(|| Problem::not_found("scenario"))?;
    if right != Right::Write {
        return Err(Problem::read_only("scenario"));
    }
    if !if_match.allows(before.version) {
        return Err(if_match.lost());
    }
    let after = changed(&before, change);
    check(app, &after.pathway, &after.inputs).await?;
    let now = app.now();
    Ok(app.database.write(move |c| Box::pin(async move { scenarios::update(c, access, &after, now).await })).await?)
}

/// The scenario as the change leaves it: a new revision when what is computed changes.
fn changed(before: &Scenario, change: ScenarioChange) -> Scenario {
    let pathway = Pathway {
        process: change.process.unwrap_or_else(|| before.pathway.process.clone()),
        feedstock: change.feedstock.unwrap_or_else(|| before.pathway.feedstock.clone()),
        country: change.country.unwrap_or_else(|| before.pathway.country.clone()),
    };
    let inputs = change.inputs.unwrap_or_else(|| before.inputs.clone());
    let name = change.name.unwrap_or_else(|| before.name.clone());
    Scenario { name, ..before.clone() }.revised(pathway, inputs)
}

/// Removes a scenario with its runs.
///
/// For the project's owner and administrators, and only while it is not being calculated.
#[utoipa::path(
    delete, path = "/scenarios/{id}", tag = "scenarios",
    params(("id" = ScenarioId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "another's scenario, or a viewer asks"),
        (status = 409, description = "`calculation.in_motion`: it is being calculated"),
    )
)]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    let (now, expected) = (app.now(), versions(if_match));
    let removal =
        app.database.write(move |c| Box::pin(scenarios::remove(c, caller.access(), id, expected, now))).await?;
    removed(removal, "scenario")
}
