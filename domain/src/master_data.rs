//! Master data: the technologies, feedstocks, countries, utilities and products that scenarios name,
//! and the default set of inputs for each pathway.

use std::sync::OnceLock;

use safire_engine::{
    InputDocument, Quantity,
    inputs::{Violation, code},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::scenario::Pathway;

/// One entry of a list, by code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "code": "HEFA", "name": "Hydroprocessed esters and fatty acids" }))]
pub struct Entry {
    /// The code that scenarios use.
    pub code: String,
    /// What people call it.
    pub name: String,
}

/// A feedstock, and what is typical of it wherever it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Feedstock {
    /// Code and name.
    #[serde(flatten)]
    pub entry: Entry,
    /// Carbon per mass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carbon_content: Option<Quantity>,
    /// Feedstock per fuel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#yield: Option<Quantity>,
}

/// The inputs that a pathway has unless its user gives others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DefaultSet {
    /// Plant, feedstock and place.
    #[serde(flatten)]
    pub pathway: Pathway,
    /// Every input.
    pub inputs: InputDocument,
    /// Where figures come from that need saying.
    #[serde(default)]
    #[schema(example = json!(["Prices of 2024"]))]
    pub notes: Vec<String>,
}

/// All master data of one edition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MasterData {
    /// Counts the changes; every run names the edition that it used.
    pub edition: i64,
    /// Process technologies.
    pub process_technologies: Vec<Entry>,
    /// Feedstocks.
    pub feedstocks: Vec<Feedstock>,
    /// Countries.
    pub countries: Vec<Entry>,
    /// Utilities.
    pub utilities: Vec<Entry>,
    /// Products.
    pub products: Vec<Entry>,
    /// Default sets.
    pub defaults: Vec<DefaultSet>,
}

impl MasterData {
    /// The edition that a new database is seeded with, and that `safire calculate` uses.
    pub fn seed() -> &'static Self {
        static SEED: OnceLock<MasterData> = OnceLock::new();
        SEED.get_or_init(|| {
            let text = include_str!("../data/master-data.json");
            serde_json::from_str(text).expect("the embedded master data is well-formed: a test reads it")
        })
    }

    /// The default set of a pathway.
    pub fn defaults_for(&self, pathway: &Pathway) -> Option<&DefaultSet> {
        self.defaults.iter().find(|set| set.pathway == *pathway)
    }

    /// The feedstocks' codes and names.
    pub fn feedstock_entries(&self) -> Vec<Entry> {
        self.feedstocks.iter().map(|feedstock| feedstock.entry.clone()).collect()
    }

    /// Names every code that is not in the lists.
    ///
    /// Pointers are relative to a scenario: `/process`, `/inputs/products/…`.
    pub fn unknown_codes(&self, pathway: &Pathway, inputs: &InputDocument) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut check = |pointer: String, what: &str, code: &str, known: &[Entry]| {
            if !known.iter().any(|entry| entry.code == code) {
                found.push(unknown(pointer, what, code, known));
            }
        };
        let feedstocks = self.feedstock_entries();
        check("/process".into(), "process technology", &pathway.process, &self.process_technologies);
        check("/feedstock".into(), "feedstock", &pathway.feedstock, &feedstocks);
        check("/country".into(), "country", &pathway.country, &self.countries);
        for code in inputs.feedstocks.keys() {
            check(input_pointer("feedstocks", code), "feedstock", code, &feedstocks);
        }
        for code in inputs.products.keys() {
            check(input_pointer("products", code), "product", code, &self.products);
        }
        found
    }

    /// Everything that is wrong with a default set: it has to be complete, and right by itself.
    ///
    /// Pointers are relative to the set: `/process`, `/inputs/products/…`.
    pub fn check_default_set(&self, set: &DefaultSet) -> Vec<Violation> {
        let DefaultSet { pathway, inputs, .. } = set;
        let mut found = self.unknown_codes(pathway, inputs);
        if !inputs.feedstocks.contains_key(&pathway.feedstock) {
            found.push(Violation {
                pointer: input_pointer("feedstocks", &pathway.feedstock),
                code: code::REQUIRED,
                message: format!("the set of feedstock {} does not have its inputs", pathway.feedstock),
                allowed: None,
            });
        }
        if let Err(invalid) = safire_engine::resolve(&InputDocument::default(), Some(inputs)) {
            let at_inputs = |v: Violation| Violation { pointer: format!("/inputs{}", v.pointer), ..v };
            found.extend(invalid.into_violations().into_iter().map(at_inputs));
        }
        found
    }
}

fn input_pointer(list: &str, code: &str) -> String {
    format!("/inputs/{list}/{}", code.replace('~', "~0").replace('/', "~1"))
}

pub(crate) fn unknown(pointer: String, what: &str, code: &str, known: &[Entry]) -> Violation {
    let codes: Vec<_> = known.iter().map(|entry| entry.code.as_str()).collect();
    let shown: String = code.chars().take(64).collect();
    Violation {
        pointer,
        code: "code.unknown",
        message: format!("unknown {what} \"{shown}\"; known are {}", codes.join(", ")),
        allowed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_holds_a_complete_default_set_for_each_of_its_pathways() {
        let seed = MasterData::seed();
        assert_eq!(seed.defaults.len(), 4);
        for set in &seed.defaults {
            assert_eq!(seed.unknown_codes(&set.pathway, &set.inputs), []);
            let resolved = safire_engine::resolve(&InputDocument::default(), Some(&set.inputs));
            assert!(resolved.is_ok(), "{:?}: {resolved:?}", set.pathway);
            assert_eq!(seed.check_default_set(set), []);
        }
    }

    #[test]
    fn a_default_set_is_complete_right_and_of_known_codes() {
        let mut set = MasterData::seed().defaults[0].clone();
        set.inputs.products.insert("kerosene".into(), set.inputs.products["jet"].clone());
        set.inputs.economics.lifetime = None;
        let tallow = set.inputs.feedstocks.remove("UCO").unwrap();
        set.inputs.feedstocks.insert("animal-manure".into(), tallow);
        let found = MasterData::seed().check_default_set(&set);
        let found: Vec<_> = found.iter().map(|v| (v.pointer.as_str(), v.code)).collect();
        assert_eq!(
            found[..3],
            [
                ("/inputs/products/kerosene", "code.unknown"),
                ("/inputs/feedstocks/UCO", "required"),
                ("/inputs/economics/lifetime", "required"),
            ]
        );
        assert!(found.iter().any(|(_, code)| *code == "yields_exceed_one"), "{found:?}");
    }

    #[test]
    fn an_unknown_code_is_named_with_the_ones_that_are_known() {
        let pathway = Pathway { process: "HEFAA".into(), feedstock: "UCO".into(), country: "USA".into() };
        let found = MasterData::seed().unknown_codes(&pathway, &InputDocument::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pointer, "/process");
        assert_eq!(found[0].message, "unknown process technology \"HEFAA\"; known are HEFA, FT-BtL, ATJ, CHJ");
    }
}
