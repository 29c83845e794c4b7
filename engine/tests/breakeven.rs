//! Breakevens: edges of existence, steps, independence; beside a fine sweep of the same input.

mod common;

use common::{inputs, worked_case};
use proptest::prelude::*;
use safire_engine::inputs::Profile;
use safire_engine::{
    Analysis, AnalysisResult, Answer, BreakevenQuestion, BreakevenRefused, InputDocument, Interval, Metric, Plain,
    Quantity, analyse, breakeven, resolve,
};
use serde_json::json;

fn answer(document: &InputDocument, pointer: &str, metric: Metric, target: f64, range: [f64; 2]) -> Answer {
    breakeven(document, &BreakevenQuestion { pointer: pointer.into(), metric, target, range }).unwrap().answer
}

fn metric_at(document: &InputDocument, pointer: &str, value: f64, unit: &str, metric: Metric) -> Option<f64> {
    let mut changed = document.clone();
    assert!(changed.set(pointer, Quantity::new(value, unit)));
    metric.of(&analyse(&resolve(&changed, None).ok()?.inputs, &mut Plain).ok()?)
}

const PRICE: &str = "/feedstocks/UCO/price";

#[test]
fn a_metric_that_ceases_to_exist_is_followed_to_the_edge_of_its_existence() {
    let document = worked_case();
    let found = answer(&document, PRICE, Metric::Irr, 0.05, [0.0, 10_230.0]);
    let price = found.value().unwrap();
    assert_eq!(format!("{price:.2}"), "1641.65");
    assert!((metric_at(&document, PRICE, price, "USD/t", Metric::Irr).unwrap() - 0.05).abs() < 1e-12);
}

#[test]
fn a_metric_of_whole_numbers_has_its_value_between_two_edges_whatever_the_range() {
    let document = worked_case();
    let edges = |range| match answer(&document, PRICE, Metric::Payback, 5.0, range) {
        Answer::Intervals { intervals } => <[Interval; 1]>::try_from(intervals).unwrap()[0],
        other => panic!("{other:?}"),
    };
    let found = edges([0.0, 10_230.0]);
    assert_eq!(format!("{:.2} to {:.2}", found.from, found.to), "1485.77 to 1531.68");
    for range in [[1000.0, 2000.0], [1480.0, 1640.0], [0.0, 1700.0], [1234.5, 1600.1]] {
        assert_eq!(edges(range), found, "{range:?}");
    }
    let payback = |price: f64| metric_at(&document, PRICE, price, "USD/t", Metric::Payback);
    assert_eq!([found.from, found.to].map(payback), [Some(5.0); 2]);
    assert_eq!([found.from.next_down(), found.to.next_up()].map(payback), [Some(4.0), Some(6.0)]);
    assert_eq!(edges([1500.0, 1700.0]), Interval { from: 1500.0, ..found });
}

#[test]
fn a_sweep_says_the_same_edges_as_a_breakeven() {
    let sweep = json!({ "analysis": "sweep", "metrics": ["payback", "irr"],
        "x": { "input": PRICE, "unit": "USD/t", "from": 1000, "to": 2000, "steps": 8 },
        "breakeven": [{ "metric": "payback", "value": 5 }, { "metric": "payback", "value": 20 },
                      { "metric": "irr", "value": 0.05 }] });
    let sweep: Analysis = serde_json::from_value(sweep).unwrap();
    let AnalysisResult::Sweep(found) = sweep.start(&inputs(&worked_case())).unwrap().finish().unwrap() else {
        panic!()
    };
    let points = |line: usize| -> Vec<String> {
        found.breakeven[line].points.iter().map(|point| format!("{:.2}", point[0])).collect()
    };
    assert_eq!(points(0), ["1485.77", "1531.68"]);
    let Answer::Intervals { intervals } = answer(&worked_case(), PRICE, Metric::Payback, 20.0, [1000.0, 2000.0]) else {
        panic!()
    };
    // The upper edge is where the investment is never repaid.
    assert_eq!(points(1), [intervals[0].from, intervals[0].to].map(|edge| format!("{edge:.2}")));
    assert_eq!(points(2), ["1641.65"]);
}

#[test]
fn a_metric_that_does_not_depend_on_the_input_says_so() {
    let reason = |metric, target| match answer(&worked_case(), "/plant/load_hours", metric, target, [4000.0, 8760.0]) {
        Answer::None { reason } => reason,
        other => panic!("{other:?}"),
    };
    for target in [0.0, 400e6] {
        let reason = reason(Metric::Tci, target);
        assert!(reason.contains("does not depend on this input: it is 400000000 USD"), "{reason}");
    }
}

#[test]
fn a_share_of_debt_without_a_loan_has_no_breakeven() {
    let mut document = worked_case();
    document.finance.profile = Some(Profile::Safire);
    let document = resolve(&document, None).unwrap().document().clone();
    let pointer = "/finance/debt_share".to_owned();
    let question = BreakevenQuestion { pointer: pointer.clone(), metric: Metric::Npv, target: 0.0, range: [0.0, 1.0] };
    assert_eq!(breakeven(&document, &question).unwrap_err(), BreakevenRefused::UnknownInput { pointer });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a fine sweep sees pass the target, the breakeven finds between the same two points.
    #[test]
    fn a_breakeven_finds_what_a_fine_sweep_finds(
        input in 0..4usize,
        metric in 0..5usize,
        share in 0.05..0.95f64,
        nrel in any::<bool>(),
    ) {
        let (pointer, unit, from, to) = [
            (PRICE, "USD/t", 200.0, 2500.0),
            ("/products/jet/price", "USD/t", 800.0, 4000.0),
            ("/economics/tci_reference", "USD", 1e8, 3e9),
            ("/economics/discount_rate", "1", 0.01, 0.6),
        ][input];
        let metric = [Metric::Npv, Metric::Irr, Metric::Payback, Metric::DiscountedPayback, Metric::Lcop][metric];
        let mut document = worked_case();
        document.finance.profile = Some(if nrel { Profile::NrelNthPlant } else { Profile::Safire });
        let fine: Vec<(f64, Option<f64>)> = (0..=640)
            .map(|step| from + (to - from) * (f64::from(step) / 640.0))
            .map(|at| (at, metric_at(&document, pointer, at, unit, metric)))
            .collect();
        let known: Vec<f64> = fine.iter().filter_map(|(_, value)| *value).collect();
        prop_assume!(!known.is_empty());
        let target = known[((known.len() - 1) as f64 * share) as usize];
        let target = if metric.is_whole() { target } else { target + 1e-9 * target.abs() };
        let found = answer(&document, pointer, metric, target, [from, to]);
        let all = found.values();
        for pair in fine.windows(2) {
            let [(a, Some(before)), (b, Some(after))] = [pair[0], pair[1]] else { continue };
            if (before < target && after > target) || (before > target && after < target) {
                let is_between = all.iter().any(|at| (a..=b).contains(at));
                let in_edges = matches!(&found, Answer::Intervals { intervals }
                    if intervals.iter().any(|one| one.from <= b && one.to >= a));
                prop_assert!(is_between || in_edges, "{metric:?} passes {target} between {a} and {b}: {found:?}");
            }
        }
        if let Answer::Intervals { intervals } = &found {
            for Interval { from, to } in intervals {
                for at in [*from, f64::midpoint(*from, *to), *to] {
                    prop_assert_eq!(metric_at(&document, pointer, at, unit, metric), Some(target));
                }
            }
        }
    }
}
