//! Projects.

use std::convert::Infallible;

use axum::{Json, extract::State, response::Response};
use http::{StatusCode, header::LOCATION};
use safire_actors::database::DatabaseError;
use safire_domain::{
    ProjectId, ScenarioId,
    engine::InputDocument,
    name::{Description, Name},
    project::Project,
    scenario::{Pathway, Scenario},
};
use safire_store::{
    Connection,
    access::{Removal, Written},
    idempotency, projects, scenarios,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{
    calculation,
    scenarios::draft,
    view::{RunView, ScenarioView},
};
use crate::{
    App, Problem,
    auth::{Caller, Writer},
    body::Body,
    conditional::{Has, IfMatch, Tagged, changed, versions},
    extract::{Id, Query},
    idempotency::{Keyed, made},
    page::{Page, Range},
    problem::FieldError,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(read, replace, change, remove))
}

/// A new project. With process, feedstock and country it starts with a scenario from their defaults.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Houston", "process": "HEFA", "feedstock": "UCO", "country": "USA" }))]
struct NewProject {
    name: Name,
    #[serde(default = "nothing")]
    description: Description,
    #[schema(example = "HEFA")]
    process: Option<String>,
    #[schema(example = "UCO")]
    feedstock: Option<String>,
    #[schema(example = "USA")]
    country: Option<String>,
}

pub(super) fn nothing() -> Description {
    Description::try_from(String::new()).unwrap_or_else(|_| unreachable!("no description is a description"))
}

/// A project that was made, with the scenario that it started with.
#[derive(Serialize, ToSchema)]
struct Created {
    #[serde(flatten)]
    project: Project,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<ScenarioView>,
    /// The scenario's calculation; absent when the pool was full, and then to be asked for later.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunView>,
}

