//! The workbook against the engine: a spreadsheet program recalculates it, whatever the plant and its years are.

use ironcalc::base::{Model, cell::CellValue};
use proptest::prelude::*;
use safire_domain::{
    ProjectId, RunId, ScenarioId, Timestamp,
    engine::{
        Answer, InputDocument, Plain, analyse,
        inputs::{Depreciation, Financing, Losses, Payback},
        resolve,
    },
    lifecycle::{RunState, Status},
    master_data::MasterData,
    run::{Beside, Computed, Findings, Kind, Run},
    scenario::{Pathway, Scenario},
};
use serde_json::{Value, json};

use super::*;

/// A report of the worked case with these inputs; none where they have no result.
fn report(given: Value) -> Option<Report> {
    let pathway = Pathway { process: "HEFA".into(), feedstock: "UCO".into(), country: "USA".into() };
    let defaults = MasterData::seed().defaults_for(&pathway).map(|set| &set.inputs);
    let document: InputDocument = serde_json::from_value(given).expect("inputs");
    let resolved = resolve(&document, defaults).unwrap_or_else(|invalid| panic!("{invalid:?}"));
    let base = analyse(&resolved.inputs, &mut Plain).ok()?;
    let inputs = resolved.inputs.clone();
    let beside = Beside { trace: true, details: true };
    let computed = Computed::of(Findings { base, analysis: None }, resolved, beside).ok()?;
    let now = Timestamp::UNIX_EPOCH;
    let scenario = Scenario {
        id: ScenarioId::new(now),
        project_id: ProjectId::new(now),
        name: serde_json::from_value(json!("A plant")).expect("a name"),
        pathway,
        inputs: document,
        revision: 1,
        status: Status::DRAFT,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let run = Run {
        id: RunId::new(now),
        scenario_id: scenario.id,
        revision: 1,
        analysis: Kind::Base,
        state: RunState::Succeeded,
        attempt: 1,
        advance: None,
        fingerprint: String::new(),
        engine_version: "2".into(),
        edition: 1,
        failure: None,
        created_at: now,
        finished_at: Some(now),
    };
    Some(Report { scenario, run, question: None, inputs, computed })
}

/// The third column of the summary, recalculated, by the names of the first.
fn recalculated(workbook: &[u8]) -> Vec<(String, CellValue)> {
    let book = ironcalc::import::load_from_xlsx_bytes(workbook, "result", "en", "UTC").expect("a workbook");
    let mut model = Model::from_workbook(book, "en").expect("a model");
    model.evaluate();
    let cell = |row, column| model.get_cell_value_by_index(0, row, column).expect("a cell");
    let line = |row| match (cell(row, 1), cell(row, 3)) {
        (CellValue::String(name), value) if value != CellValue::None => Some((name, value)),
        _ => None,
    };
    (9..30).filter_map(line).collect()
}

/// Shares of the investment over up to five years, some of them nothing.
fn construction() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0u32..4, 1..=5).prop_filter_map("nothing is spent", |parts| {
        let all: u32 = parts.iter().sum();
        (all > 0).then(|| parts.iter().map(|part| f64::from(*part) / f64::from(all)).collect())
    })
}

fn inputs() -> impl Strategy<Value = Value> {
    let choice = |count: usize| 0..count;
    let words = (
        choice(Depreciation::ALL.len()),
        choice(Losses::ALL.len()),
        choice(Financing::ALL.len()),
        choice(Payback::ALL.len()),
    );
    let shares = prop::collection::vec(0.0..1.0f64, 12);
    let money = (300.0..3000.0f64, 300.0..1500.0f64, 0.0..0.3f64, 1u32..60);
    (construction(), money, shares, words).prop_map(|(construction, (jet, uco, rate, years), shares, words)| {
        let (depreciation, losses, financing, payback) = words;
        let of = |value: f64, unit: &str| json!({ "value": value, "unit": unit });
        let mut finance = json!({
            "depreciation": Depreciation::ALL[depreciation], "losses": Losses::ALL[losses],
            "financing": Financing::ALL[financing], "payback": Payback::ALL[payback],
            "inflation": of(shares[0] * 0.05, "1"), "feedstock_escalation": of(shares[1] * 0.16 - 0.08, "1"),
            "main_product_escalation": of(shares[2] * 0.1 - 0.05, "1"), "startup_time": of(shares[3], "yr"),
            "startup_revenue": of(shares[4], "1"), "startup_variable_cost": of(shares[5] * 2.0, "1"),
            "loss_limit": of(shares[6], "1"), "debt_share": of(shares[7], "1"), "debt_rate": of(shares[8] * 0.2, "1"),
            "debt_term": of((shares[9] * f64::from(years)).ceil().max(1.0), "yr"),
        });
        for (year, share) in (1..).zip(construction) {
            finance[format!("construction_year_{year}")] = of(share, "1");
        }
        json!({
            "finance": finance, "products": { "jet": { "price": of(jet, "USD/t") } },
            "feedstocks": { "UCO": { "price": of(uco, "USD/t") } },
            "economics": { "discount_rate": of(rate, "1"), "lifetime": of(years.into(), "yr"),
                           "working_capital_ratio": of(shares[10] * 0.3, "1"), "tax_rate": of(shares[11] * 0.5, "1") },
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_spreadsheet_finds_what_the_engine_finds(given in inputs()) {
        let Some(report) = report(given) else { return Ok(()) };
        let workbook = draw(&report).expect("a workbook");
        let found = recalculated(&workbook);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["Net present value", "Payback", "Discounted payback", "Levelized cost of production"] {
            prop_assert!(names.contains(&name), "no {name} in {names:?}");
        }
        let result = &report.computed.result;
        let scale = result.tci_usd + result.revenue_usd_per_yr + result.opex_usd_per_yr.total;
        for (_, name, answer, _) in lines(&report) {
            let Some((_, value)) = found.iter().find(|(known, _)| known == name) else { continue };
            match (answer.value(), value) {
                (None, CellValue::String(text)) => prop_assert_eq!(text, NEVER, "{}", name),
                (Some(exact), CellValue::Number(value)) => {
                    let size = if name == "Net present value" { 100.0 * scale } else { exact.abs() };
                    prop_assert!((value - exact).abs() <= 1e-9 * size, "{name} is {value}, should be {exact}");
                }
                (exact, value) => prop_assert!(false, "{name} is {value:?}, should be {exact:?}"),
            }
        }
        // And what the trace tells is the result.
        let step = |name: &str| {
            let steps = report.computed.trace.as_ref().expect("a trace");
            steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no step {name}")).value
        };
        for (name, answer) in [
            ("npv", Answer::Found { value: result.npv_usd }), ("irr", result.irr.clone()),
            ("msp", result.msp_usd_per_t.clone()), ("payback", result.payback_years.clone()),
            ("discounted_payback", result.discounted_payback_years.clone()),
        ] {
            prop_assert_eq!(step(name), answer.value(), "{}", name);
        }
        prop_assert!(answer_is_never_negative(&result.payback_years));
    }
}

/// A payback is a year of operation: money is spent before.
fn answer_is_never_negative(payback: &Answer) -> bool {
    payback.value().is_none_or(|year| year >= 0.0)
}
