//! The value of an input at which a metric is as wanted.

use axum::{Json, extract::State};
use safire_domain::{
    ScenarioId,
    breakeven::{BreakevenAnswer, BreakevenRequest},
    engine::{InputDocument, Resolved},
    run::Snapshot,
    scenario::Pathway,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{
    calculation::ask,
    scenarios::{check, find},
};
use crate::{App, Problem, auth::Caller, body::Body, extract::Id, problem::field_errors};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(breakeven_of_scenario)).routes(routes!(breakeven))
}

/// Finds the value of an input at which a metric of the scenario is as wanted.
///
/// The scenario's inputs as they are now count, whether or not it was calculated; nothing is stored. Where the metric
/// passes its target several times, all values are told. The calculation pool works it out.
#[utoipa::path(
    post, path = "/scenarios/{id}/breakeven", tag = "calculation",
    params(("id" = ScenarioId, Path)),
    request_body(content = BreakevenRequest, example = json!({
        "input": "/feedstocks/UCO/price", "metric": "npv", "target": 0,
        "range": { "from": 0, "to": 5000, "unit": "USD/t" }
    })),
    responses(
        (status = 200, description = "The value, or several, or why there is none", body = BreakevenAnswer,
         example = json!({
            "input": "/feedstocks/UCO/price", "metric": "npv", "metric_unit": "USD", "target": 0.0,
            "range": { "from": 0.0, "to": 5000.0, "unit": "USD/t" }, "unit": "USD/t",
            "answer": { "status": "found", "value": 1628.656633844577 }
        })),
        (status = 404, description = "There is no such scenario, or the caller may not see it"),
        (status = 422, description = "`breakeven.invalid`: no such input or metric, or a wrong range; `inputs.invalid`: incomplete inputs"),
    )
)]
async fn breakeven_of_scenario(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<ScenarioId>,
    Body(request): Body<BreakevenRequest>,
) -> Result<Json<BreakevenAnswer>, Problem> {
    let scenario = find(&app, caller, id).await?;
    let resolved = resolve(&app, &scenario.pathway, scenario.inputs).await?;
    answer(&app, caller, "", request, &resolved).await
}

/// A question about a plant that is no scenario.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuickBreakeven {
    #[schema(example = "HEFA")]
    process: String,
    #[schema(example = "UCO")]
    feedstock: String,
    #[schema(example = "USA")]
    country: String,
    #[serde(default)]
    inputs: InputDocument,
    /// The question.
    breakeven: BreakevenRequest,
}

/// Finds the value of an input at which a metric is as wanted, without a scenario.
///
/// Nothing is stored. Inputs that are left out come from the default set.
#[utoipa::path(
    post, path = "/calculate/breakeven", tag = "calculation",
    request_body(content = QuickBreakeven, example = json!({
        "process": "HEFA", "feedstock": "UCO", "country": "USA",
        "inputs": { "finance": { "profile": "nrel-nth-plant" } },
        "breakeven": { "input": "/products/jet/price", "metric": "irr", "target": 0.15,
                       "range": { "from": 500, "to": 5000, "unit": "USD/t" } }
    })),
    responses(
        (status = 200, description = "The value, or several, or why there is none", body = BreakevenAnswer),
        (status = 422, description = "`breakeven.invalid`: no such input or metric, or a wrong range; `inputs.invalid`: wrong inputs"),
    )
)]
async fn breakeven(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<QuickBreakeven>,
) -> Result<Json<BreakevenAnswer>, Problem> {
    let QuickBreakeven { process, feedstock, country, inputs, breakeven } = request;
    let pathway = Pathway { process, feedstock, country };
    check(&app, &pathway, &inputs).await?;
    let resolved = resolve(&app, &pathway, inputs).await?;
    answer(&app, caller, "/breakeven", breakeven, &resolved).await
}

async fn resolve(app: &App, pathway: &Pathway, given: InputDocument) -> Result<Resolved, Problem> {
    let defaults = app.master_data().await?.defaults_for(pathway).map(|set| set.inputs.clone());
    Ok(Snapshot::base(given, defaults).resolve()?)
}

async fn answer(
    app: &App,
    caller: Caller,
    prefix: &str,
    request: BreakevenRequest,
    resolved: &Resolved,
) -> Result<Json<BreakevenAnswer>, Problem> {
    let asked = request.of(resolved);
    let asked = asked.map_err(|wrong| Problem::invalid("breakeven.invalid", field_errors(prefix, &wrong)))?;
    Ok(Json(ask(app, caller, asked, |asked| asked.step()).await?))
}
