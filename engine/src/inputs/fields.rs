//! Every numeric input: its place in the document, its symbol in the formulas, its unit and its range.
//!
//! This is the only place where a range is written down. The ranges are *physical*: they refuse what no
//! plant can be (a yield above 1, a lifetime of 2.5 years) and slips of units (a capacity in kg), and let
//! pass what is merely unusual, because unusual is what an analyst wants to try.

use crate::trace::Operand;
use crate::units::Group;

use super::pointer;

/// The values that an input may have, in its base unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The least value.
    pub min: f64,
    /// The greatest value, which is allowed.
    pub max: f64,
    /// Whether only whole numbers are allowed.
    pub whole: bool,
}

impl Range {
    const fn from_to(min: f64, max: f64) -> Self {
        Self { min, max, whole: false }
    }

    const fn whole(min: f64, max: f64) -> Self {
        Self { whole: true, ..Self::from_to(min, max) }
    }

    /// Whether `value` lies in the range; whole numbers are a separate question.
    pub fn contains(&self, value: f64) -> bool {
        value >= self.min && value <= self.max
    }
}

/// What happens when neither the user nor the default set gives an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Absence {
    /// It is missing: the scenario cannot be calculated.
    Refused,
    /// Nothing needs it.
    Accepted,
    /// A convention fills it in, in the base unit.
    Means(f64),
}

/// One numeric input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// The object that holds it, as a JSON pointer; `*` stands for a code.
    pub section: &'static str,
    /// Its name in that object.
    pub name: &'static str,
    /// Its name in sentences.
    pub label: &'static str,
    /// Its symbol in the formulas.
    pub symbol: &'static str,
    /// What its unit measures.
    pub group: Group,
    /// The values it may have.
    pub range: Range,
    /// What its absence means.
    pub absence: Absence,
}

impl Field {
    const fn required(
        (section, name): (&'static str, &'static str),
        label: &'static str,
        symbol: &'static str,
        group: Group,
        range: Range,
    ) -> Self {
        Self { section, name, label, symbol, group, range, absence: Absence::Refused }
    }

    const fn absent(self, absence: Absence) -> Self {
        Self { absence, ..self }
    }

    /// A switch, which a profile or a convention gives where the user does not.
    const fn switch(
        place: (&'static str, &'static str),
        label: &'static str,
        symbol: &'static str,
        group: Group,
        range: Range,
    ) -> Self {
        Self::required(place, label, symbol, group, range).absent(Absence::Accepted)
    }

    const fn calendar_year(name: &'static str, label: &'static str, symbol: &'static str) -> Self {
        Self::switch((POLICY, name), label, symbol, Group::Time, YEARS)
    }

    const fn escalation(name: &'static str, label: &'static str, symbol: &'static str) -> Self {
        Self::switch((FINANCE, name), label, symbol, Group::Ratio, Range::from_to(-0.2, 0.5))
    }

    const fn construction(name: &'static str, label: &'static str, symbol: &'static str) -> Self {
        Self::switch((FINANCE, name), label, symbol, Group::Ratio, Range::from_to(0.0, 1.0))
    }

