//! The published worked case and the default sets, number by number.

mod common;

use common::{defaults, inputs, worked_case};
use safire_engine::{Answer, BaseAnalysis, InputDocument, Plain, Quantity, analyse, resolve};

/// Relative tolerance for numbers that are published in full.
const PUBLISHED: f64 = 1e-9;

fn result(document: &InputDocument) -> BaseAnalysis {
    analyse(&inputs(document), &mut Plain).unwrap()
}

#[track_caller]
fn assert_close(actual: f64, published: f64) {
    let error = ((actual - published) / published).abs();
    assert!(error <= PUBLISHED, "{actual} is not {published}");
}

/// Compares to the last digit that was published.
#[track_caller]
fn assert_shows(actual: f64, published: &str) {
    let decimals = published.split('.').nth(1).map_or(0, str::len);
    assert_eq!(format!("{actual:.decimals$}"), published);
}

#[track_caller]
fn value(answer: &Answer) -> f64 {
    answer.value().unwrap_or_else(|| panic!("no value: {answer:?}"))
}

#[test]
fn investment_and_consumption_of_the_worked_case() {
    let result = result(&worked_case());
    assert_close(result.tci_usd, 400e6);
    assert_eq!(result.working_capital_usd, 0.0);
    assert_close(result.throughput_t_per_h, 62.5);
    let feedstock = &result.feedstocks[0];
    assert_eq!(feedstock.code, "UCO");
    assert_close(feedstock.t_per_yr, 605_000.0);
    assert_close(feedstock.usd_per_yr, 562_650_000.0);
    assert_close(result.hydrogen.t_per_yr, 21_000.0);
    assert_close(result.hydrogen.usd_per_yr, 113_400_000.0);
    assert_close(result.electricity.mwh_per_yr, 60_000.0);
    assert_close(result.electricity.usd_per_yr, 3_300_000.0);
}

#[test]
fn products_of_the_worked_case() {
    let result = result(&worked_case());
    let codes: Vec<&str> = result.products.iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["jet", "diesel", "naphtha"]);
    let made: Vec<f64> = result.products.iter().map(|p| p.t_per_yr).collect();
    for (actual, published) in made.iter().zip([320_000.0, 75_000.0, 105_000.0]) {
        assert_close(*actual, published);
    }
    assert_close(result.production_t_per_yr, 500_000.0);
    assert_shows(result.products[0].cce_percent, "57.435897");
    assert_close(result.energy_mj_per_kg, 43.536);
}

#[test]
fn operating_cost_and_revenue_of_the_worked_case() {
    let result = result(&worked_case());
    assert_close(result.opex_usd_per_yr.direct, 679_350_000.0);
    assert_close(result.opex_usd_per_yr.indirect, 30_800_000.0);
    assert_close(result.opex_usd_per_yr.total, 710_150_000.0);
    assert_close(result.revenue_usd_per_yr, 1_177_500_000.0);
}

#[test]
fn carbon_of_the_worked_case() {
    let result = result(&worked_case());
    let ci = result.ci_g_per_mj;
    assert_shows(ci.feedstock, "1.293101");
    assert_eq!(ci.hydrogen, 0.0);
    assert_shows(ci.electricity, "0.055127");
    assert_eq!(ci.process, 20.0);
    assert_shows(ci.total, "21.348228");
    assert_shows(result.co2e_t_per_yr, "464708.23");
}

#[test]
fn cost_and_returns_of_the_worked_case() {
    let result = result(&worked_case());
    assert_shows(result.crf, "0.0943929257");
    assert_close(result.lcop_usd_per_t, 1_495.814_340_594_6);
    assert_shows(result.lcop_net_usd_per_t, "1657.52");
    assert_eq!(result.cash_flow_usd.len(), 21);
    assert_close(result.cash_flow_usd[0], -400e6);
    for year in &result.cash_flow_usd[1..] {
        assert_close(*year, 342_092_000.0);
    }
    assert_shows(result.npv_usd, "3224127521.28");
    assert_shows(value(&result.irr), "0.8552263344");
    assert_eq!(value(&result.payback_years), 2.0);
    assert_eq!(value(&result.discounted_payback_years), 2.0);
}

