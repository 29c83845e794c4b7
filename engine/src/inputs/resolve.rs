//! Merging a document over its defaults, and checking every number on the way in.

use crate::units::Quantity;

use super::balance;
use super::document::{
    EconomicInputs, ElectricityInputs, FeedstockInputs, FossilInputs, HydrogenInputs, InputDocument, PlantInputs,
    ProductInputs,
};
use super::fields::{self, Absence, Field};
use super::sources::{ResolvedChoice, ResolvedInput, Sources};
use super::switched;
use super::switches::{FinanceInputs, Profile};
use super::values::{Economics, Electricity, Feedstock, Fossil, Hydrogen, Inputs, Plant, Product, Values};
use super::violation::{Invalid, Refusal, Violation};

/// A complete and valid scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The numbers to calculate with.
    pub inputs: Inputs,
    /// Every number as given, with its source, in the order of the document.
    pub values: Vec<ResolvedInput>,
    /// Every choice of a method, with its source.
    pub choices: Vec<ResolvedChoice>,
    document: InputDocument,
}

impl Resolved {
    /// The complete merged document. Stored and resolved again without defaults, it gives the same bits.
    pub fn document(&self) -> &InputDocument {
        &self.document
    }
}

/// Merges `given` field by field over its finance profile and over `defaults`, converts it to base units and
/// checks all of it.
///
/// A product or feedstock that is not among the defaults is added to them.
///
/// ```
/// use safire_engine::{InputDocument, resolve};
///
/// let nothing = InputDocument::default();
/// let refused = resolve(&nothing, None).unwrap_err();
/// assert_eq!(refused.violations()[0].pointer, "/plant/capacity");
/// assert_eq!(refused.violations()[0].code, "required");
/// ```
pub fn resolve(given: &InputDocument, defaults: Option<&InputDocument>) -> Result<Resolved, Invalid> {
    let profile = profile(given, defaults);
    let merged = merged(given, profile.as_ref(), defaults);

    let mut door = Door::complete();
    let values = door.values(&merged);
    door.violations.extend(balance::yields(&values.products));
    door.violations.extend(balance::carbon(&values));
    door.violations.extend(balance::something_is_made(&values.products));
    door.violations.extend(balance::main_product(&merged, &values.products));
    door.violations.extend(switched::violations(given, &values));
    Invalid::unless_empty(door.violations)?;

    let sources = Sources::of(given, profile.as_ref());
    Ok(Resolved {
        inputs: Inputs(values),
        values: sources.values(&merged),
        choices: sources.choices(&merged),
        document: merged,
    })
}

/// What the finance profile gives, where finance is mentioned at all.
fn profile(given: &InputDocument, defaults: Option<&InputDocument>) -> Option<InputDocument> {
    let theirs = defaults.map(|set| &set.finance);
    if given.finance.is_empty() && theirs.is_none_or(FinanceInputs::is_empty) {
        return None;
    }
    let named = given.finance.profile.or(theirs.and_then(|finance| finance.profile));
    Some(named.unwrap_or(Profile::Safire).document())
}

fn merged(given: &InputDocument, profile: Option<&InputDocument>, defaults: Option<&InputDocument>) -> InputDocument {
    let mut merged = given.clone();
    if let Some(profile) = profile {
        merged.economics.fill_from(&profile.economics);
    }
    if let Some(defaults) = defaults {
        merged.fill_from(&defaults_beside(given, defaults));
    }
    if let Some(profile) = profile {
        merged.finance.fill_from_profile(&profile.finance);
    }
    fill_conventions(&mut merged);
    merged
}

/// The defaults without the inventory of emissions, where a default life-cycle value takes its place.
fn defaults_beside(given: &InputDocument, defaults: &InputDocument) -> InputDocument {
    let mut defaults = defaults.clone();
    if given.carbon.default_ci.is_some() {
        switched::inventory(&mut defaults).into_iter().for_each(|(_, ci)| *ci = None);
    }
    defaults
}

/// Every number that `given` and its defaults hold, with its source; complete or not, right or not.
///
/// ```
/// use safire_engine::{InputDocument, inputs::outline};
///
/// let draft: InputDocument =
///     serde_json::from_str(r#"{ "plant": { "capacity": { "value": 250, "unit": "kt/yr" } } }"#).unwrap();
/// let pointers: Vec<_> = outline(&draft, None).into_iter().map(|input| input.pointer).collect();
/// assert_eq!(pointers, ["/plant/capacity", "/fossil/ci"]);
/// ```
pub fn outline(given: &InputDocument, defaults: Option<&InputDocument>) -> Vec<ResolvedInput> {
    let profile = profile(given, defaults);
    Sources::of(given, profile.as_ref()).values(&merged(given, profile.as_ref(), defaults))
}

