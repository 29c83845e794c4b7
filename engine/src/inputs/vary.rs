//! Changing single numbers of validated inputs, with the checks that they passed before.

use super::balance;
use super::fields::{self, Field};
use super::values::{Inputs, Values};

/// Where a number is kept.
enum Number<'a> {
    Real(&'a mut f64),
    /// A whole number.
    Count(&'a mut u32),
}

type Keep = fn(&mut Values, usize) -> Option<Number<'_>>;

/// A number of the inputs that can be varied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// What the number is.
    pub field: &'static Field,
    /// Which feedstock or product, 0 for what there is only one of.
    pub part: usize,
    keep: Keep,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.part == other.part
    }
}

impl Place {
    /// The number of a field that results depend on.
    pub fn of(field: &'static Field, part: usize) -> Option<Self> {
        let known = PLACES.iter().find(|(known, _)| *known == field)?;
        Some(Self { field, part, keep: known.1 })
    }
}

macro_rules! places {
    ($($field:ident => |$values:ident, $part:ident| $kept:expr;)+) => {
        const PLACES: &[(&Field, Keep)] = &[$((&fields::$field, |$values, $part| $kept)),+];
    };
}

places! {
    CAPACITY => |v, _part| Some(Number::Real(&mut v.plant.capacity_t_per_yr));
    LOAD_HOURS => |v, _part| Some(Number::Real(&mut v.plant.load_hours_per_yr));
    PROCESS_CI => |v, _part| Some(Number::Real(&mut v.plant.process_ci_g_per_mj));
    FEEDSTOCK_PRICE => |v, part| Some(Number::Real(&mut v.feedstocks.get_mut(part)?.price_usd_per_t));
    FEEDSTOCK_YIELD => |v, part| Some(Number::Real(&mut v.feedstocks.get_mut(part)?.yield_kg_per_kg));
    FEEDSTOCK_CARBON => |v, part| Some(Number::Real(&mut v.feedstocks.get_mut(part)?.carbon_kg_per_kg));
    FEEDSTOCK_CI => |v, part| Some(Number::Real(&mut v.feedstocks.get_mut(part)?.ci_g_per_kg));
    HYDROGEN_PRICE => |v, _part| Some(Number::Real(&mut v.hydrogen.price_usd_per_t));
    HYDROGEN_YIELD => |v, _part| Some(Number::Real(&mut v.hydrogen.yield_kg_per_kg));
    HYDROGEN_CI => |v, _part| Some(Number::Real(&mut v.hydrogen.ci_g_per_kg));
    ELECTRICITY_PRICE => |v, _part| Some(Number::Real(&mut v.electricity.price_usd_per_mwh));
    ELECTRICITY_YIELD => |v, _part| Some(Number::Real(&mut v.electricity.yield_mwh_per_t));
    ELECTRICITY_CI => |v, _part| Some(Number::Real(&mut v.electricity.ci_g_per_kwh));
    PRODUCT_PRICE => |v, part| Some(Number::Real(&mut v.products.get_mut(part)?.price_usd_per_t));
    PRODUCT_YIELD => |v, part| Some(Number::Real(&mut v.products.get_mut(part)?.yield_kg_per_kg));
    PRODUCT_CARBON => |v, part| Some(Number::Real(&mut v.products.get_mut(part)?.carbon_kg_per_kg));
    PRODUCT_ENERGY => |v, part| Some(Number::Real(&mut v.products.get_mut(part)?.energy_mj_per_kg));
    PRICE_SENSITIVITY => |v, part| Some(Number::Real(&mut v.products.get_mut(part)?.price_sensitivity_usd_per_t_per_g_per_mj));
    DISCOUNT_RATE => |v, _part| Some(Number::Real(&mut v.economics.discount_rate));
    LIFETIME => |v, _part| Some(Number::Count(&mut v.economics.lifetime_yr));
    TCI_REFERENCE => |v, _part| Some(Number::Real(&mut v.economics.tci_reference_usd));
    REFERENCE_CAPACITY => |v, _part| Some(Number::Real(&mut v.economics.reference_capacity_t_per_yr));
    SCALING_EXPONENT => |v, _part| Some(Number::Real(&mut v.economics.scaling_exponent));
    WORKING_CAPITAL_RATIO => |v, _part| Some(Number::Real(&mut v.economics.working_capital_ratio));
    INDIRECT_OPEX_RATIO => |v, _part| Some(Number::Real(&mut v.economics.indirect_opex_ratio));
    TAX_RATE => |v, _part| Some(Number::Real(&mut v.economics.tax_rate));
    FOSSIL_CI => |v, _part| Some(Number::Real(&mut v.fossil.ci_g_per_mj));
    FOSSIL_PRICE => |v, _part| Some(Number::Real(&mut v.fossil.price_usd_per_t));
    FOSSIL_ENERGY => |v, _part| Some(Number::Real(&mut v.fossil.energy_mj_per_kg));
    STARTUP_TIME => |v, _part| Some(Number::Real(&mut v.finance.startup_yr));
    STARTUP_REVENUE => |v, _part| Some(Number::Real(&mut v.finance.startup_revenue));
    STARTUP_VARIABLE_COST => |v, _part| Some(Number::Real(&mut v.finance.startup_variable_cost));
    STARTUP_FIXED_COST => |v, _part| Some(Number::Real(&mut v.finance.startup_fixed_cost));
    LOSS_LIMIT => |v, _part| Some(Number::Real(&mut v.finance.loss_limit));
    DEBT_SHARE => |v, _part| has_loan_terms(v).then_some(Number::Real(&mut v.finance.debt_share));
    DEBT_RATE => |v, _part| Some(Number::Real(&mut v.finance.debt_rate));
    INFLATION => |v, _part| Some(Number::Real(&mut v.finance.inflation));
    FEEDSTOCK_ESCALATION => |v, _part| Some(Number::Real(&mut v.finance.escalation.feedstock));
    HYDROGEN_ESCALATION => |v, _part| Some(Number::Real(&mut v.finance.escalation.hydrogen));
    ELECTRICITY_ESCALATION => |v, _part| Some(Number::Real(&mut v.finance.escalation.electricity));
    MAIN_PRODUCT_ESCALATION => |v, _part| Some(Number::Real(&mut v.finance.escalation.main_product));
    CO_PRODUCT_ESCALATION => |v, _part| Some(Number::Real(&mut v.finance.escalation.co_product));
    FIXED_COST_ESCALATION => |v, _part| Some(Number::Real(&mut v.finance.escalation.fixed_cost));
    CARBON_PRICE => |v, _part| Some(Number::Real(&mut v.policy.carbon_price.as_mut()?.usd_per_t));
    PRODUCTION_INCENTIVE => |v, _part| Some(Number::Real(&mut v.policy.production_incentive.as_mut()?.usd_per_t));
    EU_ALLOWANCE_PRICE => |v, _part| v.policy.eu_allowance_usd_per_t.as_mut().map(Number::Real);
    EU_PASS_THROUGH => |v, _part| v.policy.eu_pass_through.as_mut().map(Number::Real);
    DEFAULT_CI => |v, _part| v.carbon.default_ci_g_per_mj.as_mut().map(Number::Real);
}

