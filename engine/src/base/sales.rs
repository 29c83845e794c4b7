//! What the plant makes of its feedstocks, and what that earns.

use crate::carbon::{conversion_efficiency, energy_share, product_intensity};
use crate::failure::Failure;
use crate::inputs::{Allocation, Inputs, Product, fields};
use crate::plant::{annual_amount, annual_money, price_with_premium};
use crate::trace::{Operand, Recorder};

use super::emissions::Emissions;
use super::figures as figure;
use super::ledger::Ledger;
use super::result::ProductResult;

/// Products and revenue.
pub(crate) struct Sales {
    pub products: Vec<ProductResult>,
    pub production: f64,
    pub revenue: f64,
    pub co_product_revenue: f64,
    /// The main product's carbon intensity.
    pub main_ci: f64,
}

impl Sales {
    pub fn main_production(&self) -> f64 {
        self.products[0].t_per_yr
    }
}

pub(super) fn sales(
    inputs: &Inputs,
    emissions: &Emissions,
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<Sales, Failure> {
    let feedstock_carbon = feedstock_carbon(inputs, ledger)?;
    let mut products = Vec::with_capacity(inputs.products.len());
    for product in &inputs.products {
        let one = One { inputs, product, feedstock_carbon, emissions };
        products.push(one.result(ledger)?);
    }
    Ok(Sales {
        main_ci: products[0].ci_g_per_mj.unwrap_or(emissions.ci.total),
        production: production(&products, ledger)?,
        revenue: revenue(&figure::REVENUE, &products, ledger)?,
        co_product_revenue: revenue(&figure::CO_PRODUCT_REVENUE, &products[1..], ledger)?,
        products,
    })
}

fn feedstock_carbon(inputs: &Inputs, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
    let feedstocks = &inputs.feedstocks;
    let carbon = feedstocks.iter().map(|feedstock| feedstock.carbon_kg_per_kg * feedstock.yield_kg_per_kg).sum();
    ledger.enter(&figure::FEEDSTOCK_CARBON, carbon, || {
        let terms = feedstocks.iter().flat_map(|feedstock| {
            let code = feedstock.code.as_str();
            [
                fields::FEEDSTOCK_CARBON.operand_of(code, feedstock.carbon_kg_per_kg),
                fields::FEEDSTOCK_YIELD.operand_of(code, feedstock.yield_kg_per_kg),
            ]
        });
        terms.collect()
    })
}

fn production(products: &[ProductResult], ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
    let total = products.iter().map(|made| made.t_per_yr).sum();
    ledger.enter(&figure::TOTAL_PRODUCTION, total, || {
        let made = products.iter();
        made.map(|made| figure::PRODUCTION.operand_of(&made.code, made.t_per_yr)).collect()
    })
}

fn revenue(
    figure: &'static figure::Figure,
    products: &[ProductResult],
    ledger: &mut Ledger<'_, impl Recorder>,
) -> Result<f64, Failure> {
    let total = products.iter().map(|sold| sold.usd_per_yr).sum();
    ledger.enter(figure, total, || {
        let sold = products.iter();
        sold.map(|sold| figure::PRODUCT_REVENUE.operand_of(&sold.code, sold.usd_per_yr)).collect()
    })
}

/// One product and what its figures need.
struct One<'a> {
    inputs: &'a Inputs,
    product: &'a Product,
    feedstock_carbon: f64,
    emissions: &'a Emissions,
}

