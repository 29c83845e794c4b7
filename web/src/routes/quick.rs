//! Calculations of which nothing is stored: one at once, or many.

use std::{ops::ControlFlow, sync::Arc};

use axum::{Json, extract::State};
use http::StatusCode;
use safire_domain::{
    draft::violations,
    engine::{self, Analysis, BaseAnalysis, InputDocument, Plain},
    master_data::MasterData,
    reading,
    run::{Computed, Order, Snapshot},
    scenario::Pathway,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{
    asked::{self, Asked},
    batch::ItemProblem,
    calculation::{ask, failed, waiter},
    results::BesideQuery,
};
use crate::{
    App, Problem,
    auth::Caller,
    body::Body,
    extract::Query,
    limits::Charge,
    problem::{FieldError, field_errors},
};

/// Plants in one request at most.
const MOST: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(quick)).routes(routes!(many))
}

/// What to calculate, without a scenario.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuickRequest {
    #[schema(example = "HEFA")]
    process: String,
    #[schema(example = "UCO")]
    feedstock: String,
    #[schema(example = "USA")]
    country: String,
    #[serde(default)]
    inputs: InputDocument,
    /// What to find out beside the base analysis.
    #[serde(default)]
    #[schema(value_type = Option<Analysis>)]
    analysis: Asked,
}

/// Calculates at once, without a scenario.
///
/// Nothing is stored. Inputs that are left out come from the default set of process, feedstock and country.
#[utoipa::path(
    post, path = "/calculate/quick", tag = "calculation", params(BesideQuery), request_body = QuickRequest,
    responses(
        (status = 200, description = "The result and its inputs", body = Computed),
        (status = 422, description = "`inputs.invalid`: the inputs are incomplete or wrong; `errors` says where; \
            `analysis.invalid`: the analysis does not fit the inputs; `errors` says where; \
            `calculation.failed`: the inputs have no result"),
    )
)]
async fn quick(
    State(app): State<App>,
    caller: Caller,
    charge: Charge,
    Query(query): Query<BesideQuery>,
    Body(request): Body<QuickRequest>,
) -> Result<Json<Computed>, Problem> {
    let QuickRequest { process, feedstock, country, inputs, analysis } = request;
    let plant = Plant { process, feedstock, country, inputs };
    let resolved = plant.resolve("", &app.master_data().await?)?;
    let order = Order { inputs: resolved.inputs.clone(), analysis: asked::analysis("/analysis", analysis)? };
    let job = order.analysis.start(&order.inputs).map_err(|invalid| asked::invalid("/analysis", &invalid))?;
    charge.evaluations(job.progress().total).await?;

    let place = app.calculations.admit(caller.user)?;
    let _waiter = waiter(&app, &order.analysis);
    let cancel = CancellationToken::new();
    // A caller that hangs up calls its calculation off.
    let _guard = cancel.clone().drop_guard();
    let outcome = app.calculations.run(place, Arc::new(order), cancel, None).await?;
    let computed = outcome.and_then(|findings| Computed::of(findings, resolved, query.into()));
    computed.map(Json).map_err(|failure| failed(&failure))
}

/// Plants to calculate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Plants {
    /// 1 to 1,000 plants.
    #[schema(value_type = Vec<Plant>, min_items = 1, max_items = 1000)]
    plants: Vec<Value>,
}

/// A plant. Inputs that are left out come from the default set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "process": "HEFA", "feedstock": "UCO", "country": "USA",
    "inputs": { "plant": { "capacity": { "value": 250, "unit": "kt/yr" } } },
}))]
struct Plant {
    #[schema(example = "HEFA")]
    process: String,
    #[schema(example = "UCO")]
    feedstock: String,
    #[schema(example = "USA")]
    country: String,
    #[serde(default)]
    inputs: InputDocument,
}

impl Plant {
    /// Its inputs, complete and right; what is wrong is named by its place below `at`.
    fn resolve(self, at: &str, master_data: &MasterData) -> Result<engine::Resolved, Problem> {
        let Self { process, feedstock, country, inputs } = self;
        let pathway = Pathway { process, feedstock, country };
        let wrong = violations(master_data, &pathway, &inputs);
        if !wrong.is_empty() {
            return Err(Problem::invalid("inputs.invalid", field_errors(at, &wrong)));
        }
        let defaults = master_data.defaults_for(&pathway).map(|set| set.inputs.clone());
        let resolved = Snapshot::base(inputs, defaults).resolve();
        resolved.map_err(|invalid| {
            Problem::invalid("inputs.invalid", field_errors(&format!("{at}/inputs"), invalid.violations()))
        })
    }
}

/// What became of many plants.
#[derive(Serialize, ToSchema)]
struct CalculatedPlants {
    /// How many were calculated.
    #[schema(example = 1)]
    calculated: usize,
    /// How many were refused, or have no result.
    #[schema(example = 0)]
    refused: usize,
    /// What became of each, in the order of the request.
    items: Vec<CalculatedPlant>,
}

/// What became of one of many plants.
#[derive(Serialize, ToSchema)]
struct CalculatedPlant {
    /// Its place in the request, from 0.
    #[schema(example = 0)]
    index: usize,
    /// The status that it would have been answered with alone: 200 or 422.
    #[schema(example = 200)]
    status: u16,
    /// Its base analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<BaseAnalysis>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ItemProblem>,
}

/// Calculates many plants at once, without scenarios.
///
/// Up to 1,000 base analyses, each answered like one that is asked for alone. Nothing is stored. Inputs that are left out
/// come from the default set of process, feedstock and country.
#[utoipa::path(
    post, path = "/calculate:batch", tag = "calculation", request_body = Plants,
    responses((status = 200, description = "What became of each", body = CalculatedPlants))
)]
async fn many(
    State(app): State<App>,
    caller: Caller,
    charge: Charge,
    Body(Plants { plants }): Body<Plants>,
) -> Result<Json<CalculatedPlants>, Problem> {
    if !(1..=MOST).contains(&plants.len()) {
        let message = format!("there are {} plants, allowed are 1 to {MOST}", plants.len());
        return Err(FieldError::new("/plants", "out_of_range", message).into());
    }
    charge.plants(plants.len()).await?;
    let master_data = app.master_data().await?;
    let step = move |mut items: Vec<CalculatedPlant>| match plants.get(items.len()) {
        None => ControlFlow::Break(items),
        Some(plant) => {
            items.push(item(items.len(), calculate(items.len(), plant.clone(), &master_data)));
            ControlFlow::Continue(items)
        }
    };
    let items = ask(&app, caller, Vec::new(), step).await?;
    let calculated = items.iter().filter(|item| item.result.is_some()).count();
    Ok(Json(CalculatedPlants { calculated, refused: items.len() - calculated, items }))
}

fn calculate(index: usize, plant: Value, master_data: &MasterData) -> Result<BaseAnalysis, Problem> {
    let at = format!("/plants/{index}");
    let plant: Plant =
        reading::read(&at, plant).map_err(|violation| Problem::invalid("body.invalid", vec![violation.into()]))?;
    let resolved = plant.resolve(&at, master_data)?;
    engine::analyse(&resolved.inputs, &mut Plain).map_err(|failure| failed(&failure))
}

fn item(index: usize, settled: Result<BaseAnalysis, Problem>) -> CalculatedPlant {
    match settled {
        Ok(result) => CalculatedPlant { index, status: StatusCode::OK.as_u16(), result: Some(result), problem: None },
        Err(problem) => {
            let (status, problem) = ItemProblem::of(problem);
            CalculatedPlant { index, status, result: None, problem: Some(problem) }
        }
    }
}
