//! Files of scenarios.

use axum::{
    Json,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use safire_actors::imports::{Dialect, Reading, Refusal, Separator};
use safire_domain::{
    OperationId, ProjectId,
    number::Decimal,
    operation::{Counts, Fault, Operation, State as Standing},
};
use safire_store::{
    access::{Right, Written},
    operations::{self, Accepted, New},
    projects,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::{
    operations::{OperationView, find},
    scenarios::not_inserted,
};
use crate::{
    App, Problem,
    auth::Caller,
    body,
    extract::{Id, Query},
    idempotency::{RequestKey, made},
    problem::FieldError,
    upload::{self, Intake, Upload, not_stored},
};

/// The route whose requests take longer than others'.
pub(crate) const IMPORT: &str = "/api/v1/projects/{id}/import";

pub(super) fn routes() -> OpenApiRouter<App> {
    // The limit is on the file, and is kept as it comes in.
    OpenApiRouter::new().routes(routes!(import)).layer(DefaultBodyLimit::disable())
}

/// A file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described")]
struct ImportForm {
    /// CSV, JSON or XLSX; it is told by its beginning.
    #[schema(value_type = String, format = Binary, example = "name,process,feedstock,country\nHouston,HEFA,UCO,USA\n")]
    file: Vec<u8>,
}

/// What to do with the scenarios.
#[derive(Deserialize, Default, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Have each scenario calculated.
    calculate: bool,
    /// What stands before the decimals of a number, where the numbers of the table do not tell: `.` or `,`.
    #[param(inline)]
    decimal: Option<Decimal>,
    /// What stands between the cells of a CSV: `,`, `;` or `tab`; otherwise the headers tell.
    #[param(value_type = Option<String>, pattern = "^(,|;|tab)$")]
    separator: Option<Separator>,
}

/// Imports scenarios from a file.
///
/// A table (CSV, XLSX) with a scenario a row, or a JSON array of them; up to 100,000. The file is read to its end before
/// it is accepted: one that is malformed, too large, or has formulas leaves nothing behind. Then each row becomes a
/// scenario or is refused, with what is wrong with it by line and column; watch the operation in Location. Separator and
/// decimal mark of a table are told by all of it; where numbers can be read in two ways, it is refused.
#[utoipa::path(
    post, path = "/projects/{id}/import", tag = "imports",
    params(("id" = ProjectId, Path), ImportQuery, ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = ImportForm, content_type = "multipart/form-data",
        example = json!({ "file": "name,process,feedstock,country\nHouston,HEFA,UCO,USA\n" })),
    responses(
        (status = 202, description = "Accepted; Location says where to watch", body = OperationView),
        (status = 400, description = "`body.malformed`: the form cannot be read"),
        (status = 403, description = "another's project, or a viewer asks"),
        (status = 413, description = "`import.too_large`: the file, or what it unpacks to, has too many rows, columns or bytes"),
        (status = 415, description = "`media_type`: the body is not sent as multipart/form-data"),
        (status = 422, description = "`import.malformed`: it is no table of scenarios; `import.formula`: it has a formula; \
            `import.columns`: its headers are wrong, `errors` says which; `import.empty`: it has no rows; \
            `import.ambiguous`: its numbers can be read in two ways, say `decimal`"),
    )
)]
async fn import(
    State(app): State<App>,
    caller: Caller,
    Id(project): Id<ProjectId>,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, raw) = request.into_parts();
    if !body::media_type(&parts.headers).eq_ignore_ascii_case(FORM) {
        return Err(not_a_form());
    }
    body::must_be_plain(&parts.headers)?;
    let ready = async { may_import(&app, caller, project).await.and_then(|()| Ok(app.imports.turn(caller.user)?)) };
    let turn = match ready.await {
        Ok(turn) => turn,
        Err(refused) => {
            body::throw_away(raw.into_data_stream()).await;
            return Err(refused);
        }
    };
    let intake = Intake::default();
    let form = Request::from_parts(parts.clone(), intake.body(raw));
    let form = Multipart::from_request(form, &app).await.map_err(|_| not_a_form())?;
    let blank = app.imports.blank().map_err(not_stored)?;
    let settings = &app.settings;
    let Upload { file, name, digest } =
        upload::receive(form, &intake, blank, settings.import_limit, settings.import_timeout).await?;
    let key = RequestKey::of(&mut parts, &app, &digest).await?;
    let reading =
        turn.read(file, Dialect { decimal: query.decimal, separator: query.separator }).await.map_err(refused)?;
    let id = accept(&app, caller, &key, project, query.calculate, name, reading).await?;
    app.imports.look();

    let operation = find(&app, caller, id).await?;
    let headers = [(header::LOCATION, format!("/api/v1/operations/{id}")), (header::RETRY_AFTER, "1".to_owned())];
    Ok((StatusCode::ACCEPTED, headers, Json(OperationView::new(operation, app.now()))).into_response())
}

/// Whoever may not is told before they send a large file.
async fn may_import(app: &App, caller: Caller, project: ProjectId) -> Result<(), Problem> {
    match app.database.read(move |c| Box::pin(projects::right(c, caller.access(), project))).await? {
        Right::Write => Ok(()),
        right => Err(not_inserted(Written::refused(right))),
    }
}

/// Stores the file's rows, once.
async fn accept(
    app: &App,
    caller: Caller,
    key: &RequestKey,
    project_id: ProjectId,
    calculate: bool,
    file_name: String,
    reading: Reading,
) -> Result<OperationId, Problem> {
    let (key, access, now) = (key.get(), caller.access(), app.now());
    let Reading { format, rows, columns, spool } = reading;
    let operation = Operation {
        id: OperationId::new(now),
        project_id,
        user_id: caller.user,
        file_name,
        format,
        calculate,
        state: Standing::Queued,
        counts: Counts { rows, ..Counts::default() },
        failure: None,
        created_at: now,
        started_at: None,
        finished_at: None,
    };
    let new = New { operation, columns, chunks: Box::new(spool) };
    let accepted = app.database.write(move |c| Box::pin(operations::accept(c, access, key, new))).await?;
    made(accepted)?.map_err(|refused| match refused {
        Accepted::Refused(written) => not_inserted(written),
        Accepted::Unread(error) => not_stored(error),
        Accepted::Yes => Problem::contended(),
    })
}

const FORM: &str = "multipart/form-data";

fn not_a_form() -> Problem {
    body::not("a form", FORM)
}

/// Why a file was not read.
fn refused(refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    let code = match refusal {
        Refusal::Failed(error) => return not_stored(error),
        Refusal::Columns(faults) => return Problem::invalid("import.columns", faults.iter().map(field).collect()),
        Refusal::TooLarge(_) => return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "import.too_large", detail),
        Refusal::Malformed(_) => "import.malformed",
        Refusal::Formula { .. } => "import.formula",
        Refusal::Ambiguous(_) => "import.ambiguous",
        Refusal::Empty => "import.empty",
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

fn field(fault: &Fault) -> FieldError {
    let Fault { column, pointer, code, message } = fault;
    let message = match column {
        Some(column) => format!("column \"{column}\": {message}"),
        None => message.clone(),
    };
    FieldError { pointer: pointer.clone(), code: code.clone().into(), message, allowed: None }
}
