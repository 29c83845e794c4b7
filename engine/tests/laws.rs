//! What must hold whatever the numbers are.

mod common;
#[path = "common/random.rs"]
mod random;

use common::{inputs, worked_case};
use proptest::prelude::*;
use random::{Usual, documents, switched};
use safire_engine::inputs::Allocation;
use safire_engine::{Answer, BaseAnalysis, InputDocument, Plain, Quantity, analyse, failure, finance, resolve};
use safire_engine::{Metric, cash_flow, compare};

fn plain(document: &InputDocument) -> Result<BaseAnalysis, safire_engine::Failure> {
    analyse(&inputs(document), &mut Plain)
}

fn set(quantity: &mut Option<Quantity>, value: f64, unit: &str) {
    *quantity = Some(Quantity::new(value, unit));
}

/// A flow that pays first and earns later.
fn conventional_flows() -> impl Strategy<Value = Vec<f64>> {
    let paid = prop::collection::vec(-1e9..-1.0f64, 1..4);
    let earned = prop::collection::vec(0.0..1e9f64, 1..60);
    (paid, earned).prop_map(|(paid, earned)| [paid, earned].concat())
}

fn any_flows() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1e9..1e9f64, 2..40)
}

/// The size that rounding errors of a present value are relative to.
fn size(rate: f64, flow: &[f64]) -> f64 {
    let sizes: Vec<f64> = flow.iter().map(|money| money.abs()).collect();
    finance::npv(rate, &sizes)
}