impl InputDocument {
    /// Whether everything that is given is valid by itself; a draft may be incomplete.
    ///
    /// ```
    /// use safire_engine::{InputDocument, Quantity};
    ///
    /// let mut draft = InputDocument::default();
    /// draft.economics.lifetime = Some(Quantity::new(2.5, "yr"));
    /// let refused = draft.check().unwrap_err();
    /// assert_eq!(
    ///     refused.violations()[0].message,
    ///     "plant lifetime is 2.5 yr, which is not a whole number; allowed is 1 to 100 yr, whole numbers"
    /// );
    /// ```
    pub fn check(&self) -> Result<(), Invalid> {
        let mut door = Door::draft();
        let values = door.values(self);
        door.violations.extend(balance::yields(&values.products));
        Invalid::unless_empty(door.violations)
    }
}

/// Writes out what [`Absence::Means`], so that the stored document says what was calculated.
fn fill_conventions(merged: &mut InputDocument) {
    for product in merged.products.values_mut() {
        convention(&fields::PRICE_SENSITIVITY, &mut product.price_sensitivity);
    }
    convention(&fields::FOSSIL_CI, &mut merged.fossil.ci);
}

fn convention(field: &Field, given: &mut Option<Quantity>) {
    if let (None, Absence::Means(value)) = (&given, field.absence) {
        *given = Some(Quantity::new(value, field.group.base_unit()));
    }
}

/// Takes numbers in and keeps what is wrong with them. A refused or absent number becomes NaN, which
/// leaves this module only together with the violations.
pub(super) struct Door {
    complete: bool,
    /// Whether emissions are found by inventory, so that its parts are needed.
    inventory: bool,
    violations: Vec<Violation>,
}

impl Door {
    fn complete() -> Self {
        Self { complete: true, inventory: true, violations: Vec::new() }
    }

    fn draft() -> Self {
        Self { complete: false, ..Self::complete() }
    }

    /// A part of the inventory of emissions; 0 where a default life-cycle value takes its place.
    fn emission(&mut self, field: &'static Field, code: Option<&str>, given: &Option<Quantity>) -> f64 {
        if given.is_none() && !self.inventory { 0.0 } else { self.number(field, code, given) }
    }

    pub(super) fn number(&mut self, field: &'static Field, code: Option<&str>, given: &Option<Quantity>) -> f64 {
        let refusal = Refusal { field, code };
        let Some(given) = given else {
            if self.complete && field.absence == Absence::Refused {
                self.violations.push(refusal.required());
            }
            return f64::NAN;
        };
        match accepted(&refusal, given) {
            Ok(value) => value,
            Err(violation) => {
                self.violations.push(violation);
                f64::NAN
            }
        }
    }

    pub(super) fn optional(
        &mut self,
        field: &'static Field,
        code: Option<&str>,
        given: &Option<Quantity>,
    ) -> Option<f64> {
        let number = self.number(field, code, given);
        given.as_ref().map(|_| number)
    }

    fn values(&mut self, document: &InputDocument) -> Values {
        self.inventory = document.carbon.default_ci.is_none();
        Values {
            plant: self.plant(&document.plant),
            feedstocks: self.feedstocks(document),
            hydrogen: self.hydrogen(&document.utilities.hydrogen),
            electricity: self.electricity(&document.utilities.electricity),
            products: self.products(document),
            economics: self.economics(&document.economics),
            fossil: self.fossil(&document.fossil),
            finance: self.finance(&document.finance),
            policy: self.policy(&document.policy),
            carbon: self.carbon(&document.carbon),
        }
    }

    fn plant(&mut self, given: &PlantInputs) -> Plant {
        Plant {
            capacity_t_per_yr: self.number(&fields::CAPACITY, None, &given.capacity),
            load_hours_per_yr: self.number(&fields::LOAD_HOURS, None, &given.load_hours),
            process_ci_g_per_mj: self.emission(&fields::PROCESS_CI, None, &given.process_ci),
        }
    }

    fn feedstocks(&mut self, document: &InputDocument) -> Vec<Feedstock> {
        let feedstocks = document.feedstocks.iter();
        feedstocks.map(|(code, given)| self.feedstock(code, given)).collect()
    }

