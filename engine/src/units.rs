//! Units as data: groups, units, their factors, and the [`Quantity`] that a user gives.
//!
//! Conversion multiplies or divides by a whole number, never by a decimal fraction, so that every
//! conversion is one correctly rounded operation: 7 % is exactly the number 0.07.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::inputs::object::objects_only;

/// What a unit measures. Quantities of one group convert into each other, of two groups never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Fuel made per year, in t/yr.
    Capacity,
    /// Mass per volume, in kg/m3.
    Density,
    /// Price of a material, in USD/t.
    PricePerMass,
    /// Price of electricity, in USD/MWh.
    PricePerEnergy,
    /// Carbon intensity of a material, in gCO2e/kg.
    CiPerMass,
    /// Carbon intensity of electricity, in gCO2e/kWh.
    CiPerElectricity,
    /// Carbon intensity of a fuel, in gCO2e/MJ.
    CiPerFuelEnergy,
    /// Lower heating value, in MJ/kg.
    EnergyContent,
    /// Mass per mass of fuel, or carbon per mass, in kg/kg.
    MassYield,
    /// Electricity per mass of fuel, in MWh/t.
    ElectricityYield,
    /// Money, in USD.
    Money,
    /// A share or an exponent, in 1.
    Ratio,
    /// Years, in yr.
    Time,
    /// Hours of operation per year, in h/yr.
    LoadHours,
    /// Price premium per carbon intensity saved, in USD/t per gCO2e/MJ.
    PriceSensitivity,
}

impl Group {
    /// All groups, in the order in which they are listed to users.
    pub const ALL: [Self; 15] = [
        Self::Capacity,
        Self::Density,
        Self::PricePerMass,
        Self::PricePerEnergy,
        Self::CiPerMass,
        Self::CiPerElectricity,
        Self::CiPerFuelEnergy,
        Self::EnergyContent,
        Self::MassYield,
        Self::ElectricityYield,
        Self::Money,
        Self::Ratio,
        Self::Time,
        Self::LoadHours,
        Self::PriceSensitivity,
    ];

    /// The unit that the engine calculates in.
    pub const fn base_unit(self) -> &'static str {
        match self {
            Self::Capacity => "t/yr",
            Self::Density => "kg/m3",
            Self::PricePerMass => "USD/t",
            Self::PricePerEnergy => "USD/MWh",
            Self::CiPerMass => "gCO2e/kg",
            Self::CiPerElectricity => "gCO2e/kWh",
            Self::CiPerFuelEnergy => "gCO2e/MJ",
            Self::EnergyContent => "MJ/kg",
            Self::MassYield => "kg/kg",
            Self::ElectricityYield => "MWh/t",
            Self::Money => "USD",
            Self::Ratio => "1",
            Self::Time => "yr",
            Self::LoadHours => "h/yr",
            Self::PriceSensitivity => "USD/t per gCO2e/MJ",
        }
    }

    /// The group's name in sentences.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Density => "density",
            Self::PricePerMass => "price per mass",
            Self::PricePerEnergy => "price per energy",
            Self::CiPerMass => "CI per mass",
            Self::CiPerElectricity => "CI per electricity",
            Self::CiPerFuelEnergy => "CI per fuel energy",
            Self::EnergyContent => "energy content",
            Self::MassYield => "mass yield",
            Self::ElectricityYield => "electricity yield",
            Self::Money => "money",
            Self::Ratio => "ratio",
            Self::Time => "time",
            Self::LoadHours => "load hours",
            Self::PriceSensitivity => "price sensitivity to CI",
        }
    }

    /// The units that this group accepts, its base unit first.
    pub fn units(self) -> impl Iterator<Item = &'static Unit> {
        UNITS.iter().filter(move |unit| unit.group == self)
    }

    fn accepted(self) -> String {
        let symbols: Vec<&str> = self.units().map(|unit| unit.symbol).collect();
        symbols.join(", ")
    }
}

/// A unit of one group. `%` is a unit of two groups, hence two rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// How users write it.
    pub symbol: &'static str,
    /// What it measures.
    pub group: Group,
    multiplier: f64,
    divisor: f64,
}

impl Unit {
    const fn same(symbol: &'static str, group: Group) -> Self {
        Self::times(symbol, group, 1.0)
    }

    const fn times(symbol: &'static str, group: Group, multiplier: f64) -> Self {
        Self { symbol, group, multiplier, divisor: 1.0 }
    }

    const fn per(symbol: &'static str, group: Group, divisor: f64) -> Self {
        Self { symbol, group, multiplier: 1.0, divisor }
    }

    /// How many base units one of this unit is.
    pub fn factor(&self) -> f64 {
        self.multiplier / self.divisor
    }

    /// `value` of this unit in the group's base unit.
    pub fn to_base(&self, value: f64) -> f64 {
        // One of the two is 1, so this rounds once. Adding 0.0 turns -0.0 into 0.0: stores that keep
        // decimal numbers do not tell them apart, and a stored document must give the same bits again.
        value * self.multiplier / self.divisor + 0.0
    }
}

