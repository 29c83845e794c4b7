//! What calculations found.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header::ETAG;
use safire_domain::{
    RunId, ScenarioId,
    lifecycle::{Rest, Status},
    run::{Beside, Computed, Findings, Run, Snapshot},
    scenario::Scenario,
};
use safire_store::{runs, scenarios};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use super::{
    calculation::failed,
    scenarios::find,
    view::{ResultView, RunView},
};
use crate::{
    App, Problem,
    auth::Caller,
    conditional::{Has, Tagged, not_modified, quoted},
    extract::{Id, InRun, Query},
    files::{self, Format, Report, attachment},
    page::{Page, Range},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(result))
        .routes(routes!(list_runs))
        .routes(routes!(read_run))
        .routes(routes!(result_of_run))
}

/// What to tell beside the result.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
#[derive(Default)]
pub(super) struct BesideQuery {
    /// Add the steps: formula, inputs and value of every number.
    trace: bool,
    /// Add the cash flow by year with every column, the prices of every product, the verdict of every policy scheme,
    /// the balances of mass, carbon and energy, and the choices of methods with their sources.
    details: bool,
}

impl From<BesideQuery> for Beside {
    fn from(BesideQuery { trace, details }: BesideQuery) -> Self {
        Self { trace, details }
    }
}

/// What to tell beside the result, and in which form.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
#[derive(Default)]
struct ResultQuery {
    /// Add every step with its formula: how every number came about. Of JSON; a workbook always has them.
    trace: bool,
    /// Add the cash flow by year with every column, the prices of every product, the verdict of every policy scheme,
    /// the balances of mass, carbon and energy, and the choices of methods with their sources. Of JSON; files always
    /// have the cash flow and the choices.
    details: bool,
    /// `json` (unless given), `csv`: a table with one number a row, or `xlsx`: a workbook that goes on calculating, with inputs that
    /// can be changed.
    #[param(inline)]
    format: Format,
}

/// The result that stands.
///
/// Of the run that ended last, or of the one before while another is in motion; 404 until there is one. As JSON, as a
/// table (CSV) or as a workbook (XLSX) whose formulas recompute the levelized cost and the net present value.
#[utoipa::path(
    get, path = "/scenarios/{id}/result", tag = "calculation",
    params(("id" = ScenarioId, Path), ("If-None-Match" = Option<String>, Header), ResultQuery),
    responses(
        (status = 200, description = "How the run ended", content(
            (ResultView = "application/json"),
            (String = "text/csv", example = "section,name,year,value,unit,source\r\nresult,npv_usd,,3224127521.1,,\r\n"),
            (files::Bytes = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        )),
        (status = 409, description = "`run.without_result`: the run did not succeed, there is nothing to make a file of"),
        (status = 422, description = "`calculation.failed`: a detail is too large to be a number"),
    )
)]
async fn result(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(query): Query<ResultQuery>,
    has: Has,
) -> Result<Response, Problem> {
    let scenario = find(&app, caller, id).await?;
    let (Status::Resting(rest) | Status::Calculating { before: rest, .. }) = scenario.status;
    let (Rest::Calculated(run) | Rest::Failed(run)) = rest else {
        return Err(Problem::not_found("result: the scenario was not calculated yet"));
    };
    let run = find_run(&app, caller, id, run).await?;
    show(&app, scenario, run, query, &has).await
}

/// One run of a scenario.
///
/// Runs stay when another's result stands by now.
#[utoipa::path(
    get, path = "/scenarios/{id}/runs/{run_id}", tag = "calculation",
    params(("id" = ScenarioId, Path), ("run_id" = RunId, Path)),
    responses((status = 200, description = "The run", body = RunView))
)]
async fn read_run(State(app): State<App>, caller: Caller, InRun(id, run): InRun) -> Result<Json<RunView>, Problem> {
    Ok(Json(find_run(&app, caller, id, run).await?.into()))
}

/// What a run found.
///
/// Also when another's result stands by now; 404 until it has ended. As JSON, as a table (CSV) or as a workbook (XLSX).
#[utoipa::path(
    get, path = "/scenarios/{id}/runs/{run_id}/result", tag = "calculation",
    params(
        ("id" = ScenarioId, Path), ("run_id" = RunId, Path), ("If-None-Match" = Option<String>, Header), ResultQuery,
    ),
    responses(
        (status = 200, description = "How the run ended", content(
            (ResultView = "application/json"),
            (String = "text/csv", example = "section,name,year,value,unit,source\r\nresult,npv_usd,,3224127521.1,,\r\n"),
            (files::Bytes = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        )),
        (status = 409, description = "`run.without_result`: the run did not succeed, there is nothing to make a file of"),
        (status = 422, description = "`calculation.failed`: a detail is too large to be a number"),
    )
)]
async fn result_of_run(
    State(app): State<App>,
    caller: Caller,
    InRun(id, run): InRun,
    Query(query): Query<ResultQuery>,
    has: Has,
) -> Result<Response, Problem> {
    let scenario = find(&app, caller, id).await?;
    let run = find_run(&app, caller, id, run).await?;
    if !run.state.has_ended() {
        return Err(Problem::not_found("result: the run has not ended"));
    }
    show(&app, scenario, run, query, &has).await
}

