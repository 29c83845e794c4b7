//! What a user may write: every input optional, every input a quantity.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::object::{few, objects_only};
use super::section::{Chosen, Leaf, section};
use super::switches::{CarbonInputs, FinanceInputs, PolicyInputs};

section! {
    /// The plant as a whole.
    PlantInputs ["an object with the plant's inputs"] {
        /// Liquid fuel made per year, e.g. in kt/yr.
        capacity: CAPACITY,
        /// Hours of operation per year, in h/yr.
        load_hours: LOAD_HOURS,
        /// Carbon intensity of the process itself, e.g. in gCO2e/MJ.
        process_ci: PROCESS_CI,
    }
}

section! {
    /// One feedstock. Several feedstocks are co-fed: their consumption, cost, carbon and CI add up.
    FeedstockInputs ["an object with a feedstock's inputs"] {
        /// Price, e.g. in USD/t.
        price: FEEDSTOCK_PRICE,
        /// Feedstock per fuel, e.g. in kg/kg.
        r#yield: FEEDSTOCK_YIELD,
        /// Carbon per mass, e.g. in kg/kg.
        carbon_content: FEEDSTOCK_CARBON,
        /// Carbon intensity of its supply, e.g. in gCO2e/kg.
        ci: FEEDSTOCK_CI,
        /// Lower heating value, e.g. in MJ/kg; only the energy balance asks for it.
        energy_content: FEEDSTOCK_ENERGY,
    }
}

section! {
    /// Hydrogen bought by the plant.
    HydrogenInputs ["an object with the hydrogen inputs"] {
        /// Price, e.g. in USD/kg.
        price: HYDROGEN_PRICE,
        /// Hydrogen per fuel, e.g. in kg/kg.
        r#yield: HYDROGEN_YIELD,
        /// Carbon intensity, e.g. in gCO2e/kg.
        ci: HYDROGEN_CI,
    }
}

section! {
    /// Electricity bought by the plant.
    ElectricityInputs ["an object with the electricity inputs"] {
        /// Price, e.g. in USD/MWh.
        price: ELECTRICITY_PRICE,
        /// Electricity per fuel, e.g. in MWh/t.
        r#yield: ELECTRICITY_YIELD,
        /// Carbon intensity, e.g. in gCO2e/kWh.
        ci: ELECTRICITY_CI,
    }
}

section! {
    /// One product.
    ProductInputs ["an object with a product's inputs"] {
        /// Price before any premium, e.g. in USD/t.
        price: PRODUCT_PRICE,
        /// Product per nominal capacity, e.g. in kg/kg or %; all products together at most 1.
        r#yield: PRODUCT_YIELD,
        /// Carbon per mass, e.g. in kg/kg.
        carbon_content: PRODUCT_CARBON,
        /// Lower heating value, e.g. in MJ/kg.
        energy_content: PRODUCT_ENERGY,
        /// Density, e.g. in kg/L.
        density: PRODUCT_DENSITY,
        /// Premium per carbon intensity saved, in `USD/t per gCO2e/MJ`; 0 where left out.
        price_sensitivity: PRICE_SENSITIVITY,
    }
}

section! {
    /// Money and time.
    EconomicInputs ["an object with the economic inputs"] {
        /// Discount rate, e.g. in %.
        discount_rate: DISCOUNT_RATE,
        /// Years of operation, in yr.
        lifetime: LIFETIME,
        /// Total capital investment of the reference plant, e.g. in MUSD.
        tci_reference: TCI_REFERENCE,
        /// Capacity of the reference plant, e.g. in kt/yr.
        reference_capacity: REFERENCE_CAPACITY,
        /// Scaling exponent, in 1.
        scaling_exponent: SCALING_EXPONENT,
        /// Working capital per total capital investment, e.g. in %.
        working_capital_ratio: WORKING_CAPITAL_RATIO,
        /// Indirect OPEX per total capital investment and year, e.g. in %.
        indirect_opex_ratio: INDIRECT_OPEX_RATIO,
        /// Tax on profit, e.g. in %.
        tax_rate: TAX_RATE,
    }
}

section! {
    /// The fossil jet fuel to compare with.
    FossilInputs ["an object with the fossil comparator's inputs"] {
        /// Life-cycle carbon intensity, e.g. in gCO2e/MJ; 89 (CORSIA) where left out.
        ci: FOSSIL_CI,
        /// Price, e.g. in USD/t.
        price: FOSSIL_PRICE,
        /// Lower heating value, e.g. in MJ/kg.
        energy_content: FOSSIL_ENERGY,
    }
}

/// What the plant buys beside its feedstocks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(remote = "Self", default, deny_unknown_fields, expecting = "an object with the utilities")]
pub struct UtilityInputs {
    /// Hydrogen.
    #[serde(skip_serializing_if = "HydrogenInputs::is_empty")]
    pub hydrogen: HydrogenInputs,
    /// Electricity.
    #[serde(skip_serializing_if = "ElectricityInputs::is_empty")]
    pub electricity: ElectricityInputs,
}

impl UtilityInputs {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        self.hydrogen.is_empty() && self.electricity.is_empty()
    }
}