/// The rate and term of a loan were given: without a debt, they may be conventions that stand for none.
fn has_loan_terms(values: &Values) -> bool {
    values.finance.debt_share > 0.0 || values.finance.debt_rate > 0.0
}

impl Inputs {
    /// The number at a JSON pointer into the document, such as `/products/jet/yield`, if results depend on it
    /// and the scenario has it.
    pub(crate) fn place(&self, pointer: &str) -> Option<Place> {
        self.named(pointer).filter(|place| !self.number(*place).is_nan())
    }

    fn named(&self, pointer: &str) -> Option<Place> {
        let field = Field::at(pointer)?;
        let feedstocks = self.feedstocks.iter().map(|feedstock| feedstock.code.as_str());
        let products = self.products.iter().map(|product| product.code.as_str());
        let mut codes: Vec<&str> = match field.section {
            section if section == fields::FEEDSTOCK_PRICE.section => feedstocks.collect(),
            section if section == fields::PRODUCT_PRICE.section => products.collect(),
            _ => return Place::of(field, 0),
        };
        let part = codes.iter_mut().position(|code| field.pointer(Some(code)) == pointer)?;
        Place::of(field, part)
    }

    /// The number at a place, in its base unit.
    pub(crate) fn number(&self, place: Place) -> f64 {
        let mut values = self.0.clone();
        match (place.keep)(&mut values, place.part) {
            Some(Number::Real(value)) => *value,
            Some(Number::Count(value)) => f64::from(*value),
            None => f64::NAN,
        }
    }
}