/// Makes a project.
///
/// With process, feedstock and country it starts with "Scenario 1" from their defaults, whose calculation
/// begins; without them it is empty.
#[utoipa::path(
    post, path = "/projects", tag = "projects", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewProject,
    responses(
        (status = 201, description = "The project, and the scenario that it starts with", body = Created,
            headers(("Location"))),
        (status = 403, description = "a viewer asks"),
        (status = 422, description = "`inputs.invalid`: there is no complete default set; nothing was made"),
    )
)]
async fn create(
    State(app): State<App>,
    Writer(caller): Writer,
    Keyed { body: new, key }: Keyed<NewProject>,
) -> Result<(StatusCode, [(http::HeaderName, String); 1], Tagged<Created>), Problem> {
    let now = app.now();
    let pathway = pathway(new.process, new.feedstock, new.country)?;
    let project = Project {
        id: ProjectId::new(now),
        owner_id: caller.user,
        name: new.name,
        description: new.description,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let first = match pathway {
        Some(pathway) => Some(first_scenario(&app, project.id, pathway).await?),
        None => None,
    };
    let store_key = key.get();
    let stored = app
        .database
        .write(move |c| {
            Box::pin(idempotency::once(c, store_key, now, move |c| Box::pin(insert(c, caller, project, first))))
        })
        .await;
    let (project, first) = match stored {
        // The owner was removed at this moment.
        Err(DatabaseError::Store(safire_store::Error::Dangling(_))) => {
            return Err(Problem::unauthorized("the account no longer exists"));
        }
        stored => made(stored?)?.unwrap_or_else(|never: Infallible| match never {}),
    };
    let (scenario, run) = match first {
        Some(scenario) => begin(&app, caller, scenario).await?,
        None => (None, None),
    };
    let location = [(LOCATION, format!("/api/v1/projects/{}", project.id))];
    Ok((StatusCode::CREATED, location, Tagged::new(project.version, Created { project, scenario, run })))
}

/// Stores a project with its first scenario, if it has one.
async fn insert(
    c: &mut Connection,
    caller: Caller,
    project: Project,
    first: Option<Scenario>,
) -> safire_store::Result<Result<(Project, Option<ScenarioId>), Infallible>> {
    projects::insert(c, &project).await?;
    if let Some(scenario) = &first {
        scenarios::insert(c, caller.access(), scenario).await?;
    }
    Ok(Ok((project, first.map(|scenario| scenario.id))))
}

/// All three codes, or none.
fn pathway(
    process: Option<String>,
    feedstock: Option<String>,
    country: Option<String>,
) -> Result<Option<Pathway>, Problem> {
    match (process, feedstock, country) {
        (Some(process), Some(feedstock), Some(country)) => Ok(Some(Pathway { process, feedstock, country })),
        (None, None, None) => Ok(None),
        (process, feedstock, country) => {
            let given = [("process", process), ("feedstock", feedstock), ("country", country)];
            let missing = given.into_iter().filter(|(_, code)| code.is_none());
            let errors = missing.map(|(field, _)| FieldError {
                pointer: format!("/{field}"),
                code: "required".into(),
                message: format!("{field} is missing: give process, feedstock and country, or none of them"),
                allowed: None,
            });
            Err(Problem::invalid("body.invalid", errors.collect()))
        }
    }
}

/// "Scenario 1", whose defaults must be complete: it is about to be calculated.
async fn first_scenario(app: &App, project: ProjectId, pathway: Pathway) -> Result<Scenario, Problem> {
    let name = Name::try_from("Scenario 1".to_owned()).map_err(|error| Problem::defect(&error))?;
    let scenario = draft(app, project, name, pathway, InputDocument::default()).await?;
    let master_data = app.master_data().await?;
    let defaults = master_data.defaults_for(&scenario.pathway).map(|set| &set.inputs);
    safire_domain::engine::resolve(&scenario.inputs, defaults)?;
    Ok(scenario)
}

/// Begins the first calculation. The project is made whether or not there is room for it now; when the
/// request is sent again, the scenario may be gone.
async fn begin(app: &App, caller: Caller, id: ScenarioId) -> Result<(Option<ScenarioView>, Option<RunView>), Problem> {
    let run = calculation::accept(app, caller, None, id, super::asked::Question::base(), None).await;
    let found = app.database.read(move |c| Box::pin(scenarios::find(c, caller.access(), id))).await?;
    Ok((found.map(ScenarioView::from), run.ok().map(RunView::from)))
}

/// The projects that the caller may see, newest first.
///
/// Their own and those of their zone; administrators see all.
#[utoipa::path(
    get, path = "/projects", tag = "projects", params(Range),
    responses((status = 200, description = "A page of projects", body = Page<Project>))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(range): Query<Range>,
) -> Result<Json<Page<Project>>, Problem> {
    let window = range.window()?;
    let access = caller.access();
    let (items, total) = app
        .database
        .read(move |c| {
            Box::pin(async move { Ok((projects::list(c, access, window).await?, projects::count(c, access).await?)) })
        })
        .await?;
    Ok(Json(Page::of(items, total, &window, |project| project.id.to_string())))
}

/// One project.
///
/// The caller's own, of their zone, or, for administrators, any.
#[utoipa::path(
    get, path = "/projects/{id}", tag = "projects",
    params(("id" = ProjectId, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, description = "The project", body = Project))
)]
async fn read(State(app): State<App>, caller: Caller, Id(id): Id<ProjectId>, has: Has) -> Result<Response, Problem> {
    let found = app.database.read(move |c| Box::pin(projects::find(c, caller.access(), id))).await?;
    let project = found.ok_or_else(|| Problem::not_found("project"))?;
    Ok(has.or(Tagged::new(project.version, project)))
}

/// A project's text, whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Houston II", "description": "Used cooking oil, from 2028" }))]
struct ProjectText {
    name: Name,
    description: Description,
}

/// Parts of a project's text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Houston II" }))]
struct ProjectChange {
    name: Option<Name>,
    description: Option<Description>,
}

