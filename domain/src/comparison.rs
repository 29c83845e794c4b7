//! Scenarios side by side: their results, and the inputs in which they differ.

use std::collections::HashMap;

use safire_engine::{Answer, BaseAnalysis, Quantity, ResolvedInput, Source, inputs::fields::Field};
use serde::Serialize;
use utoipa::ToSchema;

/// The most that are compared at once.
pub const MOST: usize = 20;

/// An input that is not the same in all scenarios.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct InputRow {
    /// Which one, as a JSON pointer into the inputs.
    #[schema(example = "/plant/capacity")]
    pub pointer: String,
    /// Its value in each scenario, in their order; null where a scenario does not have it.
    pub values: Vec<Option<InputValue>>,
}

/// An input's value, as given.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct InputValue {
    /// The number.
    #[schema(example = 500.0)]
    pub value: f64,
    /// Its unit.
    #[schema(example = "kt/yr")]
    pub unit: String,
    /// Who gave it.
    pub source: Source,
}

/// A figure of the results.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MetricRow {
    /// Its name in a result.
    #[schema(example = "lcop_usd_per_t")]
    pub name: &'static str,
    /// Its unit.
    #[schema(example = "USD/t")]
    pub unit: &'static str,
    /// What it is in each scenario, in their order.
    pub values: Vec<MetricValue>,
}

/// A figure of one result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MetricValue {
    /// The value; null where there is none.
    pub value: Option<f64>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How much it is more than in the first scenario; null where one of them has no value.
    pub difference: Option<f64>,
}

/// The inputs in which scenarios differ, in the order of the document. Values that are the same in
/// other units do not differ.
pub fn differing(scenarios: &[Vec<ResolvedInput>]) -> Vec<InputRow> {
    let by_pointer: Vec<HashMap<&str, &ResolvedInput>> =
        scenarios.iter().map(|inputs| inputs.iter().map(|input| (input.pointer.as_str(), input)).collect()).collect();
    let mut pointers: Vec<&str> = Vec::new();
    for input in scenarios.iter().flatten() {
        if !pointers.contains(&input.pointer.as_str()) {
            pointers.push(&input.pointer);
        }
    }
    let row = |pointer: &str| -> Vec<Option<&ResolvedInput>> {
        by_pointer.iter().map(|inputs| inputs.get(pointer).copied()).collect()
    };
    let rows = pointers.into_iter().map(|pointer| (pointer, row(pointer)));
    rows.filter(|(_, values)| !all_the_same(values)).map(|(pointer, values)| shown(pointer, &values)).collect()
}

fn all_the_same(values: &[Option<&ResolvedInput>]) -> bool {
    let plain: Vec<Option<(f64, &str)>> = values.iter().map(|input| input.map(in_base_unit)).collect();
    plain.windows(2).all(|pair| pair[0] == pair[1])
}

/// The number in its base unit; as given where it cannot be converted.
fn in_base_unit(input: &ResolvedInput) -> (f64, &str) {
    let quantity = Quantity::new(input.value, input.unit.as_str());
    let converted = Field::at(&input.pointer)
        .and_then(|field| Some((quantity.in_base_unit(field.group).ok()?, field.group.base_unit())));
    converted.unwrap_or((input.value, &input.unit))
}

fn shown(pointer: &str, values: &[Option<&ResolvedInput>]) -> InputRow {
    let value =
        |input: &ResolvedInput| InputValue { value: input.value, unit: input.unit.clone(), source: input.source };
    InputRow { pointer: pointer.to_owned(), values: values.iter().map(|input| input.map(value)).collect() }
}

/// The key figures of results, and how they differ from the first; without a result, why there is none.
pub fn metrics(results: &[Result<&BaseAnalysis, String>]) -> Vec<MetricRow> {
    METRICS
        .iter()
        .map(|metric| {
            let answers = results.iter().map(|result| match result {
                Ok(result) => (metric.of)(result),
                Err(reason) => Answer::none(reason),
            });
            let answers: Vec<Answer> = answers.collect();
            let first = answers.first().and_then(Answer::value);
            let values = answers.iter().map(|answer| compared(answer, first)).collect();
            MetricRow { name: metric.name, unit: metric.unit, values }
        })
        .collect()
}

fn compared(answer: &Answer, first: Option<f64>) -> MetricValue {
    let value = answer.value();
    let difference = value.zip(first).map(|(value, first)| value - first).filter(|difference| difference.is_finite());
    let reason = answer.why_not_one();
    MetricValue { value, reason, difference }
}

