//! What the test binaries share: the default sets and the worked case.

use safire_engine::{InputDocument, Inputs, resolve};

const MASTER_DATA: &str = include_str!("../../../domain/data/master-data.json");

/// The default set of a process and country.
pub fn defaults(process: &str, country: &str) -> InputDocument {
    let data: serde_json::Value = serde_json::from_str(MASTER_DATA).unwrap();
    let sets = data["defaults"].as_array().unwrap();
    let set = sets
        .iter()
        .find(|set| set["process"] == process && set["country"] == country)
        .unwrap_or_else(|| panic!("no default set for {process} in {country}"));
    serde_json::from_value(set["inputs"].clone()).unwrap()
}

/// The document of the worked case: HEFA, UCO, USA.
pub fn worked_case() -> InputDocument {
    defaults("HEFA", "USA")
}

/// A document's validated inputs.
pub fn inputs(document: &InputDocument) -> Inputs {
    resolve(document, None).unwrap().inputs
}
