//! Operations: watched, called off, and what became of their rows.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use futures::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use safire_domain::{
    OperationId, ProjectId, ScenarioId, Timestamp, UserId,
    engine::Failure,
    operation::{Fault, Format, Operation, State as Standing},
};
use safire_store::{
    Window,
    operations::{self, Cancelled, Outcome},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    App, Problem,
    auth::Caller,
    extract::{Id, Query},
    files::{CSV, csv::Table},
    page::{Page, Range},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read, cancel))
        .routes(routes!(created))
        .routes(routes!(refused))
        .routes(routes!(report))
}

/// An import.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1f914-e4d2-7f40-9c8a-0b6c8a1f5e11", "project_id": "01a1f914-e4c8-7d26-be8e-d1e3f79d9011",
    "user_id": "01a1f914-e4c1-7aa0-8b11-8c54c5a9e7f2", "file_name": "plants.csv", "format": "csv", "calculate": false,
    "state": "running", "stage": "making scenarios", "percent": 42.5, "remaining_s": 3.2, "rows": 1000, "created": 420,
    "refused": 5, "calculated": 0, "not_calculated": 0, "created_at": "2026-11-20T09:30:00Z",
    "started_at": "2026-11-20T09:30:00.010Z",
}))]
pub(super) struct OperationView {
    id: OperationId,
    /// The project that gets the scenarios.
    project_id: ProjectId,
    /// Who began it.
    user_id: UserId,
    /// The file's name, as its sender gave it.
    file_name: String,
    format: Format,
    /// Whether the scenarios are calculated.
    calculate: bool,
    state: Standing,
    /// What is being done.
    stage: &'static str,
    /// The share of the work that is done, in percent; a row is one step, and so is a calculation.
    #[schema(minimum = 0, maximum = 100)]
    percent: f64,
    /// How long it will take from now on, in seconds, if it goes on as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_s: Option<f64>,
    /// Rows of the file.
    rows: i64,
    /// Rows that became scenarios.
    created: i64,
    /// Rows that were refused.
    refused: i64,
    /// Scenarios whose calculation succeeded.
    calculated: i64,
    /// Scenarios that could not be calculated: their inputs are incomplete, or their calculation failed.
    not_calculated: i64,
    /// Why it could not go on; what was done stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

impl OperationView {
    pub fn new(operation: Operation, now: Timestamp) -> Self {
        let (stage, percent, remaining_s) = (operation.stage(), operation.percent(), operation.remaining_s(now));
        let counts = operation.counts;
        Self {
            id: operation.id,
            project_id: operation.project_id,
            user_id: operation.user_id,
            file_name: operation.file_name,
            format: operation.format,
            calculate: operation.calculate,
            state: operation.state,
            stage,
            percent,
            remaining_s,
            rows: counts.rows,
            created: counts.created,
            refused: counts.refused,
            calculated: counts.calculated,
            not_calculated: counts.not_calculated,
            failure: operation.failure,
            created_at: operation.created_at,
            started_at: operation.started_at,
            finished_at: operation.finished_at,
        }
    }
}

/// A row that became a scenario.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "line": 2, "scenario_id": "01a1f914-e4cb-71f4-b826-42e3d362e3cf" }))]
struct CreatedRow {
    /// The line of the file where it begins, or which entry of the array it is, from 1.
    line: i64,
    /// The scenario, which may be gone by now.
    scenario_id: ScenarioId,
}

/// A row that was refused.
#[derive(Serialize, ToSchema)]
struct RefusedRow {
    /// The line of the file where it begins, or which entry of the array it is, from 1.
    #[schema(example = 3)]
    line: i64,
    /// Everything that is wrong with it.
    errors: Vec<Fault>,
}

/// An operation that the caller may see.
pub(super) async fn find(app: &App, caller: Caller, id: OperationId) -> Result<Operation, Problem> {
    let found = app.database.read(move |c| Box::pin(operations::find(c, caller.access(), id))).await?;
    found.ok_or_else(|| Problem::not_found("operation"))
}

/// The operations, newest first.
///
/// Those on projects that the caller may see, a page at a time.
#[utoipa::path(
    get, path = "/operations", tag = "imports", params(Range),
    responses((status = 200, description = "A page of operations", body = Page<OperationView>))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(range): Query<Range>,
) -> Result<Json<Page<OperationView>>, Problem> {
    let window = range.window()?;
    let access = caller.access();
    let (items, total) = app
        .database
        .read(move |c| {
            Box::pin(
                async move { Ok((operations::list(c, access, window).await?, operations::total(c, access).await?)) },
            )
        })
        .await?;
    let now = app.now();
    let items = items.into_iter().map(|operation| OperationView::new(operation, now)).collect();
    Ok(Json(Page::of(items, total, &window, |operation: &OperationView| operation.id.to_string())))
}

/// How far an operation is.
///
/// With what it is doing, the rows that were made and refused, and how long it will take.
#[utoipa::path(
    get, path = "/operations/{id}", tag = "imports", params(("id" = OperationId, Path)),
    responses((status = 200, description = "The operation", body = OperationView))
)]
async fn read(State(app): State<App>, caller: Caller, Id(id): Id<OperationId>) -> Result<Json<OperationView>, Problem> {
    Ok(Json(OperationView::new(find(&app, caller, id).await?, app.now())))
}

