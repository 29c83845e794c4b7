//! The types that cross the API describe themselves as they are read and written.

use safire_engine::inputs::{CarbonInputs, FinanceInputs, PolicyInputs, Profile};
use safire_engine::policy::Verdict;
use safire_engine::units::UnitGroup;
use safire_engine::{
    Answer, Balances, BaseAnalysis, Breakeven, BreakevenQuestion, CashFlowTable, CashFlowYear, Comparison, Failure,
    InputDocument, PolicyReport, Prices, Quantity, ResolvedInput, Trace, Violation,
};
use serde_json::Value;
use utoipa::PartialSchema;

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap()
}

#[test]
fn no_description_shows_rust_to_the_users_of_the_api() {
    let schemas = [
        schema::<InputDocument>(),
        schema::<Quantity>(),
        schema::<BaseAnalysis>(),
        schema::<Answer>(),
        schema::<Failure>(),
        schema::<Violation>(),
        schema::<ResolvedInput>(),
        schema::<Trace>(),
        schema::<UnitGroup>(),
        schema::<FinanceInputs>(),
        schema::<PolicyInputs>(),
        schema::<CarbonInputs>(),
        schema::<Profile>(),
        schema::<CashFlowTable>(),
        schema::<CashFlowYear>(),
        schema::<Prices>(),
        schema::<PolicyReport>(),
        schema::<Verdict>(),
        schema::<Balances>(),
        schema::<Comparison>(),
        schema::<BreakevenQuestion>(),
        schema::<Breakeven>(),
    ];
    for schema in schemas {
        let text = schema.to_string();
        for rust in ["```", "::", "[`"] {
            assert!(!text.contains(rust), "{rust} in {text}");
        }
    }
}

#[test]
fn a_quantity_needs_both_members_and_a_document_none() {
    assert_eq!(schema::<Quantity>()["required"], serde_json::json!(["value", "unit"]));
    assert_eq!(schema::<InputDocument>()["required"], Value::Null);
    assert_eq!(schema::<InputDocument>()["additionalProperties"], false);
}

#[test]
fn the_example_of_a_result_is_the_worked_case() {
    let case = include_str!("../../examples/hefa-uco-usa.json");
    let case: Value = serde_json::from_str(case).unwrap();
    let given: InputDocument = serde_json::from_value(case["inputs"].clone()).unwrap();
    let inputs = safire_engine::resolve(&given, None).unwrap().inputs;
    let result = serde_json::to_value(safire_engine::analyse(&inputs, &mut safire_engine::Plain).unwrap()).unwrap();
    for (name, property) in schema::<BaseAnalysis>()["properties"].as_object().unwrap() {
        if let (Some(example), Some(found)) = (property["example"].as_f64(), result[name].as_f64()) {
            assert!((example - found).abs() <= 1e-3 * found.abs(), "{name}: {example}, not {found}");
        }
    }
}
