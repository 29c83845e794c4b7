//! What must hold between inputs: the products are made of the feedstocks, and of nothing else.
//!
//! Inputs that were refused on their own are NaN here. NaN compares as false with everything, so a
//! balance stays silent where one of its terms is already reported.

use crate::units::Group;

use super::document::InputDocument;
use super::fields::{PRODUCT_YIELD, Range};
use super::pointer;
use super::values::{Product, Values};
use super::violation::{Allowed, Violation, code, number};

/// By how much a sum of shares may exceed its bound: 0.64 + 0.15 + 0.21 need not be exactly 1 in binary,
/// while no analyst means a difference in the ninth digit.
pub const SUM_TOLERANCE: f64 = 1e-9;

const MAIN_PRODUCT: &str = "/main_product";
const PRODUCTS: &str = "/products";

/// The products together weigh at most as much as the fuel they are a share of.
pub(super) fn yields(products: &[Product]) -> Option<Violation> {
    let yields = products.iter().map(|product| product.yield_kg_per_kg);
    // Whatever the missing ones turn out to be, they cannot bring the sum down again.
    let sum: f64 = yields.filter(|share| share.is_finite()).sum();
    let Range { max, .. } = PRODUCT_YIELD.range;
    (sum > max + SUM_TOLERANCE).then(|| Violation {
        pointer: PRODUCTS.into(),
        code: code::YIELDS_EXCEED_ONE,
        message: format!("the product yields sum to {} kg/kg; allowed is at most {max} kg/kg", number(sum)),
        allowed: Some(Allowed::up_to(max, Group::MassYield)),
    })
}

/// The products hold at most the carbon that the feedstocks bring, and these bring some: a fuel without
/// carbon is none, and its conversion efficiency would be 0 / 0.
pub(super) fn carbon(values: &Values) -> Option<Violation> {
    let products = values.products.iter();
    let feedstocks = values.feedstocks.iter();
    let out: f64 = products.map(|p| p.carbon_kg_per_kg * p.yield_kg_per_kg).sum();
    let fed: f64 = feedstocks.map(|f| f.carbon_kg_per_kg * f.yield_kg_per_kg).sum();
    (out > fed + SUM_TOLERANCE || fed == 0.0).then(|| Violation {
        pointer: PRODUCTS.into(),
        code: code::CARBON_BALANCE,
        message: format!(
            "the products hold {} kg carbon per kg fuel, the feedstocks bring {} kg/kg",
            number(out),
            number(fed)
        ),
        allowed: Some(Allowed::up_to(fed, Group::MassYield)),
    })
}

/// Something is made.
pub(super) fn something_is_made(products: &[Product]) -> Option<Violation> {
    let nothing = products.iter().all(|product| product.yield_kg_per_kg == 0.0);
    nothing.then(|| {
        let message = "no product with a yield above 0 is given";
        violation(PRODUCTS.into(), code::NO_PRODUCT, message.into())
    })
}

/// The main product is named and made.
pub(super) fn main_product(merged: &InputDocument, products: &[Product]) -> Option<Violation> {
    let missing = |pointer, message| Some(violation(pointer, code::MAIN_PRODUCT_MISSING, message));
    let Some(main) = &merged.main_product else {
        return missing(MAIN_PRODUCT.into(), "the main product is not given and has no default".into());
    };
    match products.iter().find(|product| product.code == *main) {
        None => missing(
            MAIN_PRODUCT.into(),
            format!("main product {main:?} is not among the products ({})", listed(products)),
        ),
        Some(product) if product.yield_kg_per_kg == 0.0 => missing(
            format!("{PRODUCTS}/{}/yield", pointer::escaped(main)),
            format!("main product {main:?} has yield 0 kg/kg; allowed is more than 0 to 1 kg/kg"),
        ),
        Some(_) => None,
    }
}

fn listed(products: &[Product]) -> String {
    let codes: Vec<&str> = products.iter().map(|product| product.code.as_str()).collect();
    if codes.is_empty() {
        return "none is given".into();
    }
    format!("given are {}", codes.join(", "))
}

fn violation(pointer: String, code: &'static str, message: String) -> Violation {
    Violation { pointer, code, message, allowed: None }
}
