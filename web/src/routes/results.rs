//! What calculations found.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header::ETAG;
use safire_domain::{
    RunId, ScenarioId,
    engine::ENGINE_VERSION,
    lifecycle::RunState,
    run::{Beside, Computed, Findings, Kind, Run, Snapshot, is_base},
    scenario::Scenario,
};
use safire_store::{
    runs::{self, Filter},
    scenarios,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use super::{
    calculation::failed,
    scenarios::find,
    view::{AnalysisView, ResultView, RunView},
};
use crate::{
    App, Problem,
    auth::Caller,
    conditional::{Has, Tagged, quoted},
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

/// Whose result to tell, and in which form.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
#[derive(Default)]
struct StandingQuery {
    /// The newest result of this analysis, instead of that of the base analysis.
    #[param(inline)]
    analysis: Option<Kind>,
    /// As of a run's result.
    trace: bool,
    /// As of a run's result.
    details: bool,
    /// As of a run's result.
    #[param(inline)]
    format: Format,
}

/// The scenario's result.
///
/// Of the base analysis that ended last, or of the one before while another is in motion; 404 until there is one.
/// `analyses` lists what other analyses have found, each newest result; `?analysis=` reads one of them. As JSON, as a
/// table (CSV) or as a workbook (XLSX) whose formulas recompute the levelized cost and the net present value.
#[utoipa::path(
    get, path = "/scenarios/{id}/result", tag = "calculation",
    params(("id" = ScenarioId, Path), ("If-None-Match" = Option<String>, Header), StandingQuery),
    responses(
        (status = 200, description = "How the run ended", content(
            (ResultView = "application/json"),
            (String = "text/csv", example = "section,name,year,value,unit,source\r\nresult,npv_usd,,3224127521.1,,\r\n"),
            (files::Bytes = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        )),
        (status = 409, description = "`run.without_result`: the run did not succeed, there is nothing to make a file of; \
            `engine.changed`: trace, details and files are computed again, and another engine gave the result"),
        (status = 422, description = "`calculation.failed`: a detail is too large to be a number"),
    )
)]
async fn result(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(StandingQuery { analysis, trace, details, format }): Query<StandingQuery>,
    has: Has,
) -> Result<Response, Problem> {
    let (scenario, beside) = scenario_with_analyses(&app, caller, id).await?;
    let query = ResultQuery { trace, details, format };
    match analysis {
        None | Some(Kind::Base) => {
            let run = scenario.status.rest().run();
            let run = run.ok_or_else(|| Problem::not_found("result: the scenario has not been calculated"))?;
            let run = find_run(&app, caller, id, run).await?;
            show(&app, scenario, run, beside, query, &has).await
        }
        Some(kind) => {
            let run = beside.into_iter().find(|run| run.analysis == kind);
            let run = run.ok_or_else(|| Problem::not_found("result of that analysis"))?;
            show(&app, scenario, run, Vec::new(), query, &has).await
        }
    }
}

/// A scenario that the caller may see, with the newest run of each other analysis that has a result.
async fn scenario_with_analyses(app: &App, caller: Caller, id: ScenarioId) -> Result<(Scenario, Vec<Run>), Problem> {
    let found = app.database.read(move |c| {
        Box::pin(async move {
            let Some(scenario) = scenarios::find(c, caller.access(), id).await? else { return Ok(None) };
            Ok(Some((scenario, runs::beside(c, id).await?)))
        })
    });
    found.await?.ok_or_else(|| Problem::not_found("scenario"))
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
    let view = RunView::from(find_run(&app, caller, id, run).await?);
    let question = app.database.read(move |c| Box::pin(runs::question(c, run))).await?;
    Ok(Json(view.asked(question)))
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
        (status = 409, description = "`run.without_result`: the run did not succeed, there is nothing to make a file of; \
            `engine.changed`: trace, details and files are computed again, and another engine gave the result"),
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
    show(&app, scenario, run, Vec::new(), query, &has).await
}

async fn show(
    app: &App,
    scenario: Scenario,
    run: Run,
    beside: Vec<Run>,
    query: ResultQuery,
    has: &Has,
) -> Result<Response, Problem> {
    if query.is_computed_again() {
        of_this_engine(&run)?;
    }
    let stale = is_stale(app, &scenario, &run).await?;
    let mut analyses = Vec::new();
    for run in beside {
        let stale = is_stale(app, &scenario, &run).await?;
        analyses.push(AnalysisView { analysis: run.analysis, run_id: run.id, stale, finished_at: run.finished_at });
    }
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
    let analysed: String = analyses.iter().map(|one| format!(".{}{}", one.run_id, u8::from(one.stale))).collect();
    let tag = format!("{}.{}.{}{named}{parts}{analysed}", run.id, run.revision, scenario.revision);
    if let Some(unchanged) = has.unchanged(&tag) {
        return Ok(unchanged);
    }
    if query.format != Format::Json {
        return Ok(([(ETAG, quoted(&tag))], file(app, scenario, run, query.format).await?).into_response());
    }
    let beside = Beside { trace: query.trace, details: query.details };
    let view = render(app, run, stale, beside).await?;
    Ok(Tagged::new(tag, ResultView { analyses, ..view }).into_response())
}

impl ResultQuery {
    /// Whether parts are asked for that are not stored, but computed from the stored inputs.
    fn is_computed_again(&self) -> bool {
        self.trace || self.details || self.format != Format::Json
    }
}

/// What is computed again must be computed by the engine that gave the result: figures of two engines may contradict
/// each other.
pub(super) fn of_this_engine(run: &Run) -> Result<(), Problem> {
    if run.engine_version == ENGINE_VERSION || run.state != RunState::Succeeded {
        return Ok(());
    }
    let detail = format!(
        "the result of run {} is of engine {}, this service has engine {ENGINE_VERSION}: what it would compute beside it \
         might not agree with it. Calculate the scenario again, or read the result as JSON without trace and details",
        run.id, run.engine_version
    );
    Err(Problem::conflict("engine.changed", detail))
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
    let question = Some(snapshot.analysis.clone()).filter(|analysis| !is_base(analysis));
    Ok(Report { scenario, run, question, inputs, computed })
}

pub(super) async fn is_stale(app: &App, scenario: &Scenario, run: &Run) -> Result<bool, Problem> {
    let (scenario, run) = (scenario.clone(), run.clone());
    Ok(app.database.read(move |c| Box::pin(async move { runs::is_stale(c, &scenario, &run).await })).await?)
}

/// A run that has ended, with its result if it has one. The caller's right to it was checked.
pub(super) async fn render(app: &App, run: Run, stale: bool, beside: Beside) -> Result<ResultView, Problem> {
    let id = run.id;
    let stored = app.database.read(move |c| {
        Box::pin(async move {
            match runs::result(c, id).await? {
                Some((findings, snapshot)) => Ok((Some(snapshot.analysis.clone()), Some((findings, snapshot)))),
                None => Ok((runs::question(c, id).await?, None)),
            }
        })
    });
    let (question, found) = stored.await?;
    let computed = match found {
        None => None,
        Some((findings, snapshot)) => {
            let resolved = snapshot.resolve().map_err(|error| Problem::defect(&error))?;
            Some(Computed::of(findings, resolved, beside).map_err(|failure| failed(&failure))?)
        }
    };
    Ok(ResultView::new(RunView::from(run).asked(question), stale, computed))
}

/// Which runs to list. The parts of [`Range`] are repeated: numbers cannot be read through a flattened structure.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunsQuery {
    /// Only those of this kind.
    #[param(inline)]
    analysis: Option<Kind>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<RunState>,
    /// Entries to pass over.
    #[param(minimum = 0, default = 0)]
    skip: Option<i64>,
    /// Entries to return, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 100)]
    limit: Option<i64>,
    /// Where to go on: `next_cursor` of the page before. Entries that come or go meanwhile shift nothing.
    #[param(max_length = 64)]
    cursor: Option<String>,
}

/// A scenario's runs, newest first.
///
/// A page at a time.
#[utoipa::path(
    get, path = "/scenarios/{id}/runs", tag = "calculation", params(("id" = ScenarioId, Path), RunsQuery),
    responses((status = 200, description = "A page of runs", body = Page<RunView>))
)]
async fn list_runs(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Query(RunsQuery { analysis, state, skip, limit, cursor }): Query<RunsQuery>,
) -> Result<Json<Page<RunView>>, Problem> {
    let window = Range::new(skip, limit, cursor).window()?;
    let filter = Filter { analysis, state };
    let access = caller.access();
    let found = app
        .database
        .read(move |c| {
            Box::pin(async move {
                if scenarios::find(c, access, id).await?.is_none() {
                    return Ok(None);
                }
                Ok(Some((runs::list(c, access, id, filter, window).await?, runs::count(c, access, id, filter).await?)))
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