impl One<'_> {
    fn result(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<ProductResult, Failure> {
        let production = self.production(ledger)?;
        let cce = self.conversion_efficiency(ledger)?;
        let share = self.energy_share(ledger)?;
        let emissions = self.allocated_emissions(share, ledger)?;
        let ci = self.carbon_intensity(production, emissions, ledger)?;
        let price = self.price(ci, ledger)?;
        let revenue = self.revenue(production, price, ledger)?;
        Ok(ProductResult {
            code: self.product.code.clone(),
            t_per_yr: production,
            cce_percent: cce,
            usd_per_t: price,
            usd_per_yr: revenue,
            energy_share: share,
            co2e_t_per_yr: emissions,
            ci_g_per_mj: ci,
        })
    }

    fn production(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let Product { code, yield_kg_per_kg, .. } = self.product;
        let capacity = self.inputs.plant.capacity_t_per_yr;
        let production = annual_amount(capacity, *yield_kg_per_kg);
        ledger.enter_of(&figure::PRODUCTION, code, production, || {
            vec![fields::CAPACITY.operand(capacity), fields::PRODUCT_YIELD.operand_of(code, *yield_kg_per_kg)]
        })
    }

    fn conversion_efficiency(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let Product { code, carbon_kg_per_kg, yield_kg_per_kg, .. } = self.product;
        let cce = conversion_efficiency(*carbon_kg_per_kg, *yield_kg_per_kg, self.feedstock_carbon);
        ledger.enter_of(&figure::CCE, code, cce, || {
            vec![
                fields::PRODUCT_CARBON.operand_of(code, *carbon_kg_per_kg),
                fields::PRODUCT_YIELD.operand_of(code, *yield_kg_per_kg),
                figure::FEEDSTOCK_CARBON.operand(self.feedstock_carbon),
            ]
        })
    }

    fn energy_share(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let Product { code, energy_mj_per_kg, yield_kg_per_kg, .. } = self.product;
        let energy = self.emissions.energy;
        let share = energy_share(*energy_mj_per_kg, *yield_kg_per_kg, energy);
        ledger.enter_of(&figure::ENERGY_SHARE, code, share, || {
            vec![
                fields::PRODUCT_ENERGY.operand_of(code, *energy_mj_per_kg),
                fields::PRODUCT_YIELD.operand_of(code, *yield_kg_per_kg),
                figure::FUEL_ENERGY.operand(energy),
            ]
        })
    }

    fn allocated_emissions(&self, energy_share: f64, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let (code, total) = (&self.product.code, self.emissions.total);
        let (figure, share) = match self.inputs.carbon.allocated_by() {
            Allocation::Energy => (&figure::ENERGY_SHARE, energy_share),
            Allocation::Mass => (&figure::MASS_SHARE, self.mass_share(ledger)?),
            Allocation::EconomicValue => (&figure::VALUE_SHARE, self.value_share(ledger)?),
        };
        ledger.enter_of(&figure::ALLOCATED_EMISSIONS, code, total * share, || {
            vec![figure::EMISSIONS.operand(total), figure.operand_of(code, share)]
        })
    }

    fn mass_share(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let weight = |product: &Product| product.yield_kg_per_kg;
        let share = weight(self.product) / self.inputs.products.iter().map(weight).sum::<f64>();
        ledger.enter_of(&figure::MASS_SHARE, &self.product.code, share, || {
            let products = self.inputs.products.iter();
            products.map(|product| fields::PRODUCT_YIELD.operand_of(&product.code, product.yield_kg_per_kg)).collect()
        })
    }

    /// Prices are taken before the premium, which depends on the carbon intensity that is sought.
    fn value_share(&self, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let weight = |product: &Product| product.price_usd_per_t * product.yield_kg_per_kg;
        let share = weight(self.product) / self.inputs.products.iter().map(weight).sum::<f64>();
        ledger.enter_of(&figure::VALUE_SHARE, &self.product.code, share, || {
            let products = self.inputs.products.iter();
            let terms = products.flat_map(|product| {
                [
                    fields::PRODUCT_PRICE.operand_of(&product.code, product.price_usd_per_t),
                    fields::PRODUCT_YIELD.operand_of(&product.code, product.yield_kg_per_kg),
                ]
            });
            terms.collect()
        })
    }

    /// The product's own carbon intensity, where emissions are not shared by energy and it is made.
    fn carbon_intensity(
        &self,
        production: f64,
        emissions: f64,
        ledger: &mut Ledger<'_, impl Recorder>,
    ) -> Result<Option<f64>, Failure> {
        if self.inputs.carbon.allocated_by() == Allocation::Energy || production == 0.0 {
            return Ok(None);
        }
        let Product { code, energy_mj_per_kg, .. } = self.product;
        let ci = product_intensity(emissions, production, *energy_mj_per_kg);
        let ci = ledger.enter_of(&figure::PRODUCT_CI, code, ci, || {
            vec![
                figure::ALLOCATED_EMISSIONS.operand_of(code, emissions),
                figure::PRODUCTION.operand_of(code, production),
                fields::PRODUCT_ENERGY.operand_of(code, *energy_mj_per_kg),
            ]
        })?;
        Ok(Some(ci))
    }

    fn price(&self, own_ci: Option<f64>, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let Product { code, price_usd_per_t, .. } = self.product;
        let sensitivity = self.product.price_sensitivity_usd_per_t_per_g_per_mj;
        let fossil_ci = self.inputs.fossil.ci_g_per_mj;
        let ci = own_ci.unwrap_or(self.emissions.ci.total);
        let price = price_with_premium(*price_usd_per_t, sensitivity, fossil_ci, ci);
        ledger.enter_of(&figure::PRICE, code, price, || {
            vec![
                fields::PRODUCT_PRICE.operand_of(code, *price_usd_per_t),
                fields::PRICE_SENSITIVITY.operand_of(code, sensitivity),
                fields::FOSSIL_CI.operand(fossil_ci),
                ci_operand(code, own_ci, ci),
            ]
        })
    }

    fn revenue(&self, production: f64, price: f64, ledger: &mut Ledger<'_, impl Recorder>) -> Result<f64, Failure> {
        let code = &self.product.code;
        let revenue = annual_money(production, price);
        ledger.enter_of(&figure::PRODUCT_REVENUE, code, revenue, || {
            vec![figure::PRODUCTION.operand_of(code, production), figure::PRICE.operand_of(code, price)]
        })
    }
}

/// The carbon intensity of a product as an operand: its own, or the plant's.
pub(super) fn ci_operand(code: &str, own: Option<f64>, ci: f64) -> Operand {
    if own.is_some() { figure::PRODUCT_CI.operand_of(code, ci) } else { figure::CI.operand(ci) }
}