fn assert_no_null(value: &serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Null => panic!("a number that is not finite was written"),
        Value::Array(all) => all.iter().for_each(assert_no_null),
        Value::Object(all) => all.values().for_each(assert_no_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Finite results, or a failure that names the number that is not.
fn assert_only_finite_numbers_leave(document: &InputDocument) -> bool {
    match plain(document) {
        Ok(result) => {
            assert_no_null(&serde_json::to_value(&result).unwrap());
            let text = serde_json::to_string(&result).unwrap();
            assert_eq!(serde_json::from_str::<BaseAnalysis>(&text).unwrap(), result);
            assert!(!text.contains("-0.0,"), "a negative zero left: {text}");
            true
        }
        Err(failure) => {
            assert_eq!(failure.code, failure::NOT_FINITE);
            assert!(failure.quantity.is_some() && failure.value.is_some(), "{failure:?}");
            false
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_number_that_is_not_finite_ever_leaves_the_whole_allowed_range(
        document in documents(Usual(0)),
    ) {
        assert_only_finite_numbers_leave(&document);
    }

    #[test]
    fn no_number_that_is_not_finite_ever_leaves_around_the_worked_case(
        document in documents(Usual(8)),
    ) {
        assert_only_finite_numbers_leave(&document);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_number_that_is_not_finite_ever_leaves_whatever_the_switches(
        document in switched(Usual(5)),
    ) {
        assert_only_finite_numbers_leave(&document);
        match cash_flow(&inputs(&document)) {
            Ok(table) => assert_no_null(&serde_json::to_value(&table).unwrap()["years"]),
            Err(failure) => assert_eq!(failure.code, failure::NOT_FINITE),
        }
    }
}

proptest! {
    // Each case calculates thousands of scenarios.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn contributions_to_any_difference_sum_to_it(
        from in documents(Usual(8)),
        to in documents(Usual(8)),
    ) {
        let complete = |document: &InputDocument| resolve(document, None).unwrap().document().clone();
        let (from, to) = (complete(&from), complete(&to));
        let comparison = compare(&[("from", &from), ("to", &to)], Metric::Lcop);
        let compared = &comparison.scenarios[1];
        let shares: Option<Vec<f64>> = compared.changes.iter().map(|change| change.contribution.value()).collect();
        if let (Some(difference), Some(shares)) = (compared.difference.value(), shares) {
            let sum: f64 = shares.iter().sum();
            let size: f64 = shares.iter().map(|share| share.abs()).sum::<f64>() + difference.abs();
            prop_assert!((sum - difference).abs() <= 1e-12 * size, "{sum} is not {difference}");
        }
    }
}

proptest! {
    #[test]
    fn net_present_value_falls_as_the_rate_rises(
        flow in conventional_flows(),
        rate in 0.0..1.0f64,
        more in 0.0..1.0f64,
    ) {
        // Only while every payment comes before every earning is this a law: discount to the last payment.
        let paid = flow.iter().rposition(|money| *money < 0.0).unwrap();
        let growth = |rate: f64| (1.0 + rate).powi(paid as i32);
        let low = finance::npv(rate, &flow) * growth(rate);
        let high = finance::npv(rate + more, &flow) * growth(rate + more);
        let rounding = 1e-12 * size(rate, &flow) * growth(rate + more);
        prop_assert!(high <= low + rounding, "{low} at {rate}, {high} at {}", rate + more);
    }

    #[test]
    fn a_conventional_flow_has_one_rate_and_no_present_value_at_it(flow in conventional_flows()) {
        match finance::irr(&flow) {
            Answer::Found { value } => {
                let error = finance::npv(value, &flow).abs() / size(value, &flow);
                prop_assert!(error < 1e-9, "npv {error} at {value}");
            }
            Answer::None { .. } => prop_assert!(flow.iter().all(|money| *money <= 0.0)),
            several => prop_assert!(false, "{several:?}"),
        }
    }

    #[test]
    fn every_rate_of_any_flow_has_no_present_value(flow in any_flows()) {
        let answer = finance::irr(&flow);
        for rate in answer.values() {
            let error = finance::npv(rate, &flow).abs() / size(rate, &flow);
            prop_assert!(error < 1e-6, "npv {error} at {rate}");
        }
    }

    #[test]
    fn no_change_of_sign_of_the_present_value_goes_without_a_rate(flow in any_flows()) {
        let answer = finance::irr(&flow);
        let rates = answer.values();
        for step in 0..200 {
            let (low, high) = (f64::from(step) * 0.01, f64::from(step + 1) * 0.01);
            let (before, after) = (finance::npv(low, &flow), finance::npv(high, &flow));
            if before * after < 0.0 {
                prop_assert!(
                    rates.iter().any(|rate| (low - 1e-9..=high + 1e-9).contains(rate)),
                    "none of {rates:?} lies in {low}..{high}"
                );
            }
        }
    }

    #[test]
    fn selling_at_the_minimum_price_makes_the_net_present_value_zero(
        mut document in documents(Usual(9)),
        sensitivity in -20.0..20.0f64,
        working_capital in 0.0..1.0f64,
        tax in 0.0..0.99f64,
    ) {
        let jet = document.products.get_mut("jet").unwrap();
        set(&mut jet.price_sensitivity, sensitivity, "USD/t per gCO2e/MJ");
        set(&mut document.economics.working_capital_ratio, working_capital, "1");
        set(&mut document.economics.tax_rate, tax, "1");
        let Ok(result) = plain(&document) else { return Ok(()) };
        let price = result.msp_usd_per_t.value().unwrap();
        // A price outside the allowed range cannot be tried.
        if !(0.0..=1e5).contains(&price) {
            return Ok(());
        }

        set(&mut document.products.get_mut("jet").unwrap().price, price, "USD/t");
        let sold = plain(&document).unwrap();
        let handled = sold.revenue_usd_per_yr.abs() + sold.opex_usd_per_yr.total.abs();
        let size = sold.tci_usd + handled / sold.crf;
        prop_assert!(sold.npv_usd.abs() <= 1e-9 * size, "npv {} of {size}", sold.npv_usd);
    }

    #[test]
    fn whatever_the_switches_the_net_present_value_passes_zero_at_the_minimum_price(
        mut document in switched(Usual(9)),
        tax in 0.0..0.99f64,
    ) {
        set(&mut document.economics.tax_rate, tax, "1");
        // Emissions that are shared by value would change with the price.
        document.carbon.allocation = None;
        let Ok(result) = plain(&document) else { return Ok(()) };
        let Some(price) = result.msp_usd_per_t.value() else { return Ok(()) };
        let paid = result.products[0].usd_per_t;
        let given = inputs(&document).main_product().price_usd_per_t;
        // A hair's breadth, seen from the price that is paid, premium included.
        let hair = 1e-9 * (price.abs() + paid.abs() + (paid - given).abs());
        let mut npv_at = |price: f64| {
            set(&mut document.products.get_mut("jet").unwrap().price, price, "USD/t");
            let resolved = resolve(&document, None).ok()?;
            Some(analyse(&resolved.inputs, &mut Plain).ok()?.npv_usd)
        };
        let (Some(below), Some(above)) = (npv_at(price - hair), npv_at(price + hair)) else { return Ok(()) };
        prop_assert!(below <= 0.0 && above >= 0.0, "npv {below} and {above} around {price}");
    }

    #[test]
    fn emissions_allocated_by_anything_sum_to_the_total(
        mut document in documents(Usual(8)),
        by in 0..Allocation::ALL.len(),
    ) {
        document.carbon.allocation = Some(Allocation::ALL[by]);
        let Ok(resolved) = resolve(&document, None) else { return Ok(()) };
        let Ok(result) = analyse(&resolved.inputs, &mut Plain) else { return Ok(()) };
        let allocated: f64 = result.products.iter().map(|product| product.co2e_t_per_yr).sum();
        let total = result.co2e_t_per_yr;
        let rounding = 1e-12 * total.abs() + f64::MIN_POSITIVE;
        prop_assert!((allocated - total).abs() <= rounding, "{allocated} is not {total}");
    }

    #[test]
    fn carried_losses_never_cost_anything_and_debt_is_always_repaid(document in switched(Usual(8))) {
        let Ok(table) = cash_flow(&inputs(&document)) else { return Ok(()) };
        for year in &table.years {
            prop_assert!(year.losses_carried_usd >= 0.0 && year.losses_used_usd >= 0.0 && year.tax_usd >= 0.0);
        }
        prop_assert_eq!(table.years.last().unwrap().loan_balance_usd, 0.0);
    }

    #[test]
    fn without_economy_of_scale_the_cost_per_tonne_does_not_depend_on_capacity(
        capacity in 1.0..1e7f64,
    ) {
        let at = |capacity| {
            let mut document = worked_case();
            set(&mut document.economics.scaling_exponent, 1.0, "1");
            set(&mut document.plant.capacity, capacity, "t/yr");
            plain(&document).unwrap().lcop_usd_per_t
        };
        let (small, large) = (at(capacity), at(500e3));
        prop_assert!(((small - large) / large).abs() < 1e-12, "{small} is not {large}");
    }

    #[test]
    fn the_products_emissions_and_shares_sum_to_the_total(document in documents(Usual(7))) {
        let Ok(result) = plain(&document) else { return Ok(()) };
        let products = result.products.iter();
        let allocated: f64 = products.clone().map(|product| product.co2e_t_per_yr).sum();
        let shares: f64 = products.map(|product| product.energy_share).sum();
        let total = result.co2e_t_per_yr;
        // Below the normal numbers a product keeps fewer digits than the sum.
        let rounding = 1e-12 * total.abs() + f64::MIN_POSITIVE;
        prop_assert!((allocated - total).abs() <= rounding, "{allocated} is not {total}");
        prop_assert!((shares - 1.0).abs() <= 1e-9, "{shares}");
    }

    #[test]
    fn the_order_of_products_changes_no_bit(document in documents(Usual(5)), seed in 0..100usize) {
        let text = serde_json::to_string(&document).unwrap();
        let products: Vec<(&String, &safire_engine::inputs::ProductInputs)> =
            document.products.iter().collect();
        let written = |order: &[usize]| {
            let one = |at: &usize| {
                let (code, product) = products[*at];
                format!("{code:?}:{}", serde_json::to_string(product).unwrap())
            };
            let all: Vec<String> = order.iter().map(one).collect();
            format!("{{\"products\":{{{}}}}}", all.join(","))
        };
        let mut order: Vec<usize> = (0..products.len()).collect();
        order.rotate_left(seed % products.len());
        order.reverse();
        let mut shuffled: InputDocument = serde_json::from_str(&text).unwrap();
        let reordered: InputDocument = serde_json::from_str(&written(&order)).unwrap();
        shuffled.products = reordered.products;
        let bytes = |document| format!("{:?}", plain(document));
        prop_assert_eq!(bytes(&shuffled), bytes(&document));
    }

    #[test]
    fn the_same_document_gives_the_same_bytes(document in documents(Usual(6))) {
        let resolved = resolve(&document, None).unwrap();
        let again = resolve(resolved.document(), None).unwrap();
        let bytes = |inputs| format!("{:?}", analyse(inputs, &mut Plain));
        prop_assert_eq!(bytes(&resolved.inputs), bytes(&again.inputs));
    }
}

#[test]
fn random_documents_are_calculated_more_often_than_not_around_the_worked_case() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let calculated = (0..400)
        .filter(|_| {
            let document = documents(Usual(9)).new_tree(&mut runner).unwrap().current();
            assert_only_finite_numbers_leave(&document)
        })
        .count();
    assert!(calculated > 200, "{calculated} of 400");
}

#[test]
fn the_textbook_flow_with_two_rates_answers_both() {
    let answer = finance::irr(&[-1600.0, 10_000.0, -10_000.0]);
    let Answer::Several { values } = answer else { panic!("{answer:?}") };
    assert_eq!(values.len(), 2);
    assert!((values[0] - 0.25).abs() < 1e-14 && (values[1] - 4.0).abs() < 1e-13, "{values:?}");
}

#[test]
fn a_plant_that_never_earns_has_no_rate_and_no_payback() {
    let mut document = worked_case();
    for product in document.products.values_mut() {
        set(&mut product.price, 0.0, "USD/t");
    }
    let result = plain(&document).unwrap();
    assert_eq!(result.irr, Answer::none("the cash flow is never positive"));
    assert!(matches!(result.payback_years, Answer::None { .. }));
    assert!(matches!(result.discounted_payback_years, Answer::None { .. }));
    assert!(result.npv_usd < 0.0);
}

#[test]
fn a_tax_that_takes_all_profit_leaves_no_selling_price_unless_money_is_free() {
    let mut document = worked_case();
    set(&mut document.economics.tax_rate, 100.0, "%");
    let result = plain(&document).unwrap();
    for answer in [&result.msp_usd_per_t, &result.msp_usd_per_gj, &result.abatement_usd_per_t] {
        let Answer::None { reason } = answer else { panic!("{answer:?}") };
        assert!(reason.contains("taxed away"), "{reason}");
    }
    set(&mut document.economics.discount_rate, 0.0, "%");
    let result = plain(&document).unwrap();
    assert!(result.msp_usd_per_t.value().is_some());
}

#[test]
fn a_fuel_that_emits_more_than_the_fossil_one_abates_nothing() {
    let mut document = worked_case();
    set(&mut document.plant.process_ci, 95.0, "gCO2e/MJ");
    let result = plain(&document).unwrap();
    assert!(matches!(result.abatement_usd_per_t, Answer::None { .. }));
    assert!(result.msp_usd_per_t.value().is_some());
}

#[test]
fn a_plant_too_extreme_to_calculate_names_the_number() {
    let mut document = worked_case();
    set(&mut document.products.get_mut("jet").unwrap().r#yield, f64::MIN_POSITIVE, "kg/kg");
    let failure = plain(&document).unwrap_err();
    assert_eq!(failure.code, "engine.not_finite");
    assert_eq!(failure.quantity.as_deref(), Some("lcop_net"));
    assert_eq!(failure.value.as_deref(), Some("inf"));
}
