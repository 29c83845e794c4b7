//! The lists of the master data, each entry with what the default sets say of it.

use axum::{Json, extract::State};
use safire_domain::{
    engine::{
        InputDocument, Quantity,
        inputs::{FeedstockInputs, ProductInputs},
    },
    master_data::{DefaultSet, Entry, Feedstock, MasterData},
    scenario::Pathway,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{App, Problem, auth::Caller};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(process_technologies))
        .routes(routes!(feedstocks))
        .routes(routes!(countries))
        .routes(routes!(utilities))
        .routes(routes!(products))
}

/// A process technology or a country.
#[derive(Serialize, ToSchema)]
struct Listed {
    #[serde(flatten)]
    entry: Entry,
    /// The pathways that have a default set.
    default_sets: Vec<Pathway>,
}

/// A feedstock, with carbon content and yield where they are typical of it.
#[derive(Serialize, ToSchema)]
struct FeedstockView {
    #[serde(flatten)]
    feedstock: Feedstock,
    /// What it is in each default set that has it.
    default_sets: Vec<FeedstockInSet>,
}

/// A feedstock in one default set.
#[derive(Serialize, ToSchema)]
struct FeedstockInSet {
    #[serde(flatten)]
    pathway: Pathway,
    /// Its inputs there.
    inputs: FeedstockInputs,
}

/// A utility.
#[derive(Serialize, ToSchema)]
struct Utility {
    #[serde(flatten)]
    entry: Entry,
    /// What it is in each default set.
    default_sets: Vec<UtilityInSet>,
}

/// A utility in one default set.
#[derive(Serialize, ToSchema)]
struct UtilityInSet {
    #[serde(flatten)]
    pathway: Pathway,
    /// Its inputs there.
    inputs: UtilityFigures,
}

#[derive(Serialize, ToSchema)]
struct UtilityFigures {
    /// Price.
    price: Option<Quantity>,
    /// Use per fuel.
    r#yield: Option<Quantity>,
    /// Carbon intensity.
    ci: Option<Quantity>,
}

/// A product.
#[derive(Serialize, ToSchema)]
struct Product {
    #[serde(flatten)]
    entry: Entry,
    /// What it is in each default set that has it.
    default_sets: Vec<ProductInSet>,
}

/// A product in one default set.
#[derive(Serialize, ToSchema)]
struct ProductInSet {
    #[serde(flatten)]
    pathway: Pathway,
    /// Its inputs there.
    inputs: ProductInputs,
}

/// All process technologies.
///
/// Each with the pathways that have defaults.
#[utoipa::path(
    get, path = "/process-technologies", tag = "master data",
    responses((status = 200, description = "All process technologies", body = Vec<Listed>))
)]
async fn process_technologies(State(app): State<App>, _: Caller) -> Result<Json<Vec<Listed>>, Problem> {
    let known = app.master_data().await?;
    Ok(Json(known.process_technologies.iter().map(|entry| listed(entry, &known, |p| &p.process)).collect()))
}

/// All countries.
///
/// Each with the pathways that have defaults.
#[utoipa::path(
    get, path = "/countries", tag = "master data",
    responses((status = 200, description = "All countries", body = Vec<Listed>))
)]
async fn countries(State(app): State<App>, _: Caller) -> Result<Json<Vec<Listed>>, Problem> {
    let known = app.master_data().await?;
    Ok(Json(known.countries.iter().map(|entry| listed(entry, &known, |p| &p.country)).collect()))
}

/// All feedstocks.
///
/// Each with its price, yield, carbon content and CI in the default sets that have it.
#[utoipa::path(
    get, path = "/feedstocks", tag = "master data",
    responses((status = 200, description = "All feedstocks", body = Vec<FeedstockView>))
)]
async fn feedstocks(State(app): State<App>, _: Caller) -> Result<Json<Vec<FeedstockView>>, Problem> {
    let known = app.master_data().await?;
    let of = |feedstock: &Feedstock| {
        let inputs = |set: &DefaultSet| set.inputs.feedstocks.get(&feedstock.entry.code).cloned();
        let in_set = |(pathway, inputs)| FeedstockInSet { pathway, inputs };
        FeedstockView { feedstock: feedstock.clone(), default_sets: by_set(&known, inputs).map(in_set).collect() }
    };
    Ok(Json(known.feedstocks.iter().map(of).collect()))
}

/// All utilities.
///
/// Each with its price, yield and CI in every default set.
#[utoipa::path(
    get, path = "/utilities", tag = "master data",
    responses((status = 200, description = "All utilities", body = Vec<Utility>))
)]
async fn utilities(State(app): State<App>, _: Caller) -> Result<Json<Vec<Utility>>, Problem> {
    let known = app.master_data().await?;
    let of = |entry: &Entry| {
        let inputs = |set: &DefaultSet| utility(&set.inputs, &entry.code);
        let in_set = |(pathway, inputs)| UtilityInSet { pathway, inputs };
        Utility { entry: entry.clone(), default_sets: by_set(&known, inputs).map(in_set).collect() }
    };
    Ok(Json(known.utilities.iter().map(of).collect()))
}

/// All products.
///
/// Each with its price, yield and properties in the default sets that have it.
#[utoipa::path(
    get, path = "/products", tag = "master data",
    responses((status = 200, description = "All products", body = Vec<Product>))
)]
async fn products(State(app): State<App>, _: Caller) -> Result<Json<Vec<Product>>, Problem> {
    let known = app.master_data().await?;
    let of = |entry: &Entry| {
        let inputs = |set: &DefaultSet| set.inputs.products.get(&entry.code).cloned();
        let in_set = |(pathway, inputs)| ProductInSet { pathway, inputs };
        Product { entry: entry.clone(), default_sets: by_set(&known, inputs).map(in_set).collect() }
    };
    Ok(Json(known.products.iter().map(of).collect()))
}

fn listed(entry: &Entry, known: &MasterData, code: fn(&Pathway) -> &String) -> Listed {
    let pathways = known.defaults.iter().map(|set| &set.pathway);
    let default_sets = pathways.filter(|pathway| *code(pathway) == entry.code).cloned().collect();
    Listed { entry: entry.clone(), default_sets }
}

/// What each default set has, by pathway; sets that do not have it are left out.
fn by_set<T>(known: &MasterData, inputs: impl Fn(&DefaultSet) -> Option<T>) -> impl Iterator<Item = (Pathway, T)> {
    known.defaults.iter().filter_map(move |set| Some((set.pathway.clone(), inputs(set)?)))
}

fn utility(inputs: &InputDocument, code: &str) -> Option<UtilityFigures> {
    let (hydrogen, electricity) = (&inputs.utilities.hydrogen, &inputs.utilities.electricity);
    let (price, r#yield, ci) = match code {
        "hydrogen" => (&hydrogen.price, &hydrogen.r#yield, &hydrogen.ci),
        "electricity" => (&electricity.price, &electricity.r#yield, &electricity.ci),
        _ => return None,
    };
    Some(UtilityFigures { price: price.clone(), r#yield: r#yield.clone(), ci: ci.clone() })
}