/// Inputs on their way from one valid scenario to another.
#[derive(Debug, Clone)]
pub(crate) struct Variation(Inputs);

impl Variation {
    /// Starts from valid inputs.
    pub fn of(inputs: &Inputs) -> Self {
        Self(inputs.clone())
    }

    /// Puts a value where its range allows it; a whole-number input takes the nearest whole number. Says
    /// whether it was put.
    pub fn put(&mut self, place: Place, value: f64) -> bool {
        let range = place.field.range;
        let value = if range.whole { value.round() } else { value };
        if !range.contains(value) {
            return false;
        }
        match (place.keep)(&mut self.0.0, place.part) {
            Some(Number::Real(number)) => *number = value,
            Some(Number::Count(number)) => *number = value as u32,
            None => return false,
        }
        true
    }

    /// The inputs, where the products are made of the feedstocks, the main product is made, and debt is repaid
    /// while there is income.
    pub fn balanced(&self) -> Option<&Inputs> {
        let Inputs(values) = &self.0;
        let balanced = values.main_product().yield_kg_per_kg > 0.0
            && balance::yields(&values.products).is_none()
            && balance::carbon(values).is_none()
            && (values.finance.debt_share == 0.0 || values.finance.debt_term_yr <= values.economics.lifetime_yr);
        balanced.then_some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Inputs, PLACES, Place, Variation, fields};
    use crate::{InputDocument, resolve};

    fn worked_case() -> Inputs {
        let example = include_str!("../../../examples/hefa-uco-usa.json");
        let example: serde_json::Value = serde_json::from_str(example).unwrap();
        let document: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
        resolve(&document, None).unwrap().inputs
    }

    /// No result of the base analysis depends on the first two; calendar years and periods are choices, and shares
    /// of construction cannot be changed one by one.
    const FIXED: &[&str] =
        &["density", "energy_content", "first_year", "last_year", "construction", "depreciation_period", "debt_term"];

    #[test]
    fn every_number_that_results_depend_on_has_a_place() {
        for field in fields::ALL {
            let known = PLACES.iter().any(|(known, _)| *known == field);
            let fixed = FIXED.iter().any(|name| field.name.contains(name));
            let exception = [fields::PRODUCT_ENERGY, fields::FOSSIL_ENERGY].contains(field);
            assert_eq!(known, !fixed || exception, "{}", field.label);
        }
    }

    #[test]
    fn a_number_is_found_by_its_pointer_and_changed_alone() {
        let inputs = worked_case();
        let place = inputs.place("/products/diesel/price").unwrap();
        assert_eq!(inputs.number(place), 1500.0);
        let mut variation = Variation::of(&inputs);
        assert!(variation.put(place, 1600.0));
        let varied = variation.balanced().unwrap();
        assert_eq!(varied.products[1].price_usd_per_t, 1600.0);
        assert!(variation.put(place, 1500.0));
        assert_eq!(variation.balanced(), Some(&inputs));
    }

    #[test]
    fn what_is_out_of_range_or_balance_is_not_let_through() {
        let inputs = worked_case();
        let mut variation = Variation::of(&inputs);
        let rate = inputs.place("/economics/discount_rate").unwrap();
        assert!(!variation.put(rate, -0.01));
        assert!(!variation.put(rate, f64::NAN));
        assert!(variation.put(inputs.place("/products/jet/yield").unwrap(), 0.9));
        assert_eq!(variation.balanced(), None);
    }

    #[test]
    fn a_lifetime_takes_the_nearest_whole_number() {
        let inputs = worked_case();
        let mut variation = Variation::of(&inputs);
        assert!(variation.put(Place::of(&fields::LIFETIME, 0).unwrap(), 24.6));
        assert_eq!(variation.balanced().unwrap().economics.lifetime_yr, 25);
    }

    #[test]
    fn what_does_not_exist_has_no_place() {
        let inputs = worked_case();
        for pointer in ["/products/kerosene/price", "/products/jet/density", "/economics", ""] {
            assert!(inputs.place(pointer).is_none(), "{pointer}");
        }
    }
}