    fn feedstock(&mut self, code: &str, given: &FeedstockInputs) -> Feedstock {
        let of = Some(code);
        Feedstock {
            code: code.to_owned(),
            price_usd_per_t: self.number(&fields::FEEDSTOCK_PRICE, of, &given.price),
            yield_kg_per_kg: self.number(&fields::FEEDSTOCK_YIELD, of, &given.r#yield),
            carbon_kg_per_kg: self.number(&fields::FEEDSTOCK_CARBON, of, &given.carbon_content),
            ci_g_per_kg: self.emission(&fields::FEEDSTOCK_CI, of, &given.ci),
            energy_mj_per_kg: self.optional(&fields::FEEDSTOCK_ENERGY, of, &given.energy_content),
        }
    }

    fn hydrogen(&mut self, given: &HydrogenInputs) -> Hydrogen {
        Hydrogen {
            price_usd_per_t: self.number(&fields::HYDROGEN_PRICE, None, &given.price),
            yield_kg_per_kg: self.number(&fields::HYDROGEN_YIELD, None, &given.r#yield),
            ci_g_per_kg: self.emission(&fields::HYDROGEN_CI, None, &given.ci),
        }
    }

    fn electricity(&mut self, given: &ElectricityInputs) -> Electricity {
        Electricity {
            price_usd_per_mwh: self.number(&fields::ELECTRICITY_PRICE, None, &given.price),
            yield_mwh_per_t: self.number(&fields::ELECTRICITY_YIELD, None, &given.r#yield),
            ci_g_per_kwh: self.emission(&fields::ELECTRICITY_CI, None, &given.ci),
        }
    }

    fn products(&mut self, document: &InputDocument) -> Vec<Product> {
        let products = document.products.iter();
        let mut all: Vec<Product> = products.map(|(code, given)| self.product(code, given)).collect();
        // Stable, so the others stay sorted by code.
        all.sort_by_key(|product| Some(&product.code) != document.main_product.as_ref());
        all
    }

    fn product(&mut self, code: &str, given: &ProductInputs) -> Product {
        let of = Some(code);
        Product {
            code: code.to_owned(),
            price_usd_per_t: self.number(&fields::PRODUCT_PRICE, of, &given.price),
            yield_kg_per_kg: self.number(&fields::PRODUCT_YIELD, of, &given.r#yield),
            carbon_kg_per_kg: self.number(&fields::PRODUCT_CARBON, of, &given.carbon_content),
            energy_mj_per_kg: self.number(&fields::PRODUCT_ENERGY, of, &given.energy_content),
            density_kg_per_m3: self.optional(&fields::PRODUCT_DENSITY, of, &given.density),
            price_sensitivity_usd_per_t_per_g_per_mj: self.number(
                &fields::PRICE_SENSITIVITY,
                of,
                &given.price_sensitivity,
            ),
        }
    }

    fn economics(&mut self, given: &EconomicInputs) -> Economics {
        let mut number = |field, quantity| self.number(field, None, quantity);
        Economics {
            discount_rate: number(&fields::DISCOUNT_RATE, &given.discount_rate),
            lifetime_yr: number(&fields::LIFETIME, &given.lifetime) as u32,
            tci_reference_usd: number(&fields::TCI_REFERENCE, &given.tci_reference),
            reference_capacity_t_per_yr: number(&fields::REFERENCE_CAPACITY, &given.reference_capacity),
            scaling_exponent: number(&fields::SCALING_EXPONENT, &given.scaling_exponent),
            working_capital_ratio: number(&fields::WORKING_CAPITAL_RATIO, &given.working_capital_ratio),
            indirect_opex_ratio: number(&fields::INDIRECT_OPEX_RATIO, &given.indirect_opex_ratio),
            tax_rate: number(&fields::TAX_RATE, &given.tax_rate),
        }
    }

    fn fossil(&mut self, given: &FossilInputs) -> Fossil {
        Fossil {
            ci_g_per_mj: self.number(&fields::FOSSIL_CI, None, &given.ci),
            price_usd_per_t: self.number(&fields::FOSSIL_PRICE, None, &given.price),
            energy_mj_per_kg: self.number(&fields::FOSSIL_ENERGY, None, &given.energy_content),
        }
    }
}

/// The given number in its base unit, where it is one that the field allows.
fn accepted(refusal: &Refusal<'_>, given: &Quantity) -> Result<f64, Violation> {
    let Field { group, range, .. } = *refusal.field;
    let value = match given.in_base_unit(group) {
        Ok(value) => value,
        Err(error) => return Err(refusal.unit(given, &error)),
    };
    if !given.value.is_finite() {
        return Err(refusal.not_finite(given));
    }
    if !range.contains(value) {
        return Err(refusal.out_of_range(given));
    }
    if range.whole && value.fract() != 0.0 {
        return Err(refusal.not_integer(given));
    }
    Ok(value)
}
