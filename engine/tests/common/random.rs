//! Valid documents drawn over the whole allowed ranges, ends included.

use proptest::collection::vec;
use proptest::prelude::*;
use safire_engine::inputs::fields::{self, Field};
use safire_engine::inputs::{
    Allocation, CleanFuelCredit, Depreciation, Financing, FuelKind, Losses, Profile, SafAllowances,
};
use safire_engine::{InputDocument, Quantity};
use serde_json::{Value, json};

use crate::common::worked_case;

const FEEDSTOCKS: [&str; 2] = ["UCO", "animal-manure"];
const PRODUCTS: [&str; 4] = ["jet", "diesel", "naphtha", "propane"];
const LEAVES: usize = 64;

/// How often a value stays that of the worked case, in tenths.
#[derive(Clone, Copy)]
pub struct Usual(pub u8);

/// Valid documents with up to two feedstocks and four products.
pub fn documents(usual: Usual) -> impl Strategy<Value = InputDocument> {
    let leaves = vec((0..10u8, 0..4u8, 0.0..=1.0f64), LEAVES);
    (1..=FEEDSTOCKS.len(), 1..=PRODUCTS.len(), leaves)
        .prop_map(move |(feedstocks, products, draws)| document(usual, feedstocks, products, &draws))
}

type Draw = (u8, u8, f64);

fn document(usual: Usual, feedstocks: usize, products: usize, draws: &[Draw]) -> InputDocument {
    let typical = serde_json::to_value(worked_case()).unwrap();
    let mut draws = draws.iter().cycle();
    let mut text = json!({
        "plant": {}, "feedstocks": {}, "utilities": {"hydrogen": {}, "electricity": {}},
        "main_product": "jet", "products": {}, "economics": {}, "fossil": {}
    });
    for field in fields::ALL.iter().filter(|field| !is_switch(field)) {
        for code in codes(field, feedstocks, products) {
            let (choice, kind, share) = *draws.next().unwrap();
            let value = if choice < usual.0 { typical_value(&typical, field) } else { extreme(field, kind, share) };
            insert(&mut text, field, code, value);
        }
    }
    let mut document = serde_json::from_value(text).unwrap();
    balance(&mut document);
    document
}

/// Whether a field is a switch, which documents have only where they are asked to.
fn is_switch(field: &Field) -> bool {
    ["/finance", "/policy", "/carbon"].contains(&field.section)
}

/// Valid documents with every switch of finance and policy thrown at random.
pub fn switched(usual: Usual) -> impl Strategy<Value = InputDocument> {
    let draws = vec((0..4u8, 0.0..=1.0f64), LEAVES);
    (documents(usual), 0..Profile::ALL.len(), vec(0..20usize, 8), draws)
        .prop_map(|(document, profile, choices, draws)| switch(document, Profile::ALL[profile], &choices, &draws))
}