async fn show(app: &App, scenario: Scenario, run: Run, query: ResultQuery, has: &Has) -> Result<Response, Problem> {
    let stale = is_stale(app, &scenario, &run).await?;
    // A result never changes; whether it is stale, and the run's revision, may. A file also has the scenario's name.
    let parts = [
        (stale, ".stale"),
        (query.trace, ".trace"),
        (query.details, ".details"),
        (query.format == Format::Csv, ".csv"),
        (query.format == Format::Xlsx, ".xlsx"),
    ];
    let parts: String = parts.into_iter().filter(|(is, _)| *is).map(|(_, part)| part).collect();
    let named = if query.format == Format::Json { String::new() } else { format!(".{}", scenario.version) };
    let tag = format!("{}.{}.{}{named}{parts}", run.id, run.revision, scenario.revision);
    if has.has(&tag) {
        return Ok(not_modified(&tag));
    }
    if query.format != Format::Json {
        return Ok(([(ETAG, quoted(&tag))], file(app, scenario, run, query.format).await?).into_response());
    }
    let beside = Beside { trace: query.trace, details: query.details };
    Ok(Tagged::new(tag, render(app, run, stale, beside).await?).into_response())
}

/// A result as a file.
async fn file(app: &App, scenario: Scenario, run: Run, format: Format) -> Result<Response, Problem> {
    let id = run.id;
    let Some((findings, snapshot)) = app.database.read(move |c| Box::pin(runs::result(c, id))).await? else {
        let detail = "the run did not succeed: there is no result to make a file of";
        return Err(Problem::conflict("run.without_result", detail));
    };
    let draw = if format == Format::Xlsx { files::xlsx::result } else { files::csv::result };
    let file = app.renderer.render(move || draw(&report(scenario, run, findings, &snapshot)?)).await?;
    let (kind, ending) = if format == Format::Xlsx { (files::XLSX, "xlsx") } else { (files::CSV, "csv") };
    Ok(attachment(kind, &format!("safire-{id}.{ending}"), file))
}

fn report(scenario: Scenario, run: Run, findings: Findings, snapshot: &Snapshot) -> Result<Report, Problem> {
    let resolved = snapshot.resolve().map_err(|error| Problem::defect(&error))?;
    let inputs = resolved.inputs.clone();
    let beside = Beside { trace: true, details: true };
    let computed = Computed::of(findings, resolved, beside).map_err(|failure| failed(&failure))?;
    Ok(Report { scenario, run, inputs, computed })
}

pub(super) async fn is_stale(app: &App, scenario: &Scenario, run: &Run) -> Result<bool, Problem> {
    let (scenario, run) = (scenario.clone(), run.clone());
    Ok(app.database.read(move |c| Box::pin(async move { runs::is_stale(c, &scenario, &run).await })).await?)
}

/// A run that has ended, with its result if it has one. The caller's right to it was checked.
pub(super) async fn render(app: &App, run: Run, stale: bool, beside: Beside) -> Result<ResultView, Problem> {
    let id = run.id;
    let stored = app.database.read(move |c| Box::pin(runs::result(c, id))).await?;
    let computed = match stored {
        None => None,
        Some((findings, snapshot)) => {
            let resolved = snapshot.resolve().map_err(|error| Problem::defect(&error))?;
            Some(Computed::of(findings, resolved, beside).map_err(|failure| failed(&failure))?)
        }
    };
    Ok(ResultView::new(run, stale, computed))
}

/// A scenario's runs, newest first.
///
/// A page at a time.
#[utoipa::path(
    get, path = "/scenarios/{id}/runs", tag = "calculation", params(("id" = ScenarioId, Path), Range),
    responses((status = 200, description = "A page of runs", body = Page<RunView>))
)]
async fn list_runs(
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

/// A run of a scenario that the caller may see.
pub(super) async fn find_run(app: &App, caller: Caller, scenario: ScenarioId, run: RunId) -> Result<Run, Problem> {
    let found = app.database.read(move |c| Box::pin(runs::find(c, caller.access(), scenario, run))).await?;
    found.ok_or_else(|| Problem::not_found("run"))
}
