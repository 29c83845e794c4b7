//! Prices, changed in every default set that has them.

use axum::extract::State;
use safire_domain::{
    engine::Quantity,
    price::{NewPrice, Ware},
    scenario::Pathway,
};
use safire_store::master_data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::default_sets::edited;
use crate::{
    App, Problem,
    auth::Admin,
    body::Body,
    conditional::{IfMatch, Tagged},
    extract::InCode,
    problem::field_errors,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_feedstock)).routes(routes!(of_utility)).routes(routes!(of_product))
}

/// A price.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PriceText {
    /// The price, in a unit of the ware: USD/t or USD/kg, of electricity USD/MWh or USD/kWh.
    price: Quantity,
    /// The country that it is meant for, by code; every country where left out.
    #[schema(example = "USA")]
    country: Option<String>,
}

/// A price and where it is now the default.
#[derive(Serialize, ToSchema)]
struct PriceView {
    #[schema(example = "UCO")]
    code: String,
    price: Quantity,
    /// The country that it was meant for; null for every country.
    #[schema(example = "USA")]
    country: Option<String>,
    /// The default sets that have it.
    default_sets: Vec<Pathway>,
    /// The edition of the master data that has it.
    #[schema(example = 2)]
    edition: i64,
}

fn example(code: &str, value: f64, unit: &str) -> serde_json::Value {
    let price = Quantity::new(value, unit);
    let default_sets = serde_json::json!([{ "process": "HEFA", "feedstock": "UCO", "country": "USA" }]);
    serde_json::json!({ "code": code, "price": price, "country": "USA", "default_sets": default_sets, "edition": 2 })
}

/// Changes the price of a feedstock (administrators).
///
/// In every default set that has it, or in those of one country.
#[utoipa::path(
    put, path = "/feedstocks/{code}/price", tag = "master data",
    params(("code" = String, Path, description = "Its code", example = "UCO")),
    request_body(content = PriceText, example = json!({ "price": { "value": 980, "unit": "USD/t" }, "country": "USA" })),
    responses(
        (status = 200, description = "The price, and the default sets that have it",
            headers(("ETag")),
            body = PriceView,
            example = json!(example("UCO", 980.0, "USD/t"))),
        (status = 403, description = "The caller is no administrator"),
        (status = 404, description = "No such feedstock"),
        (status = 409, description = "`price.unused`: no default set has it"),
        (status = 422, description = "`inputs.invalid`: the price or the country is wrong; nothing was changed"),
    )
)]
async fn of_feedstock(
    State(app): State<App>,
    _: Admin,
    InCode(code): InCode,
    if_match: IfMatch,
    Body(text): Body<PriceText>,
) -> Result<Tagged<PriceView>, Problem> {
    change(&app, Ware::Feedstock, code, if_match, text).await
}

/// Changes the price of hydrogen or electricity (administrators).
///
/// In every default set, or in those of one country.
#[utoipa::path(
    put, path = "/utilities/{code}/price", tag = "master data",
    params(("code" = String, Path, description = "Its code", example = "hydrogen")),
    request_body(content = PriceText, example = json!({ "price": { "value": 4.8, "unit": "USD/kg" } })),
    responses(
        (status = 200, description = "The price, and the default sets that have it",
            headers(("ETag")),
            body = PriceView,
            example = json!(example("hydrogen", 4.8, "USD/kg"))),
        (status = 403, description = "The caller is no administrator"),
        (status = 404, description = "No such utility"),
        (status = 409, description = "`price.unused`: no default set has it"),
        (status = 422, description = "`inputs.invalid`: the price or the country is wrong; nothing was changed"),
    )
)]
async fn of_utility(
    State(app): State<App>,
    _: Admin,
    InCode(code): InCode,
    if_match: IfMatch,
    Body(text): Body<PriceText>,
) -> Result<Tagged<PriceView>, Problem> {
    change(&app, Ware::Utility, code, if_match, text).await
}

/// Changes the price of a product (administrators).
///
/// In every default set that has it, or in those of one country.
#[utoipa::path(
    put, path = "/products/{code}/price", tag = "master data",
    params(("code" = String, Path, description = "Its code", example = "jet")),
    request_body(content = PriceText, example = json!({ "price": { "value": 2850, "unit": "USD/t" } })),
    responses(
        (status = 200, description = "The price, and the default sets that have it",
            headers(("ETag")),
            body = PriceView,
            example = json!(example("jet", 2850.0, "USD/t"))),
        (status = 403, description = "The caller is no administrator"),
        (status = 404, description = "No such product"),
        (status = 409, description = "`price.unused`: no default set has it"),
        (status = 422, description = "`inputs.invalid`: the price or the country is wrong; nothing was changed"),
    )
)]
async fn of_product(
    State(app): State<App>,
    _: Admin,
    InCode(code): InCode,
    if_match: IfMatch,
    Body(text): Body<PriceText>,
) -> Result<Tagged<PriceView>, Problem> {
    change(&app, Ware::Product, code, if_match, text).await
}

async fn change(
    app: &App,
    ware: Ware,
    code: String,
    if_match: IfMatch,
    PriceText { price, country }: PriceText,
) -> Result<Tagged<PriceView>, Problem> {
    let new = NewPrice { ware, code, country, price };
    let known = app.master_data().await?;
    if !ware.is_listed(&new.code, &known) {
        return Err(Problem::not_found(name(ware)));
    }
    let violations = new.check(&known);
    if !violations.is_empty() {
        return Err(Problem::invalid("inputs.invalid", field_errors("", &violations)));
    }
    let (written, expected) = (new.clone(), if_match.versions());
    let outcome = app.database.write(move |c| Box::pin(master_data::set_price(c, written, expected))).await;
    app.master_data_changed().await;
    let (edition, default_sets) = edited(outcome?, &if_match)?;
    let NewPrice { code, country, price, .. } = new;
    if default_sets.is_empty() {
        return Err(Problem::conflict("price.unused", format!("no default set {}has {code}", in_country(&country))));
    }
    Ok(Tagged::new(edition, PriceView { code, price, country, default_sets, edition }))
}

fn name(ware: Ware) -> &'static str {
    match ware {
        Ware::Feedstock => "feedstock",
        Ware::Utility => "utility",
        Ware::Product => "product",
    }
}

fn in_country(country: &Option<String>) -> String {
    country.as_ref().map(|country| format!("of {country} ")).unwrap_or_default()
}