struct Metric {
    name: &'static str,
    unit: &'static str,
    of: fn(&BaseAnalysis) -> Answer,
}

const fn metric(name: &'static str, unit: &'static str, of: fn(&BaseAnalysis) -> Answer) -> Metric {
    Metric { name, unit, of }
}

fn found(value: f64) -> Answer {
    Answer::Found { value }
}

const METRICS: [Metric; 16] = [
    metric("tci_usd", "USD", |r| found(r.tci_usd)),
    metric("production_t_per_yr", "t/yr", |r| found(r.production_t_per_yr)),
    metric("opex_usd_per_yr", "USD/yr", |r| found(r.opex_usd_per_yr.total)),
    metric("revenue_usd_per_yr", "USD/yr", |r| found(r.revenue_usd_per_yr)),
    metric("lcop_usd_per_t", "USD/t", |r| found(r.lcop_usd_per_t)),
    metric("lcop_net_usd_per_t", "USD/t", |r| found(r.lcop_net_usd_per_t)),
    metric("msp_usd_per_t", "USD/t", |r| r.msp_usd_per_t.clone()),
    metric("msp_usd_per_gj", "USD/GJ", |r| r.msp_usd_per_gj.clone()),
    metric("npv_usd", "USD", |r| found(r.npv_usd)),
    metric("irr", "1", |r| r.irr.clone()),
    metric("payback_years", "yr", |r| r.payback_years.clone()),
    metric("discounted_payback_years", "yr", |r| r.discounted_payback_years.clone()),
    metric("ci_g_per_mj", "gCO2e/MJ", |r| found(r.ci_g_per_mj.total)),
    metric("co2e_t_per_yr", "tCO2e/yr", |r| found(r.co2e_t_per_yr)),
    metric("abatement_usd_per_t", "USD/tCO2e", |r| r.abatement_usd_per_t.clone()),
    metric("energy_mj_per_kg", "MJ/kg", |r| found(r.energy_mj_per_kg)),
];

#[cfg(test)]
mod tests {
    use safire_engine::{InputDocument, Plain, analyse, inputs::outline, resolve};

    use super::*;
    use crate::master_data::MasterData;

    fn inputs(json: &str) -> Vec<ResolvedInput> {
        let given: InputDocument = serde_json::from_str(json).unwrap();
        outline(&given, Some(&MasterData::seed().defaults[0].inputs))
    }

    #[test]
    fn only_inputs_that_differ_are_shown_and_units_make_no_difference() {
        let as_it_is = inputs("{}");
        let same = inputs(r#"{ "plant": { "capacity": { "value": 500000, "unit": "t/yr" } } }"#);
        assert_eq!(differing(&[as_it_is.clone(), same.clone()]), []);
        let other = inputs(
            r#"{ "economics": { "discount_rate": { "value": 9, "unit": "%" } },
                 "products": { "propane": { "price": { "value": 700, "unit": "USD/t" } } } }"#,
        );
        let rows = differing(&[as_it_is, same, other]);
        let pointers: Vec<_> = rows.iter().map(|row| row.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/economics/discount_rate", "/products/propane/price", "/products/propane/price_sensitivity"]
        );
        let by = |value, source| Some(InputValue { value, unit: "%".into(), source });
        assert_eq!(rows[0].values, [by(7.0, Source::Default), by(7.0, Source::Default), by(9.0, Source::User)]);
        assert_eq!(rows[1].values[..2], [None, None]);
    }

    #[test]
    fn figures_are_compared_with_the_first_and_a_missing_one_says_why() {
        let defaults = &MasterData::seed().defaults;
        let result = |n: usize| analyse(&resolve(&defaults[n].inputs, None).unwrap().inputs, &mut Plain).unwrap();
        let (usa, malaysia) = (result(0), result(1));
        let rows = metrics(&[Ok(&usa), Err("not calculated".into()), Ok(&malaysia)]);
        let tci = &rows[0];
        assert_eq!((tci.name, tci.values[0].value, tci.values[0].difference), ("tci_usd", Some(400e6), Some(0.0)));
        assert_eq!((tci.values[1].value, tci.values[1].reason.as_deref()), (None, Some("not calculated")));
        assert_eq!((tci.values[2].value, tci.values[2].difference), (Some(380e6), Some(-20e6)));
        let rows = metrics(&[Err("not calculated".into()), Ok(&usa)]);
        assert_eq!((rows[0].values[1].value, rows[0].values[1].difference), (Some(400e6), None));
    }
}
