//! From what a user wrote to numbers that the formulas may trust.
//!
//! [`InputDocument`] → [`resolve`] → [`Inputs`]. Everything that can be wrong is wrong here, once, with a
//! pointer, the value as given, the allowed range and its unit.

mod balance;
mod document;
pub mod fields;
mod finance;
pub(crate) mod object;
mod place;
mod pointer;
mod profile;
mod resolve;
mod section;
mod sources;
mod switched;
mod switches;
mod values;
mod vary;
pub(crate) mod violation;

pub use balance::SUM_TOLERANCE;
pub use document::{
    EconomicInputs, ElectricityInputs, FeedstockInputs, FossilInputs, HydrogenInputs, InputDocument, PlantInputs,
    ProductInputs, UtilityInputs,
};
pub use finance::{Carbon, Escalation, Finance, Offer, Policy};
pub use resolve::{Resolved, outline, resolve};
pub use sources::{ResolvedChoice, ResolvedInput, Source};
pub use switches::{
    Allocation, CarbonInputs, CleanFuelCredit, Depreciation, FinanceInputs, Financing, FuelKind, Losses, Payback,
    PolicyInputs, Profile, SafAllowances,
};
pub use values::{Economics, Electricity, Feedstock, Fossil, Hydrogen, Inputs, Plant, Product, Values};
pub(crate) use vary::{Place, Variation};
pub use violation::{Allowed, Invalid, Violation, code};