#[test]
fn selling_price_and_abatement_of_the_worked_case() {
    let result = result(&worked_case());
    let msp = value(&result.msp_usd_per_t);
    assert_shows(msp, "1679.10");
    assert_close(value(&result.msp_usd_per_gj), msp / 43.8);
    let per_mj = msp / 43_800.0 - 676.0 / 43_150.0;
    let tonnes_per_mj = (89.0 - result.ci_g_per_mj.total) / 1e6;
    assert_close(value(&result.abatement_usd_per_t), per_mj / tonnes_per_mj);
}

#[test]
fn the_example_file_is_the_worked_case() {
    let example = include_str!("../../examples/hefa-uco-usa.json");
    let example: serde_json::Value = serde_json::from_str(example).unwrap();
    let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
    assert_eq!(inputs(&given), inputs(&worked_case()));
}

#[test]
fn the_second_example_takes_most_values_from_the_defaults() {
    let example = include_str!("../../examples/ft-btl-malaysia.json");
    let example: serde_json::Value = serde_json::from_str(example).unwrap();
    let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
    let resolved = resolve(&given, Some(&defaults("FT-BtL", "Malaysia"))).unwrap();
    let by_user = resolved.values.iter().filter(|v| v.source == safire_engine::Source::User);
    let by_user: Vec<&str> = by_user.map(|v| v.pointer.as_str()).collect();
    assert_eq!(by_user, ["/plant/capacity", "/feedstocks/lignocellulosic-biomass/price", "/economics/tax_rate"]);
    let result = analyse(&resolved.inputs, &mut Plain).unwrap();
    assert_close(result.tci_usd, 850e6 * 2f64.powf(0.65));
}

#[test]
fn the_hefa_set_for_malaysia_differs_in_investment_rate_and_lifetime() {
    let result = result(&defaults("HEFA", "Malaysia"));
    assert_close(result.tci_usd, 380e6);
    assert_eq!(result.cash_flow_usd.len(), 26);
    // 0.085 · 1.085^25 / (1.085^25 − 1)
    assert_shows(result.crf, "0.0977116825");
}

#[test]
fn the_biomass_sets_follow_from_their_inputs() {
    for (country, tci, rate) in [("USA", 900e6, 0.10f64), ("Malaysia", 850e6, 0.08)] {
        let result = result(&defaults("FT-BtL", country));
        assert_close(result.tci_usd, tci);
        assert_close(result.feedstocks[0].t_per_yr, 450_000.0);
        assert_close(result.hydrogen.t_per_yr, 8_000.0);
        assert_close(result.electricity.mwh_per_yr, 30_000.0);
        let made: Vec<f64> = result.products.iter().map(|p| p.t_per_yr).collect();
        assert_close(made[0], 72_000.0);
        assert_close(made[1], 28_000.0);
        assert_close(result.energy_mj_per_kg, 0.72 * 43.8 + 0.28 * 43.4);
        assert_close(result.products[0].cce_percent, 100.0 * 0.847 * 0.72 / 2.34);
        assert_close(result.ci_g_per_mj.total, 18.0 + 20.0 * 0.3 / 43.688);
        let opex = 450e3 * 93.09 + 8e3 * 5400.0 + 30e3 * 55.0 + 0.077 * tci;
        assert_close(result.opex_usd_per_yr.total, opex);
        let growth = (1.0 + rate).powi(30);
        let crf = rate * growth / (growth - 1.0);
        assert_close(result.lcop_usd_per_t, (tci * crf + opex) / 100e3);
        assert_eq!(result.cash_flow_usd.len(), 31);
    }
}

#[test]
fn the_stored_form_of_the_worked_case_is_below_two_thousand_bytes() {
    let bytes = serde_json::to_string(&result(&worked_case())).unwrap();
    assert!(bytes.len() < 2000, "{} bytes: {bytes}", bytes.len());
}