/// Calls an operation off.
///
/// What was made stays; the rest of the file is forgotten. Scenarios that are being calculated at this moment are
/// calculated to their end. For the project's owner and administrators.
#[utoipa::path(
    delete, path = "/operations/{id}", tag = "imports", params(("id" = OperationId, Path)),
    responses(
        (status = 200, description = "The operation, cancelled", body = OperationView),
        (status = 403, description = "another's project, or a viewer asks"),
        (status = 409, description = "`operation.ended`: it has ended"),
    )
)]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<OperationId>,
) -> Result<Json<OperationView>, Problem> {
    let (access, now) = (caller.access(), app.now());
    match app.database.write(move |c| Box::pin(operations::cancel(c, access, id, now))).await? {
        Cancelled::Yes => {
            app.imports.let_go(id);
            read(State(app), caller, Id(id)).await
        }
        Cancelled::Ended(state) => {
            Err(Problem::conflict("operation.ended", format!("the operation has {}", state.as_str())))
        }
        Cancelled::Forbidden => Err(Problem::read_only("project")),
        Cancelled::Unknown => Err(Problem::not_found("operation")),
    }
}

/// The rows that became scenarios.
///
/// In the order of their lines, a page at a time.
#[utoipa::path(
    get, path = "/operations/{id}/created", tag = "imports", params(("id" = OperationId, Path), Range),
    responses((status = 200, description = "A page of rows", body = Page<CreatedRow>))
)]
async fn created(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<OperationId>,
    Query(range): Query<Range>,
) -> Result<Json<Page<CreatedRow>>, Problem> {
    let window = range.window()?;
    let total = find(&app, caller, id).await?.counts.created;
    let rows = app.database.read(move |c| Box::pin(operations::rows(c, id, Some(false), window))).await?;
    let row = |(line, outcome)| match outcome {
        Outcome::Created(scenario_id) => Some(CreatedRow { line, scenario_id }),
        Outcome::Refused(_) => None,
    };
    let items = rows.into_iter().filter_map(row).collect();
    Ok(Json(Page::of(items, total, &window, |row: &CreatedRow| row.line.to_string())))
}

/// The rows that were refused.
///
/// In the order of their lines, a page at a time, each with everything that is wrong with it.
#[utoipa::path(
    get, path = "/operations/{id}/refused", tag = "imports", params(("id" = OperationId, Path), Range),
    responses((status = 200, description = "A page of rows", body = Page<RefusedRow>))
)]
async fn refused(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<OperationId>,
    Query(range): Query<Range>,
) -> Result<Json<Page<RefusedRow>>, Problem> {
    let window = range.window()?;
    let total = find(&app, caller, id).await?.counts.refused;
    let rows = app.database.read(move |c| Box::pin(operations::rows(c, id, Some(true), window))).await?;
    let row = |(line, outcome)| match outcome {
        Outcome::Created(_) => None,
        Outcome::Refused(errors) => Some(RefusedRow { line, errors }),
    };
    let items = rows.into_iter().filter_map(row).collect();
    Ok(Json(Page::of(items, total, &window, |row: &RefusedRow| row.line.to_string())))
}

/// What became of every row, as a table.
///
/// A line for each scenario, and for each thing that is wrong with a row that was refused (CSV, to be stored).
#[utoipa::path(
    get, path = "/operations/{id}/rows.csv", tag = "imports", params(("id" = OperationId, Path)),
    responses((status = 200, description = "The table", body = String, content_type = "text/csv",
        example = "line,outcome,scenario_id,column,pointer,code,message\r\n2,created,01a1f914-e4cb-71f4-b826-42e3d362e3cf,,,,\r\n"))
)]
async fn report(State(app): State<App>, caller: Caller, Id(id): Id<OperationId>) -> Result<Response, Problem> {
    find(&app, caller, id).await?;
    let header = Table::new(&["line", "outcome", "scenario_id", "column", "pointer", "code", "message"])?.finish()?;
    // Page by page, so that a large table is never in memory as a whole.
    let pages = stream::try_unfold((Some(header), Some(0)), move |(header, after)| {
        let app = app.clone();
        async move {
            if let Some(header) = header {
                return Ok::<_, std::io::Error>(Some((header, (None, after))));
            }
            let Some(after) = after else { return Ok(None) };
            let page = page(&app, id, after).await.map_err(|_| std::io::Error::other("the table broke off"))?;
            Ok(page.map(|(text, next)| (text, (None, next))))
        }
    });
    let disposition = format!("attachment; filename=\"safire-{id}.csv\"");
    Ok(([(CONTENT_TYPE, CSV.to_owned()), (CONTENT_DISPOSITION, disposition)], Body::from_stream(pages)).into_response())
}

/// Rows of one page of the table.
const ROWS: i64 = 1000;

/// A page of the table after a line, and the line after which the next begins.
async fn page(app: &App, id: OperationId, after: i64) -> Result<Option<(Vec<u8>, Option<i64>)>, Problem> {
    let window = Window { after: Some(after), skip: 0, limit: ROWS };
    let rows = app.database.read(move |c| Box::pin(operations::rows(c, id, None, window))).await?;
    let Some((last, _)) = rows.last() else { return Ok(None) };
    let last = *last;
    let mut table = Table::continued();
    for (line, outcome) in rows {
        let line = line.to_string();
        match outcome {
            Outcome::Created(scenario) => table.row(&[&line, "created", &scenario.to_string(), "", "", "", ""])?,
            Outcome::Refused(faults) => {
                for Fault { column, pointer, code, message } in faults {
                    let column = column.unwrap_or_default();
                    table.row(&[&line, "refused", "", &column, &pointer, &code, &message])?;
                }
            }
        }
    }
    Ok(Some((table.finish()?, Some(last))))
}