    /// The input at a JSON pointer into the document, such as `/products/jet/yield`.
    ///
    /// ```
    /// use safire_engine::inputs::fields::{self, Field};
    ///
    /// assert_eq!(Field::at("/products/jet/yield"), Some(&fields::PRODUCT_YIELD));
    /// assert_eq!(Field::at("/products/jet"), None);
    /// ```
    pub fn at(pointer: &str) -> Option<&'static Self> {
        let (section, name) = pointer.rsplit_once('/')?;
        let is_in = |field: &Self| match field.section.split_once('*') {
            None => field.section == section,
            Some((list, _)) => section.strip_prefix(list).is_some_and(|code| !code.contains('/')),
        };
        ALL.iter().find(|field| field.name == name && is_in(field))
    }

    /// Where the input is in the document; `code` names the product or feedstock.
    pub fn pointer(&self, code: Option<&str>) -> String {
        let section = match code {
            Some(code) => self.section.replace('*', &pointer::escaped(code)),
            None => self.section.to_owned(),
        };
        format!("{section}/{}", self.name)
    }

    /// Its name in sentences; `code` names the product or feedstock.
    pub fn title(&self, code: Option<&str>) -> String {
        match code {
            Some(code) => format!("{} of {code}", self.label),
            None => self.label.to_owned(),
        }
    }

    pub(crate) fn operand(&self, value: f64) -> Operand {
        self.operand_for(None, value)
    }

    pub(crate) fn operand_of(&self, code: &str, value: f64) -> Operand {
        self.operand_for(Some(code), value)
    }

    fn operand_for(&self, code: Option<&str>, value: f64) -> Operand {
        Operand {
            symbol: self.symbol.into(),
            name: self.title(code),
            value,
            unit: self.group.base_unit().into(),
            source: self.pointer(code),
        }
    }
}

const PLANT: &str = "/plant";
const FEEDSTOCK: &str = "/feedstocks/*";
const HYDROGEN: &str = "/utilities/hydrogen";
const ELECTRICITY: &str = "/utilities/electricity";
const PRODUCT: &str = "/products/*";
const ECONOMICS: &str = "/economics";
const FOSSIL: &str = "/fossil";
const FINANCE: &str = "/finance";
const POLICY: &str = "/policy";
const CARBON: &str = "/carbon";
/// The sections of switches: a plain scenario has none of them.
pub(crate) const SWITCHES: [&str; 3] = [FINANCE, POLICY, CARBON];

/// The smallest plant, in t/yr: a bench-scale unit.
const LEAST_CAPACITY: f64 = 1.0;