/// A scenario's inputs as a user writes them. Whatever is left out comes from the default set.
///
/// ```
/// use safire_engine::{InputDocument, Quantity};
///
/// let given: InputDocument =
///     serde_json::from_str(r#"{ "plant": { "capacity": { "value": 250, "unit": "kt/yr" } } }"#).unwrap();
/// assert_eq!(given.plant.capacity, Some(Quantity::new(250.0, "kt/yr")));
/// assert!(given.check().is_ok());
/// assert!(serde_json::from_str::<InputDocument>(r#"{ "plan": {} }"#).is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "A scenario's inputs. Whatever is left out comes from the default set.")]
#[serde(remote = "Self", default, deny_unknown_fields, expecting = "an object with the scenario's inputs")]
#[schema(example = json!({
    "plant": { "capacity": { "value": 250, "unit": "kt/yr" } },
    "feedstocks": { "UCO": { "price": { "value": 1.1, "unit": "USD/kg" } } },
    "economics": { "discount_rate": { "value": 9, "unit": "%" } },
}))]
pub struct InputDocument {
    /// The plant as a whole.
    #[serde(skip_serializing_if = "PlantInputs::is_empty")]
    pub plant: PlantInputs,
    /// Feedstocks by code; at most 64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "few")]
    pub feedstocks: BTreeMap<String, FeedstockInputs>,
    /// Hydrogen and electricity.
    #[serde(skip_serializing_if = "UtilityInputs::is_empty")]
    pub utilities: UtilityInputs,
    /// Code of the product whose selling price is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main_product: Option<String>,
    /// Products by code; at most 64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "few")]
    pub products: BTreeMap<String, ProductInputs>,
    /// Money and time.
    #[serde(skip_serializing_if = "EconomicInputs::is_empty")]
    pub economics: EconomicInputs,
    /// The fossil jet fuel to compare with.
    #[serde(skip_serializing_if = "FossilInputs::is_empty")]
    pub fossil: FossilInputs,
    /// How the investment is financed, depreciated and taxed; the profile `safire` where left out.
    #[serde(skip_serializing_if = "FinanceInputs::is_empty")]
    pub finance: FinanceInputs,
    /// Incentives that enter the cash flow; none where left out.
    #[serde(skip_serializing_if = "PolicyInputs::is_empty")]
    pub policy: PolicyInputs,
    /// How emissions are found and shared; by inventory and energy where left out.
    #[serde(skip_serializing_if = "CarbonInputs::is_empty")]
    pub carbon: CarbonInputs,
}

objects_only!(UtilityInputs, InputDocument);

impl InputDocument {
    /// Every leaf with the code of its feedstock or product, in the order of the document.
    pub(crate) fn leaves(&self) -> Vec<(Option<&str>, Leaf<'_>)> {
        let mut all = Vec::new();
        let mut add = |code, leaves: Vec<_>| all.extend(leaves.into_iter().map(|leaf| (code, leaf)));
        add(None, self.plant.leaves());
        for (code, feedstock) in &self.feedstocks {
            add(Some(code.as_str()), feedstock.leaves());
        }
        add(None, self.utilities.hydrogen.leaves());
        add(None, self.utilities.electricity.leaves());
        for (code, product) in &self.products {
            add(Some(code.as_str()), product.leaves());
        }
        add(None, self.economics.leaves());
        add(None, self.fossil.leaves());
        add(None, self.finance.leaves());
        add(None, self.policy.leaves());
        add(None, self.carbon.leaves());
        all
    }

    /// Every choice that is made, with its pointer.
    pub(crate) fn choices(&self) -> Vec<Chosen> {
        let mut all = Vec::new();
        let sections = [
            ("/finance", self.finance.choices()),
            ("/policy", self.policy.choices()),
            ("/carbon", self.carbon.choices()),
        ];
        for (section, choices) in sections {
            all.extend(choices.into_iter().map(|(name, code)| (format!("{section}/{name}"), code)));
        }
        all
    }

    /// Takes from `other` whatever is not given here, field by field.
    pub(crate) fn fill_from(&mut self, other: &Self) {
        self.plant.fill_from(&other.plant);
        fill_map(&mut self.feedstocks, &other.feedstocks, FeedstockInputs::fill_from);
        self.utilities.hydrogen.fill_from(&other.utilities.hydrogen);
        self.utilities.electricity.fill_from(&other.utilities.electricity);
        if self.main_product.is_none() {
            self.main_product.clone_from(&other.main_product);
        }
        fill_map(&mut self.products, &other.products, ProductInputs::fill_from);
        self.economics.fill_from(&other.economics);
        self.fossil.fill_from(&other.fossil);
        self.finance.fill_from(&other.finance);
        self.policy.fill_from(&other.policy);
        self.carbon.fill_from(&other.carbon);
    }
}

fn fill_map<T: Default>(mine: &mut BTreeMap<String, T>, theirs: &BTreeMap<String, T>, fill_from: fn(&mut T, &T)) {
    for (code, other) in theirs {
        fill_from(mine.entry(code.clone()).or_default(), other);
    }
}
