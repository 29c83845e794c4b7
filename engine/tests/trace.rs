//! The trace says what the calculation did, to the bit.

mod common;
#[path = "common/random.rs"]
mod random;

use std::collections::{HashMap, HashSet};

use common::{inputs, worked_case};
use proptest::prelude::*;
use random::{Usual, documents, switched};
use safire_engine::inputs::fields;
use safire_engine::{BaseAnalysis, Plain, Quantity, Resolved, Trace, analyse, resolve};

fn every_number(value: &serde_json::Value, all: &mut Vec<f64>) {
    use serde_json::Value;
    match value {
        Value::Number(number) => all.push(number.as_f64().unwrap()),
        Value::Array(values) => values.iter().for_each(|value| every_number(value, all)),
        Value::Object(values) => values.values().for_each(|value| every_number(value, all)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Every input by pointer, in base units.
fn inputs_by_pointer(resolved: &Resolved) -> HashMap<String, u64> {
    let group = |pointer: &str| {
        let matches = |field: &&fields::Field| {
            let parts: Vec<&str> = pointer.split('/').collect();
            let pattern = field.pointer(None);
            let pattern: Vec<&str> = pattern.split('/').collect();
            parts.len() == pattern.len()
                && parts.iter().zip(&pattern).all(|(part, wanted)| *wanted == "*" || part == wanted)
        };
        fields::ALL.iter().find(matches).unwrap().group
    };
    let values = resolved.values.iter().map(|given| {
        let quantity = Quantity::new(given.value, given.unit.clone());
        let base = quantity.in_base_unit(group(&given.pointer)).unwrap();
        (given.pointer.clone(), base.to_bits())
    });
    values.collect()
}

fn assert_operands_are_inputs_or_earlier_steps(resolved: &Resolved, trace: &Trace) {
    let inputs = inputs_by_pointer(resolved);
    let mut steps: HashMap<&str, u64> = HashMap::new();
    for step in &trace.steps {
        for operand in &step.inputs {
            let source = operand.source.as_str();
            let known = inputs.get(source).or_else(|| steps.get(source));
            let known = known.unwrap_or_else(|| panic!("{}: no source {source}", step.name));
            assert_eq!(*known, operand.value.to_bits(), "{} takes {source}", step.name);
        }
        let value = step.value.unwrap_or(f64::NAN).to_bits();
        assert!(steps.insert(&step.name, value).is_none(), "{} twice", step.name);
    }
}

fn assert_every_number_is_traced(result: &BaseAnalysis, trace: &Trace) {
    let steps: HashSet<u64> = trace.steps.iter().filter_map(|step| step.value).map(f64::to_bits).collect();
    let mut numbers = Vec::new();
    every_number(&serde_json::to_value(result).unwrap(), &mut numbers);
    let notes: Vec<&str> = trace.steps.iter().filter_map(|step| step.note.as_deref()).collect();
    for number in numbers {
        let noted = || notes.iter().any(|note| note.contains(&format!("{number:?}")));
        assert!(steps.contains(&number.to_bits()) || noted(), "{number} is not in the trace");
    }
}

proptest! {
    #[test]
    fn the_traced_and_the_plain_result_are_the_same_bits(document in documents(Usual(5))) {
        let inputs = inputs(&document);
        let mut trace = Trace::default();
        // Debug prints every bit of a float, also of the failures.
        let traced = format!("{:?}", analyse(&inputs, &mut trace));
        prop_assert_eq!(traced, format!("{:?}", analyse(&inputs, &mut Plain)));
    }

    #[test]
    fn with_any_switches_every_operand_is_an_input_or_an_earlier_step(document in switched(Usual(8))) {
        let resolved = resolve(&document, None).unwrap();
        let mut trace = Trace::default();
        let result = analyse(&resolved.inputs, &mut trace);
        assert_operands_are_inputs_or_earlier_steps(&resolved, &trace);
        prop_assert_eq!(format!("{result:?}"), format!("{:?}", analyse(&resolved.inputs, &mut Plain)));
        if let Ok(result) = result {
            assert_every_number_is_traced(&result, &trace);
        }
    }

    #[test]
    fn every_operand_is_an_input_or_an_earlier_step_bit_for_bit(document in documents(Usual(7))) {
        let resolved = resolve(&document, None).unwrap();
        let mut trace = Trace::default();
        let result = analyse(&resolved.inputs, &mut trace);
        assert_operands_are_inputs_or_earlier_steps(&resolved, &trace);
        if let Ok(result) = result {
            assert_every_number_is_traced(&result, &trace);
        }
    }
}

#[test]
fn every_input_of_the_worked_case_but_the_densities_is_used() {
    let resolved = resolve(&worked_case(), None).unwrap();
    let mut trace = Trace::default();
    analyse(&resolved.inputs, &mut trace).unwrap();
    let used: HashSet<&str> =
        trace.steps.iter().flat_map(|step| step.inputs.iter().map(|operand| operand.source.as_str())).collect();
    let unused: Vec<&str> =
        resolved.values.iter().map(|given| given.pointer.as_str()).filter(|pointer| !used.contains(pointer)).collect();
    assert_eq!(unused, ["/products/diesel/density", "/products/jet/density", "/products/naphtha/density"]);
}

#[test]
fn a_step_reads_like_a_line_of_a_calculation() {
    let mut trace = Trace::default();
    analyse(&inputs(&worked_case()), &mut trace).unwrap();
    let step = trace.steps.iter().find(|step| step.name == "feedstock_cost.UCO").unwrap();
    assert_eq!(
        serde_json::to_value(step).unwrap(),
        serde_json::json!({
            "name": "feedstock_cost.UCO", "value": 562_650_000.0, "unit": "USD/yr",
            "formula": "m_f · p_f",
            "inputs": [
                {"symbol": "m_f", "name": "feedstock consumption UCO", "value": 605_000.0,
                 "unit": "t/yr", "source": "feedstock_consumption.UCO"},
                {"symbol": "p_f", "name": "feedstock price of UCO", "value": 930.0,
                 "unit": "USD/t", "source": "/feedstocks/UCO/price"}
            ]
        })
    );
}

#[test]
fn a_value_that_does_not_exist_is_traced_with_its_reason() {
    let mut document = worked_case();
    document.economics.tax_rate = Some(Quantity::new(100.0, "%"));
    let mut trace = Trace::default();
    analyse(&inputs(&document), &mut trace).unwrap();
    let msp = trace.steps.iter().find(|step| step.name == "msp").unwrap();
    assert_eq!(msp.value, None);
    assert!(msp.note.as_ref().unwrap().contains("taxed away"));
}