fn switch(mut document: InputDocument, profile: Profile, choices: &[usize], draws: &[(u8, f64)]) -> InputDocument {
    let mut text = serde_json::to_value(&document).unwrap();
    for section in ["finance", "policy", "carbon"] {
        text[section] = json!({});
    }
    let switches = fields::ALL.iter().filter(|field| is_switch(field) && field.name != fields::DEFAULT_CI.name);
    for (field, (kind, share)) in switches.zip(draws) {
        let is_share = field.name.starts_with("construction");
        if field.name == fields::FIRST_YEAR.name || (*share > 0.3 && !is_share) {
            insert(&mut text, field, None, extreme(field, *kind, *share));
        }
    }
    document.clone_from(&serde_json::from_value(text).unwrap());
    let of = |at: usize, count: usize| choices[at] % count;
    let finance = &mut document.finance;
    finance.profile = Some(profile);
    finance.depreciation = Depreciation::ALL.get(choices[0]).copied();
    finance.losses = Losses::ALL.get(of(1, 3)).copied();
    finance.financing = Financing::ALL.get(of(2, 3)).copied();
    finance.debt_term = Some(Quantity::new(1.0, "yr"));
    finance.debt_rate.get_or_insert(Quantity::new(0.05, "1"));
    document.policy.us_45z = CleanFuelCredit::ALL.get(of(3, 4)).copied();
    document.policy.fuel_kind = FuelKind::ALL.get(of(4, 4)).copied();
    document.policy.eu_saf_allowances = SafAllowances::ALL.get(of(5, 3)).copied();
    document.carbon.allocation = Allocation::ALL.get(of(6, 4)).copied();
    let value: f64 = document.products.values().map(|p| number(&p.price) * number(&p.r#yield)).sum();
    if value == 0.0 {
        document.carbon.allocation = None;
    }
    document
}

fn number(quantity: &Option<Quantity>) -> f64 {
    quantity.as_ref().map_or(0.0, |quantity| quantity.value)
}

fn codes(field: &Field, feedstocks: usize, products: usize) -> Vec<Option<&'static str>> {
    match field.section {
        "/feedstocks/*" => FEEDSTOCKS[..feedstocks].iter().copied().map(Some).collect(),
        "/products/*" => PRODUCTS[..products].iter().copied().map(Some).collect(),
        _ => vec![None],
    }
}

fn insert(text: &mut Value, field: &Field, code: Option<&str>, value: f64) {
    let section = field.section.replace('*', code.unwrap_or_default());
    if let Some(code) = code {
        let (parent, _) = field.section.rsplit_once('/').unwrap();
        let parent = text.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.entry(code).or_insert(json!({}));
    }
    text.pointer_mut(&section).unwrap()[field.name] = json!({"value": value, "unit": field.group.base_unit()});
}

/// The worked case's value, in base units.
fn typical_value(typical: &Value, field: &Field) -> f64 {
    let code = if field.section.starts_with("/feedstocks") { "UCO" } else { "jet" };
    let Some(quantity) = typical.pointer(&field.pointer(Some(code))) else { return field.range.max };
    let quantity: Quantity = serde_json::from_value(quantity.clone()).unwrap();
    quantity.in_base_unit(field.group).unwrap()
}

/// An end of the range, or a value between the ends, evenly or by magnitude.
fn extreme(field: &Field, kind: u8, share: f64) -> f64 {
    let range = field.range;
    let least = range.min;
    let value = match kind {
        0 => least,
        1 => range.max,
        2 => range.min + (range.max - range.min) * share,
        _ => range.max * 10f64.powf(-330.0 * share),
    };
    let value = value.clamp(least, range.max);
    if range.whole { value.round().max(range.min) } else { value }
}

/// Scales yields and carbon until the products can be made of the feedstocks.
fn balance(document: &mut InputDocument) {
    let products = document.products.values_mut();
    let sum: f64 = products.map(|product| *yield_of(&mut product.r#yield)).sum();
    for product in document.products.values_mut() {
        *yield_of(&mut product.r#yield) /= sum.max(1.0);
    }
    let main = yield_of(&mut document.products.get_mut("jet").unwrap().r#yield);
    *main = main.max(f64::MIN_POSITIVE);
    let (mut out, mut fed) = (0.0, 0.0);
    for product in document.products.values_mut() {
        out += *yield_of(&mut product.r#yield) * *yield_of(&mut product.carbon_content);
    }
    for feedstock in document.feedstocks.values_mut() {
        let carbon = yield_of(&mut feedstock.carbon_content);
        *carbon = carbon.max(1e-3);
        let yielded = yield_of(&mut feedstock.r#yield);
        *yielded = yielded.max(1e-3);
        fed += *yield_of(&mut feedstock.r#yield) * *yield_of(&mut feedstock.carbon_content);
    }
    if out > fed {
        for product in document.products.values_mut() {
            *yield_of(&mut product.carbon_content) *= fed / out;
        }
    }
}

fn yield_of(quantity: &mut Option<Quantity>) -> &mut f64 {
    &mut quantity.as_mut().unwrap().value
}