#[test]
fn a_stored_result_reads_back_to_the_same_bits() {
    let result = result(&worked_case());
    let bytes = serde_json::to_string(&result).unwrap();
    let read: BaseAnalysis = serde_json::from_str(&bytes).unwrap();
    assert_eq!(read, result);
    assert_eq!(serde_json::to_string(&read).unwrap(), bytes);
}

#[test]
fn co_feeding_adds_up_consumption_cost_carbon_and_emissions() {
    let mut halves = worked_case();
    let mut half = halves.feedstocks["UCO"].clone();
    half.r#yield = Some(safire_engine::Quantity::new(0.605, "kg/kg"));
    halves.feedstocks.insert("UCO".into(), half.clone());
    halves.feedstocks.insert("other".into(), half);

    let (halves, whole) = (result(&halves), result(&worked_case()));
    assert_eq!(halves.feedstocks.len(), 2);
    assert_close(halves.opex_usd_per_yr.direct, whole.opex_usd_per_yr.direct);
    assert_close(halves.ci_g_per_mj.feedstock, whole.ci_g_per_mj.feedstock);
    let cce = |result: &BaseAnalysis| result.products[0].cce_percent;
    assert_close(cce(&halves), cce(&whole));
}

#[test]
fn a_premium_raises_the_price_but_not_the_selling_price_that_is_needed() {
    let mut document = worked_case();
    let jet = document.products.get_mut("jet").unwrap();
    jet.price_sensitivity = Some(safire_engine::Quantity::new(10.0, "USD/t per gCO2e/MJ"));
    let with = result(&document);
    let without = result(&worked_case());
    let premium = 10.0 * (89.0 - with.ci_g_per_mj.total);
    assert_close(with.products[0].usd_per_t, 3000.0 + premium);
    assert_close(value(&with.msp_usd_per_t), value(&without.msp_usd_per_t) - premium);
}

#[test]
fn a_payback_begins_when_money_has_been_spent() {
    let mut document = common::worked_case();
    document.finance.construction_year_1 = Some(Quantity::new(0.0, "%"));
    document.finance.construction_year_2 = Some(Quantity::new(100.0, "%"));
    document.products.get_mut("jet").unwrap().price = Some(Quantity::new(500.0, "USD/t"));
    let result = analyse(&common::inputs(&document), &mut Plain).unwrap();
    assert!(result.npv_usd < 0.0);
    for answer in [&result.payback_years, &result.discounted_payback_years] {
        assert!(matches!(answer, Answer::None { reason } if reason.contains("never repays")), "{answer:?}");
    }
    document.products.get_mut("jet").unwrap().price = Some(Quantity::new(3000.0, "USD/t"));
    let result = analyse(&common::inputs(&document), &mut Plain).unwrap();
    assert_eq!(result.payback_years.value(), Some(2.0));
}

#[test]
fn a_payback_that_does_not_last_says_when_the_sum_is_negative_again() {
    let mut document = common::worked_case();
    document.finance.feedstock_escalation = Some(Quantity::new(6.0, "%"));
    document.economics.lifetime = Some(Quantity::new(60.0, "yr"));
    let result = analyse(&common::inputs(&document), &mut Plain).unwrap();
    assert!(result.npv_usd < -10e9, "{}", result.npv_usd);
    assert_eq!(result.payback_years.value(), Some(2.0));
    let year = result.payback_negative_again_year.unwrap();
    let sum = |last: i32| -> f64 { result.cash_flow_usd[..=usize::try_from(last).unwrap()].iter().sum() };
    assert!(sum(year) < 0.0 && (2..year).all(|before| sum(before) >= 0.0), "{year}");
    assert!(result.discounted_payback_negative_again_year.unwrap() >= year);
    let lasting = analyse(&common::inputs(&common::worked_case()), &mut Plain).unwrap();
    assert_eq!((lasting.payback_negative_again_year, lasting.discounted_payback_negative_again_year), (None, None));
}