/// Every unit that is accepted, group by group, each group's base unit first.
pub static UNITS: [Unit; 33] = [
    Unit::same("t/yr", Group::Capacity),
    Unit::times("kt/yr", Group::Capacity, 1e3),
    Unit::times("kta", Group::Capacity, 1e3),
    Unit::times("ktpa", Group::Capacity, 1e3),
    Unit::same("kg/m3", Group::Density),
    Unit::times("g/cm3", Group::Density, 1e3),
    Unit::times("kg/L", Group::Density, 1e3),
    Unit::same("USD/t", Group::PricePerMass),
    Unit::times("USD/kg", Group::PricePerMass, 1e3),
    Unit::per("USD/kt", Group::PricePerMass, 1e3),
    Unit::same("USD/MWh", Group::PricePerEnergy),
    Unit::times("USD/kWh", Group::PricePerEnergy, 1e3),
    Unit::same("gCO2e/kg", Group::CiPerMass),
    Unit::same("kgCO2e/t", Group::CiPerMass),
    Unit::same("gCO2e/kWh", Group::CiPerElectricity),
    Unit::same("kgCO2e/MWh", Group::CiPerElectricity),
    Unit::same("gCO2e/MJ", Group::CiPerFuelEnergy),
    Unit::same("kgCO2e/GJ", Group::CiPerFuelEnergy),
    Unit::same("MJ/kg", Group::EnergyContent),
    Unit::same("GJ/t", Group::EnergyContent),
    Unit::same("kg/kg", Group::MassYield),
    Unit::same("t/t", Group::MassYield),
    Unit::per("%", Group::MassYield, 1e2),
    Unit::same("MWh/t", Group::ElectricityYield),
    Unit::same("kWh/kg", Group::ElectricityYield),
    Unit::per("kWh/t", Group::ElectricityYield, 1e3),
    Unit::same("USD", Group::Money),
    Unit::times("MUSD", Group::Money, 1e6),
    Unit::same("1", Group::Ratio),
    Unit::per("%", Group::Ratio, 1e2),
    Unit::same("yr", Group::Time),
    Unit::same("h/yr", Group::LoadHours),
    Unit::same("USD/t per gCO2e/MJ", Group::PriceSensitivity),
];

/// A group and its units, as listed to users.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct UnitGroup {
    /// The group.
    pub group: Group,
    /// The unit that the engine calculates in.
    #[schema(example = "t/yr")]
    pub base_unit: &'static str,
    /// Every accepted unit, the base unit first.
    pub units: Vec<AcceptedUnit>,
}

/// A unit and its factor, as listed to users.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AcceptedUnit {
    /// How to write it.
    #[schema(example = "kt/yr")]
    pub symbol: &'static str,
    /// How many base units one of it is.
    #[schema(example = 1000)]
    pub factor: f64,
}

/// All groups with their units, in a fixed order.
///
/// ```
/// let groups = safire_engine::units::groups();
/// let capacity = serde_json::to_value(&groups[0]).unwrap();
/// assert_eq!(capacity["base_unit"], "t/yr");
/// assert_eq!(capacity["units"][1], serde_json::json!({ "symbol": "kt/yr", "factor": 1000.0 }));
/// ```
pub fn groups() -> Vec<UnitGroup> {
    Group::ALL.map(listed).into()
}

fn listed(group: Group) -> UnitGroup {
    let accepted = |unit: &Unit| AcceptedUnit { symbol: unit.symbol, factor: unit.factor() };
    UnitGroup { group, base_unit: group.base_unit(), units: group.units().map(accepted).collect() }
}

/// A number with the unit it was given in.
///
/// ```
/// use safire_engine::{Group, Quantity};
///
/// let capacity: Quantity = serde_json::from_str(r#"{ "value": 500, "unit": "kt/yr" }"#).unwrap();
/// assert_eq!(capacity.in_base_unit(Group::Capacity), Ok(500_000.0));
/// assert_eq!(Quantity::new(7.0, "%").in_base_unit(Group::Ratio), Ok(0.07));
///
/// let refused = serde_json::from_str::<Quantity>("500").unwrap_err();
/// assert!(refused.to_string().contains(r#"expected a quantity such as {"value": 500, "unit": "kt/yr"}"#));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "A number with the unit it was given in.")]
#[serde(remote = "Self", deny_unknown_fields, expecting = "a quantity such as {\"value\": 500, \"unit\": \"kt/yr\"}")]
pub struct Quantity {
    /// The number.
    #[schema(example = 500)]
    pub value: f64,
    /// One of the units of the field's group, see the list of units.
    #[schema(example = "kt/yr")]
    pub unit: String,
}

objects_only!(Quantity);

impl Quantity {
    /// `value` of `unit`; the unit is only looked up on conversion.
    pub fn new(value: f64, unit: impl Into<String>) -> Self {
        Self { value, unit: unit.into() }
    }

    /// The number in the base unit of `group`, if the unit is one of that group's.
    pub fn in_base_unit(&self, group: Group) -> Result<f64, UnitError> {
        match group.units().find(|unit| unit.symbol == self.unit) {
            Some(unit) => Ok(unit.to_base(self.value)),
            None => Err(self.refused(group)),
        }
    }

    fn refused(&self, expected: Group) -> UnitError {
        let unit = self.unit.clone();
        match UNITS.iter().find(|known| known.symbol == unit) {
            Some(known) => UnitError::WrongGroup { unit, found: known.group, expected },
            None => UnitError::Unknown { unit, expected },
        }
    }
}

/// Why a unit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No group has such a unit.
    #[error("unit {unit:?} is not known; accepted are {}", expected.accepted())]
    Unknown {
        /// The unit as given.
        unit: String,
        /// The group that was needed.
        expected: Group,
    },
    /// The unit measures something else.
    #[error(
        "unit {unit:?} is a unit of {}, not of {}; accepted are {}",
        found.label(),
        expected.label(),
        expected.accepted()
    )]
    WrongGroup {
        /// The unit as given.
        unit: String,
        /// The group that the unit belongs to.
        found: Group,
        /// The group that was needed.
        expected: Group,
    },
}