/// Calendar years that a plant may run in.
const YEARS: Range = Range::whole(1990.0, 2200.0);

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $field:expr;)+) => {
        $($(#[$doc])* pub const $name: Field = $field;)+

        /// Every numeric input, in the order of the document.
        pub const ALL: &[Field] = &[$($name),+];
    };
}

fields! {
    /// Liquid fuel made per year. World jet demand is about 3e8 t/yr: no plant makes a third of it.
    CAPACITY = Field::required((PLANT, "capacity"), "capacity", "C", Group::Capacity, Range::from_to(LEAST_CAPACITY, 1e8));
    /// Hours of operation per year, at most those of a leap year.
    LOAD_HOURS = Field::required((PLANT, "load_hours"), "annual load hours", "h", Group::LoadHours, Range::from_to(1.0, 8784.0));
    /// Emissions of the process itself; negative where the plant stores carbon.
    PROCESS_CI = Field::required((PLANT, "process_ci"), "process CI", "CI_process", Group::CiPerFuelEnergy, Range::from_to(-500.0, 1000.0));

    /// Price of a feedstock; negative where the plant is paid a gate fee for taking waste.
    FEEDSTOCK_PRICE = Field::required((FEEDSTOCK, "price"), "feedstock price", "p_f", Group::PricePerMass, Range::from_to(-1000.0, 1e5));
    /// Feedstock per fuel; wet manure needs about ten, a hundred leaves room for the wettest.
    FEEDSTOCK_YIELD = Field::required((FEEDSTOCK, "yield"), "feedstock yield", "y_f", Group::MassYield, Range::from_to(0.0, 100.0));
    /// Carbon in a feedstock, a share of its mass.
    FEEDSTOCK_CARBON = Field::required((FEEDSTOCK, "carbon_content"), "feedstock carbon content", "c_f", Group::MassYield, Range::from_to(0.0, 1.0));
    /// Emissions of growing, collecting and moving a feedstock; negative for avoided emissions.
    FEEDSTOCK_CI = Field::required((FEEDSTOCK, "ci"), "feedstock CI", "CI_f", Group::CiPerMass, Range::from_to(-1e4, 1e5));
    /// Lower heating value of a feedstock; wet ones have little. Only the energy balance needs it.
    FEEDSTOCK_ENERGY = Field::required((FEEDSTOCK, "energy_content"), "feedstock energy content", "e_f", Group::EnergyContent, Range::from_to(0.0, 150.0)).absent(Absence::Accepted);

    /// Price of hydrogen; never paid for taking it.
    HYDROGEN_PRICE = Field::required((HYDROGEN, "price"), "hydrogen price", "p_H2", Group::PricePerMass, Range::from_to(0.0, 1e6));
    /// Hydrogen per fuel; a hydrocarbon holds about 0.15, so ten covers every loss.
    HYDROGEN_YIELD = Field::required((HYDROGEN, "yield"), "hydrogen yield", "y_H2", Group::MassYield, Range::from_to(0.0, 10.0));
    /// Emissions of making hydrogen; about 1e4 from natural gas, more from coal.
    HYDROGEN_CI = Field::required((HYDROGEN, "ci"), "hydrogen CI", "CI_H2", Group::CiPerMass, Range::from_to(-1e5, 1e5));
    /// Price of electricity; spot prices turn negative and peak in the thousands.
    ELECTRICITY_PRICE = Field::required((ELECTRICITY, "price"), "electricity price", "p_el", Group::PricePerEnergy, Range::from_to(-1000.0, 1e4));
    /// Electricity per fuel; power-to-liquid needs about 25 MWh/t.
    ELECTRICITY_YIELD = Field::required((ELECTRICITY, "yield"), "electricity yield", "y_el", Group::ElectricityYield, Range::from_to(0.0, 1000.0));
    /// Emissions of electricity; about 1000 from coal.
    ELECTRICITY_CI = Field::required((ELECTRICITY, "ci"), "electricity CI", "CI_el", Group::CiPerElectricity, Range::from_to(-1e4, 1e4));

    /// Price of a product, before any premium.
    PRODUCT_PRICE = Field::required((PRODUCT, "price"), "product price", "p_i", Group::PricePerMass, Range::from_to(0.0, 1e5));
    /// Product per liquid fuel, a share of the nominal capacity.
    PRODUCT_YIELD = Field::required((PRODUCT, "yield"), "product yield", "y_i", Group::MassYield, Range::from_to(0.0, 1.0));
    /// Carbon in a product, a share of its mass.
    PRODUCT_CARBON = Field::required((PRODUCT, "carbon_content"), "product carbon content", "c_i", Group::MassYield, Range::from_to(0.0, 1.0));
    /// Lower heating value of a product; hydrogen, the greatest, has 120.
    PRODUCT_ENERGY = Field::required((PRODUCT, "energy_content"), "product energy content", "e_i", Group::EnergyContent, Range::from_to(1.0, 150.0));
    /// Density of a product, gases included. No formula needs it, so it may be left out.
    PRODUCT_DENSITY = Field::required((PRODUCT, "density"), "product density", "ρ_i", Group::Density, Range::from_to(10.0, 5000.0)).absent(Absence::Accepted);
    /// Premium per carbon intensity saved; no premium unless given.
    PRICE_SENSITIVITY = Field::required((PRODUCT, "price_sensitivity"), "price sensitivity to CI", "s_i", Group::PriceSensitivity, Range::from_to(-1000.0, 1000.0)).absent(Absence::Means(0.0));

    /// Return that capital could earn elsewhere, per year.
    DISCOUNT_RATE = Field::required((ECONOMICS, "discount_rate"), "discount rate", "r", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Years of operation, whole because the cash flow is yearly.
    LIFETIME = Field::required((ECONOMICS, "lifetime"), "plant lifetime", "n", Group::Time, Range::whole(1.0, 100.0));
    /// Total capital investment of the reference plant.
    TCI_REFERENCE = Field::required((ECONOMICS, "tci_reference"), "reference TCI", "TCI_ref", Group::Money, Range::from_to(1.0, 1e12));
    /// Capacity of the reference plant.
    REFERENCE_CAPACITY = Field::required((ECONOMICS, "reference_capacity"), "reference capacity", "C_ref", Group::Capacity, Range::from_to(LEAST_CAPACITY, 1e8));
    /// Economy of scale; 0.6 to 0.7 for process plants, 1 for none.
    SCALING_EXPONENT = Field::required((ECONOMICS, "scaling_exponent"), "scaling exponent", "a", Group::Ratio, Range::from_to(0.0, 2.0));
    /// Working capital per TCI.
    WORKING_CAPITAL_RATIO = Field::required((ECONOMICS, "working_capital_ratio"), "working-capital ratio", "w", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Indirect OPEX (maintenance, insurance, overhead) per TCI and year.
    INDIRECT_OPEX_RATIO = Field::required((ECONOMICS, "indirect_opex_ratio"), "indirect-OPEX ratio", "k", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Tax on profit.
    TAX_RATE = Field::required((ECONOMICS, "tax_rate"), "tax rate", "τ", Group::Ratio, Range::from_to(0.0, 1.0));

    /// Life-cycle CI of the fossil comparator: CORSIA's 89 gCO2e/MJ unless given (RED takes 94).
    FOSSIL_CI = Field::required((FOSSIL, "ci"), "fossil comparator CI", "CI_fossil", Group::CiPerFuelEnergy, Range::from_to(1.0, 500.0)).absent(Absence::Means(89.0));
    /// Price of fossil jet fuel.
    FOSSIL_PRICE = Field::required((FOSSIL, "price"), "fossil jet price", "p_fossil", Group::PricePerMass, Range::from_to(0.0, 1e5));
    /// Lower heating value of fossil jet fuel.
    FOSSIL_ENERGY = Field::required((FOSSIL, "energy_content"), "fossil jet energy content", "e_fossil", Group::EnergyContent, Range::from_to(1.0, 150.0));

    /// Calendar year of the first year of operation: what incentives with a last year count from.
    FIRST_YEAR = Field::switch((FINANCE, "first_year"), "first year of operation", "Y_1", Group::Time, YEARS);
    /// Share of the investment spent in the first year of construction.
    CONSTRUCTION_1 = Field::construction("construction_year_1", "share of capital in construction year 1", "k_1");
    /// Share of the investment spent in the second year of construction.
    CONSTRUCTION_2 = Field::construction("construction_year_2", "share of capital in construction year 2", "k_2");
    /// Share of the investment spent in the third year of construction.
    CONSTRUCTION_3 = Field::construction("construction_year_3", "share of capital in construction year 3", "k_3");
    /// Share of the investment spent in the fourth year of construction.
    CONSTRUCTION_4 = Field::construction("construction_year_4", "share of capital in construction year 4", "k_4");
    /// Share of the investment spent in the fifth year of construction.
    CONSTRUCTION_5 = Field::construction("construction_year_5", "share of capital in construction year 5", "k_5");
    /// Part of the first year of operation that is start-up.
    STARTUP_TIME = Field::switch((FINANCE, "startup_time"), "start-up time", "u", Group::Time, Range::from_to(0.0, 1.0));
    /// Revenue during start-up per ordinary revenue.
    STARTUP_REVENUE = Field::switch((FINANCE, "startup_revenue"), "revenue during start-up", "u_R", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Variable cost during start-up per ordinary one; off-specification runs cost more than they earn.
    STARTUP_VARIABLE_COST = Field::switch((FINANCE, "startup_variable_cost"), "variable cost during start-up", "u_V", Group::Ratio, Range::from_to(0.0, 2.0));
    /// Fixed cost during start-up per ordinary one.
    STARTUP_FIXED_COST = Field::switch((FINANCE, "startup_fixed_cost"), "fixed cost during start-up", "u_F", Group::Ratio, Range::from_to(0.0, 2.0));
    /// Years of straight-line depreciation.
    DEPRECIATION_PERIOD = Field::switch((FINANCE, "depreciation_period"), "depreciation period", "n_D", Group::Time, Range::whole(1.0, 100.0));
    /// The greatest share of a year's taxable income that carried losses may cancel; 0.8 in the US since 2018.
    LOSS_LIMIT = Field::switch((FINANCE, "loss_limit"), "limit of loss use", "l", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Share of the investment that is borrowed.
    DEBT_SHARE = Field::switch((FINANCE, "debt_share"), "debt share", "d", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Interest on debt.
    DEBT_RATE = Field::switch((FINANCE, "debt_rate"), "interest on debt", "r_d", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Years of operation in which debt is repaid, at most the lifetime.
    DEBT_TERM = Field::switch((FINANCE, "debt_term"), "debt term", "n_d", Group::Time, Range::whole(1.0, 100.0));
    /// General inflation; 0 means a real cash flow.
    INFLATION = Field::switch((FINANCE, "inflation"), "inflation", "i", Group::Ratio, Range::from_to(0.0, 1.0));
    /// Rise of feedstock prices above inflation.
    FEEDSTOCK_ESCALATION = Field::escalation("feedstock_escalation", "feedstock escalation", "g_f");
    /// Rise of the hydrogen price above inflation.
    HYDROGEN_ESCALATION = Field::escalation("hydrogen_escalation", "hydrogen escalation", "g_H2");
    /// Rise of the electricity price above inflation.
    ELECTRICITY_ESCALATION = Field::escalation("electricity_escalation", "electricity escalation", "g_el");
    /// Rise of the main product's price above inflation.
    MAIN_PRODUCT_ESCALATION = Field::escalation("main_product_escalation", "main-product escalation", "g_main");
    /// Rise of the co-products' prices above inflation.
    CO_PRODUCT_ESCALATION = Field::escalation("co_product_escalation", "co-product escalation", "g_co");
    /// Rise of the fixed cost above inflation.
    FIXED_COST_ESCALATION = Field::escalation("fixed_cost_escalation", "fixed-cost escalation", "g_F");

    /// Paid per tonne of CO2e avoided.
    CARBON_PRICE = Field::switch((POLICY, "carbon_price"), "carbon price", "p_CO2", Group::PricePerMass, Range::from_to(0.0, 1e5));
    /// First calendar year of the carbon price.
    CARBON_PRICE_FIRST_YEAR = Field::calendar_year("carbon_price_first_year", "first year of the carbon price", "Y_a");
    /// Last calendar year of the carbon price.
    CARBON_PRICE_LAST_YEAR = Field::calendar_year("carbon_price_last_year", "last year of the carbon price", "Y_b");
    /// Paid per tonne of main product.
    PRODUCTION_INCENTIVE = Field::switch((POLICY, "production_incentive"), "production incentive", "b", Group::PricePerMass, Range::from_to(0.0, 1e5));
    /// First calendar year of the production incentive.
    PRODUCTION_INCENTIVE_FIRST_YEAR = Field::calendar_year("production_incentive_first_year", "first year of the production incentive", "Y_a");
    /// Last calendar year of the production incentive.
    PRODUCTION_INCENTIVE_LAST_YEAR = Field::calendar_year("production_incentive_last_year", "last year of the production incentive", "Y_b");
    /// Price of an EU ETS allowance, a tonne of CO2.
    EU_ALLOWANCE_PRICE = Field::switch((POLICY, "eu_allowance_price"), "EU allowance price", "p_EUA", Group::PricePerMass, Range::from_to(0.0, 1e5));
    /// Share of the EU ETS allowances' value that reaches the producer.
    EU_PASS_THROUGH = Field::switch((POLICY, "eu_pass_through"), "EU pass-through", "h", Group::Ratio, Range::from_to(0.0, 1.0));

    /// A default life-cycle value, instead of the inventory.
    DEFAULT_CI = Field::switch((CARBON, "default_ci"), "default life-cycle CI", "CI_default", Group::CiPerFuelEnergy, Range::from_to(-500.0, 1000.0));
}