/// Replaces a project's name and description.
///
/// For its owner and administrators.
#[utoipa::path(
    put, path = "/projects/{id}", tag = "projects", params(("id" = ProjectId, Path)), request_body = ProjectText,
    responses(
        (status = 200, description = "The project as it is now", body = Project),
        (status = 403, description = "another's project, or a viewer asks"),
    )
)]
async fn replace(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ProjectId>,
    if_match: IfMatch,
    Body(text): Body<ProjectText>,
) -> Result<Tagged<Project>, Problem> {
    let change = ProjectChange { name: Some(text.name), description: Some(text.description) };
    write(&app, caller, id, if_match, change).await
}

/// Changes a project's name or description.
///
/// For its owner and administrators; what is left out or null stays as it is.
#[utoipa::path(
    patch, path = "/projects/{id}", tag = "projects", params(("id" = ProjectId, Path)), request_body = ProjectChange,
    responses(
        (status = 200, description = "The project as it is now", body = Project),
        (status = 403, description = "another's project, or a viewer asks"),
    )
)]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ProjectId>,
    if_match: IfMatch,
    Body(change): Body<ProjectChange>,
) -> Result<Tagged<Project>, Problem> {
    write(&app, caller, id, if_match, change).await
}

async fn write(
    app: &App,
    caller: Caller,
    id: ProjectId,
    if_match: IfMatch,
    change: ProjectChange,
) -> Result<Tagged<Project>, Problem> {
    let (access, now) = (caller.access(), app.now());
    let precondition = if_match.clone();
    let (written, project) = app
        .database
        .write(move |c| {
            Box::pin(async move {
                let Some(mut project) = projects::find(c, access, id).await? else {
                    return Ok((Written::Unknown, None));
                };
                if !precondition.allows(project.version) {
                    return Ok((Written::refused(projects::right(c, access, id).await?), None));
                }
                project.name = change.name.unwrap_or(project.name);
                project.description = change.description.unwrap_or(project.description);
                let written = projects::update(c, access, &project, now).await?;
                Ok((written, projects::find(c, access, id).await?))
            })
        })
        .await?;
    stored(written, &if_match, "project")?;
    let project = project.ok_or_else(|| Problem::not_found("project"))?;
    Ok(Tagged::new(project.version, project))
}

/// Whether a write went through.
pub(super) fn stored(written: Written, if_match: &IfMatch, what: &str) -> Result<(), Problem> {
    match written {
        Written::Yes => Ok(()),
        Written::Stale => Err(if_match.lost()),
        Written::Forbidden => Err(Problem::read_only(what)),
        Written::Unknown => Err(Problem::not_found(what)),
    }
}

/// Removes a project with its scenarios and their runs.
///
/// For its owner and administrators, and only while nothing of it is being calculated.
#[utoipa::path(
    delete, path = "/projects/{id}", tag = "projects",
    params(("id" = ProjectId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "another's project, or a viewer asks"),
        (status = 409, description = "`calculation.in_motion`: one of its scenarios is being calculated"),
    )
)]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ProjectId>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    let (now, expected) = (app.now(), versions(if_match));
    let removal =
        app.database.write(move |c| Box::pin(projects::remove(c, caller.access(), id, expected, now))).await?;
    removed(removal, "project")
}

/// The answer to a removal.
pub(super) fn removed(removal: Removal, what: &str) -> Result<StatusCode, Problem> {
    match removal {
        Removal::Removed => Ok(StatusCode::NO_CONTENT),
        Removal::Stale => Err(changed()),
        Removal::Forbidden => Err(Problem::read_only(what)),
        Removal::Unknown => Err(Problem::not_found(what)),
        Removal::InMotion => Err(Problem::conflict(
            "calculation.in_motion",
            format!("the {what} is being calculated; wait for the run or cancel it"),
        )),
    }
}
