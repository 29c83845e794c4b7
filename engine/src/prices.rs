//! What every product must cost, and what it costs to make, per mass, volume and energy.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::base::{Ledger, Plan, Rate, Stages};
use crate::failure::Failure;
use crate::finance::{crf, gross_for_cash_flow, required_annual_cash_flow, straight_line_depreciation};
use crate::inputs::{Inputs, Product};
use crate::policy::schemes::LITRES_PER_GALLON;
use crate::trace::Plain;

/// Prices that the plant needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "Prices that the plant needs, per mass, volume and energy.")]
pub struct Prices {
    /// Levelized cost, shared among all products by mass.
    pub lcop: Price,
    /// By product: the main product, then the others by code.
    pub products: Vec<ProductPrices>,
}

/// Prices of one product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProductPrices {
    /// Its code.
    pub code: String,
    /// Minimum selling price, before its premium: the net present value is 0 while the others keep their prices.
    pub msp: Price,
    /// Levelized cost after selling the other products.
    pub lcop_net: Price,
}

/// One price in the units that people trade in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Price {
    /// Per mass.
    pub usd_per_t: Answer,
    /// Per volume.
    pub usd_per_l: Answer,
    /// Per US gallon.
    pub usd_per_gal: Answer,
    /// Per lower heating value.
    pub usd_per_gj: Answer,
}

/// What a price per mass is converted with.
struct Fuel {
    density_kg_per_m3: Option<f64>,
    energy_mj_per_kg: f64,
}

impl Price {
    fn of(usd_per_t: Answer, fuel: &Fuel) -> Result<Self, Failure> {
        let scaled = |factor: f64| usd_per_t.and_then(|price| Answer::Found { value: price * factor });
        // USD/t · kg/m3 / 10⁶ is USD/L.
        let per_l = fuel.density_kg_per_m3.map(|density| density / 1e6);
        let by_volume = |litres: f64| match per_l {
            Some(per_l) => scaled(per_l * litres),
            None => Answer::none("the density is not given"),
        };
        let price = Self {
            usd_per_l: by_volume(1.0),
            usd_per_gal: by_volume(LITRES_PER_GALLON),
            // MJ/kg and GJ/t are the same number.
            usd_per_gj: scaled(1.0 / fuel.energy_mj_per_kg),
            usd_per_t,
        };
        price.finite()
    }

    fn finite(self) -> Result<Self, Failure> {
        let all = [&self.usd_per_t, &self.usd_per_l, &self.usd_per_gal, &self.usd_per_gj];
        match all.iter().flat_map(|answer| answer.values()).find(|value| !value.is_finite()) {
            Some(value) => Err(Failure::not_finite("price", value)),
            None => Ok(self),
        }
    }
}

/// Works out the prices of all products.
///
/// # Formula
///
/// With equal years: `MSP_i = (G_A + OPEX − Σ_{j≠i} R_j) / m_i − Z_i`, as in the base analysis; else NPV = 0 is
/// bracketed. `LCOP = (K + OPEX) / m` and `LCOP_net,i = (K + OPEX − Σ_{j≠i} R_j) / m_i`.
///
/// ```
/// use safire_engine::{InputDocument, prices::prices, resolve};
///
/// let example: serde_json::Value =
///     serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
/// let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
/// let prices = prices(&resolve(&given, None).unwrap().inputs).unwrap();
///
/// let jet = &prices.products[0];
/// assert_eq!(format!("{:.2}", jet.msp.usd_per_t.value().unwrap()), "1679.10");
/// assert_eq!(format!("{:.2}", jet.msp.usd_per_gal.value().unwrap()), "5.15");
/// ```
pub fn prices(inputs: &Inputs) -> Result<Prices, Failure> {
    let mut recorder = Plain;
    let ledger = &mut Ledger::new(&mut recorder);
    let stages = Stages::of(inputs, ledger)?;
    let rate = Rate::of(inputs, ledger)?;
    let plan = Plan::new(inputs, &stages, rate);
    let cost = stages.investment.tci * crf(rate.value, inputs.economics.lifetime_yr) + stages.opex.total;
    let lcop = Answer::Found { value: cost / stages.sales.production };
    let products = inputs.products.iter().enumerate();
    let products = products.map(|(index, product)| product_prices(&plan, index, product, cost));
    Ok(Prices { lcop: Price::of(lcop, &mixture(inputs, &stages))?, products: products.collect::<Result<_, _>>()? })
}

fn product_prices(plan: &Plan<'_>, index: usize, product: &Product, cost: f64) -> Result<ProductPrices, Failure> {
    let fuel = Fuel { density_kg_per_m3: product.density_kg_per_m3, energy_mj_per_kg: product.energy_mj_per_kg };
    let made = plan.stages.sales.products[index].t_per_yr;
    let lcop_net = match made {
        0.0 => Answer::none("the product is not made"),
        _ => Answer::Found { value: (cost - other_revenue(plan, index)) / made },
    };
    Ok(ProductPrices {
        code: product.code.clone(),
        msp: Price::of(selling_price(plan, index), &fuel)?,
        lcop_net: Price::of(lcop_net, &fuel)?,
    })
}

fn other_revenue(plan: &Plan<'_>, index: usize) -> f64 {
    let products = plan.stages.sales.products.iter().enumerate();
    products.filter(|(at, _)| *at != index).map(|(_, sold)| sold.usd_per_yr).sum()
}

/// The price of a product, before its premium, at which the net present value is 0.
fn selling_price(plan: &Plan<'_>, index: usize) -> Answer {
    let product = &plan.inputs.products[index];
    let sold = &plan.stages.sales.products[index];
    let premium = sold.usd_per_t - product.price_usd_per_t;
    let price = if plan.inputs.has_equal_years() && sold.t_per_yr > 0.0 {
        closed_form(plan, index)
    } else {
        plan.price_for_npv_zero(index)
    };
    price.and_then(|price| Answer::Found { value: price - premium })
}

fn closed_form(plan: &Plan<'_>, index: usize) -> Answer {
    let (money, stages) = (&plan.inputs.economics, plan.stages);
    let (tci, years) = (stages.investment.tci, money.lifetime_yr);
    let crf = crf(money.discount_rate, years);
    let cash_flow = required_annual_cash_flow(tci, stages.investment.working_capital, money.discount_rate, years, crf);
    let gross = gross_for_cash_flow(cash_flow, straight_line_depreciation(tci, years), money.tax_rate);
    gross.and_then(|gross| {
        let revenue = gross + stages.opex.total - other_revenue(plan, index);
        Answer::Found { value: revenue / stages.sales.products[index].t_per_yr }
    })
}

/// All products as one fuel; its density is known where every product's is.
fn mixture(inputs: &Inputs, stages: &Stages) -> Fuel {
    let made: f64 = inputs.products.iter().map(|product| product.yield_kg_per_kg).sum();
    let volumes = inputs.products.iter().map(|product| Some(product.yield_kg_per_kg / product.density_kg_per_m3?));
    let volume: Option<f64> = volumes.sum();
    Fuel { density_kg_per_m3: volume.map(|volume| made / volume), energy_mj_per_kg: stages.emissions.energy / made }
}
