//! Finance against numpy-financial and BioSTEAM; `fixtures/finance.py` says how their answers were recorded.

mod common;

use common::{inputs, worked_case};
use safire_engine::finance::{self, Loan, macrs};
use safire_engine::inputs::{Depreciation, Profile};
use safire_engine::{InputDocument, Plain, Quantity, analyse, cash_flow};
use serde_json::Value;

fn recorded() -> Value {
    serde_json::from_str(include_str!("fixtures/finance.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_close(actual: f64, recorded: f64, tolerance: f64) {
    assert!((actual - recorded).abs() <= tolerance * recorded.abs().max(1e-9), "{actual} is not {recorded}");
}

/// The worked case's plant, financed as NREL does, jet at a price.
fn nrel(jet_usd_per_t: f64, debt_percent: f64) -> InputDocument {
    let mut document = worked_case();
    for economic in ["discount_rate", "lifetime", "working_capital_ratio", "tax_rate"] {
        // Left out, so that the profile gives it.
        let mut given = serde_json::to_value(&document).unwrap();
        given["economics"].as_object_mut().unwrap().remove(economic);
        document = serde_json::from_value(given).unwrap();
    }
    document.finance.profile = Some(Profile::NrelNthPlant);
    document.finance.debt_share = Some(Quantity::new(debt_percent, "%"));
    document.products.get_mut("jet").unwrap().price = Some(Quantity::new(jet_usd_per_t, "USD/t"));
    document
}

#[test]
fn present_values_and_rates_are_those_of_numpy_financial() {
    for case in recorded()["flows"].as_array().unwrap() {
        let flow = numbers(&case["flow"]);
        assert_close(finance::irr(&flow).value().unwrap(), case["irr"].as_f64().unwrap(), 1e-9);
        for (rate, npv) in case["npv"].as_object().unwrap() {
            assert_close(finance::npv(rate.parse().unwrap(), &flow), npv.as_f64().unwrap(), 1e-12);
        }
    }
}

#[test]
fn instalments_interest_and_repayment_are_those_of_numpy_financial() {
    for case in recorded()["loans"].as_array().unwrap() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let (rate, years) = (number("rate"), number("years") as u32);
        assert_close(finance::instalment(number("principal"), rate, years), number("instalment"), 1e-12);
        let mut loan = Loan::default();
        loan.draw(number("principal"));
        let recorded = numbers(&case["interest"]).into_iter().zip(numbers(&case["repaid"]));
        for (left, (interest, repaid)) in (1..=years).rev().zip(recorded) {
            assert_close(loan.interest(rate), interest, 1e-10);
            assert_close(loan.repay(rate, left), repaid, 1e-10);
        }
        assert_eq!(loan.balance, 0.0);
    }
}

#[test]
fn depreciation_tables_are_those_of_biosteam() {
    let recorded = recorded();
    for method in Depreciation::ALL.iter().filter(|method| **method != Depreciation::StraightLine) {
        assert_eq!(macrs(*method), numbers(&recorded["macrs"][method.code()]), "{method:?}");
    }
}

#[test]
fn the_price_of_an_nth_plant_without_debt_is_that_of_biosteam() {
    let inputs = inputs(&nrel(3000.0, 0.0));
    let price = analyse(&inputs, &mut Plain).unwrap().msp_usd_per_t.value().unwrap();
    let recorded = recorded();
    assert_close(price, recorded["price_without_debt"]["biosteam"].as_f64().unwrap(), 1e-11);
    assert_close(price, recorded["price_without_debt"]["by_hand"].as_f64().unwrap(), 1e-11);
}

#[test]
fn price_and_present_value_of_an_nth_plant_with_debt_are_those_worked_out_by_hand() {
    let inputs = inputs(&nrel(2000.0, 60.0));
    let result = analyse(&inputs, &mut Plain).unwrap();
    let recorded = recorded();
    let price = recorded["price_with_debt"]["by_hand"].as_f64().unwrap();
    assert_close(result.msp_usd_per_t.value().unwrap(), price, 1e-11);
    assert_close(result.npv_usd, recorded["npv_with_debt_at_2000"].as_f64().unwrap(), 1e-11);
}

#[test]
fn the_cash_flow_of_an_nth_plant_begins_two_years_before_year_zero_and_repays_its_loan() {
    let inputs = inputs(&nrel(2000.0, 60.0));
    let table = cash_flow(&inputs).unwrap();
    let years: Vec<i32> = table.years.iter().map(|year| year.year).collect();
    assert_eq!(years, (-2..=30).collect::<Vec<_>>());
    assert_eq!(table.years[0].capital_usd, 32e6);
    assert_eq!(table.years[0].revenue_by_product_usd, vec![0.0; table.products.len()]);
    assert_close(table.years[2].loan_balance_usd, 240e6, 1e-12);
    assert_eq!(table.years[12].loan_balance_usd, 0.0);
    assert_close(table.years[3].revenue_usd, 0.75 * (2000.0 * 320e3 + 217.5e6), 1e-12);
    let result = analyse(&inputs, &mut Plain).unwrap();
    assert_eq!(result.cash_flow_first_year, -2);
    let flow: Vec<f64> = table.years.iter().map(|year| year.cash_flow_usd).collect();
    assert_eq!(result.cash_flow_usd, flow);
    let last = table.years.last().unwrap();
    assert_close(last.cumulative_discounted_usd, result.npv_usd, 1e-9);
}
