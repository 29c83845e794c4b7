//! Prices, breakeven, policy, balances and comparison.

mod common;

use common::{defaults, inputs, worked_case};
use safire_engine::inputs::{CleanFuelCredit, Finance, FuelKind, Profile, SafAllowances};
use safire_engine::policy::corsia::{CORSIA_DEFAULTS, Mode};
use safire_engine::policy::schemes;
use safire_engine::{
    Answer, BreakevenQuestion, BreakevenRefused, InputDocument, Metric, Plain, Quantity, analyse, balances, breakeven,
    cash_flow, compare, policy, prices,
};

fn changed(change: impl FnOnce(&mut InputDocument)) -> InputDocument {
    let mut document = worked_case();
    change(&mut document);
    document
}

fn set(document: &mut InputDocument, pointer: &str, value: f64, unit: &str) {
    assert!(document.set(pointer, Quantity::new(value, unit)), "{pointer}");
}

fn metric(document: &InputDocument, metric: Metric) -> f64 {
    metric.of(&analyse(&inputs(document), &mut Plain).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance * expected.abs(), "{actual} is not {expected}");
}

#[test]
fn the_selling_price_of_any_product_makes_the_net_present_value_zero() {
    for profile in Profile::ALL {
        let document = changed(|d| {
            d.finance.profile = Some(*profile);
            set(d, "/products/jet/price", 1500.0, "USD/t");
        });
        let prices = prices(&inputs(&document)).unwrap();
        for product in &prices.products {
            let price = product.msp.usd_per_t.value().unwrap();
            let sold = changed(|d| {
                d.finance.profile = Some(*profile);
                set(d, "/products/jet/price", 1500.0, "USD/t");
                set(d, &format!("/products/{}/price", product.code), price, "USD/t");
            });
            let npv = metric(&sold, Metric::Npv);
            assert!(npv.abs() < 1e-9 * 700e6 * 20.0, "{profile:?} {}: {npv} at {price}", product.code);
        }
    }
}

#[test]
fn closed_form_and_bracketing_agree() {
    let closed = prices(&inputs(&worked_case())).unwrap();
    // A start-up time of which nothing differs is not simple, so that the price is bracketed.
    let bracketed = changed(|d| set(d, "/finance/startup_time", 1.0, "yr"));
    assert_ne!(inputs(&bracketed).finance, Finance::default());
    for (closed, solved) in closed.products.iter().zip(&prices(&inputs(&bracketed)).unwrap().products) {
        assert_close(solved.msp.usd_per_t.value().unwrap(), closed.msp.usd_per_t.value().unwrap(), 1e-12);
    }
}

#[test]
fn prices_are_those_of_the_worked_case_in_every_unit() {
    let prices = prices(&inputs(&worked_case())).unwrap();
    let jet = &prices.products[0];
    let value = |answer: &Answer| answer.value().unwrap();
    let msp = value(&jet.msp.usd_per_t);
    assert_eq!(format!("{msp:.2}"), "1679.10");
    assert_close(value(&jet.msp.usd_per_l), msp * 0.81 / 1000.0, 1e-14);
    assert_close(value(&jet.msp.usd_per_gal), msp * 0.81 / 1000.0 * 3.785411784, 1e-14);
    assert_close(value(&jet.msp.usd_per_gj), msp / 43.8, 1e-14);
    assert_eq!(format!("{:.2}", value(&jet.lcop_net.usd_per_t)), "1657.52");
    assert_close(value(&prices.lcop.usd_per_t), 1_495.814_340_594_6, 1e-13);
    assert_close(value(&prices.lcop.usd_per_gj), 1_495.814_340_594_6 / 43.536, 1e-13);
}

#[test]
fn a_volume_price_without_a_density_says_so() {
    let document = changed(|d| d.products.get_mut("diesel").unwrap().density = None);
    let prices = prices(&inputs(&document)).unwrap();
    assert_eq!(prices.products[1].msp.usd_per_l, Answer::none("the density is not given"));
    assert_eq!(prices.lcop.usd_per_gal, Answer::none("the density is not given"));
}

fn ask(pointer: &str, metric: Metric, target: f64, range: [f64; 2]) -> BreakevenQuestion {
    BreakevenQuestion { pointer: pointer.into(), metric, target, range }
}

#[test]
fn at_the_breakeven_of_any_input_the_metric_is_as_wanted() {
    let questions = [
        ask("/feedstocks/UCO/price", Metric::Npv, 0.0, [0.0, 5000.0]),
        ask("/utilities/hydrogen/price", Metric::Lcop, 1500.0, [0.0, 20_000.0]),
        ask("/economics/discount_rate", Metric::Npv, 0.0, [0.0, 1.0]),
        ask("/plant/process_ci", Metric::Ci, 44.5, [0.0, 80.0]),
        ask("/economics/tci_reference", Metric::Irr, 0.15, [1e8, 1e10]),
    ];
    for question in questions {
        let found = breakeven(&worked_case(), &question).unwrap();
        let value = found.answer.value().unwrap_or_else(|| panic!("{question:?}: {found:?}"));
        let mut document = worked_case();
        set(&mut document, &question.pointer, value, &found.unit);
        let reached = metric(&document, question.metric);
        let scale = question.target.abs().max(if question.metric == Metric::Npv { 1e9 } else { 0.0 });
        assert!((reached - question.target).abs() < 1e-9 * scale, "{question:?}: {reached}");
    }
    let rate = breakeven(&worked_case(), &ask("/economics/discount_rate", Metric::Npv, 0.0, [0.0, 1.0])).unwrap();
    assert_close(rate.answer.value().unwrap(), metric(&worked_case(), Metric::Irr), 1e-12);
}

#[test]
fn a_whole_input_breaks_even_at_the_first_whole_number_beyond() {
    let document = changed(|d| set(d, "/products/jet/price", 1700.0, "USD/t"));
    let found = breakeven(&document, &ask("/economics/lifetime", Metric::Npv, 0.0, [1.0, 40.0])).unwrap();
    let years = found.answer.value().unwrap();
    let at = |years| {
        metric(
            &changed(|d| {
                set(d, "/products/jet/price", 1700.0, "USD/t");
                set(d, "/economics/lifetime", years, "yr");
            }),
            Metric::Npv,
        )
    };
    assert!(at(years) >= 0.0 && at(years - 1.0) < 0.0, "{years}");
}

#[test]
fn a_question_that_cannot_be_answered_says_why() {
    let unknown = breakeven(&worked_case(), &ask("/products/petrol/price", Metric::Npv, 0.0, [0.0, 1.0])).unwrap_err();
    assert_eq!(unknown.to_string(), "/products/petrol/price is no input of this document");
    let outside = breakeven(&worked_case(), &ask("/economics/tax_rate", Metric::Npv, 0.0, [0.0, 2.0])).unwrap_err();
    assert!(matches!(outside, BreakevenRefused::Range { .. }));
    let never = breakeven(&worked_case(), &ask("/economics/tax_rate", Metric::Npv, -1e12, [0.0, 1.0])).unwrap();
    assert_eq!(never.answer, Answer::none("the metric does not reach the target in the range"));
}

#[test]
fn corsia_and_red_answer_eligible_or_by_how_much_they_are_missed() {
    let report = policy(&inputs(&worked_case())).unwrap();
    let verdict = |scheme: &str| report.schemes.iter().find(|verdict| verdict.scheme == scheme).unwrap();
    assert!(verdict("corsia").eligible && verdict("red_biofuel").eligible && verdict("refueleu").eligible);
    assert_eq!(verdict("red_biofuel").limit_g_per_mj.map(|limit| (limit * 1e9).round() / 1e9), Some(32.9));
    assert!(!verdict("red_rfnbo").eligible, "a biofuel is none of non-biological origin");

    let dirty = changed(|d| set(d, "/plant/process_ci", 85.0, "gCO2e/MJ"));
    let report = policy(&inputs(&dirty)).unwrap();
    assert!(!report.schemes[0].eligible);
    assert_close(report.schemes[0].misses_by_g_per_mj.unwrap(), report.ci_g_per_mj - 80.1, 1e-12);
    assert!(report.schemes.iter().all(|verdict| !verdict.source.is_empty()));
}

#[test]
fn the_table_of_corsia_defaults_is_the_recorded_one() {
    let recorded: serde_json::Value = serde_json::from_str(include_str!("../data/corsia_default_lca.json")).unwrap();
    let rows = recorded["rows"].as_array().unwrap().iter().filter(|row| row["lsf_gco2e_per_mj"].is_number());
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), CORSIA_DEFAULTS.len());
    for (row, listed) in rows.iter().zip(CORSIA_DEFAULTS) {
        assert_eq!(row["process"], listed.process);
        assert!(listed.feedstock.starts_with(row["feedstock"].as_str().unwrap()));
        assert_eq!(row["region"], listed.region);
        assert!((row["lsf_gco2e_per_mj"].as_f64().unwrap() - listed.life_cycle_g_per_mj()).abs() < 1e-9);
        let eligible = listed.life_cycle_g_per_mj() <= 0.9 * schemes::CORSIA_BASELINE;
        assert_eq!(row["corsia_eligible_10_percent"], eligible);
    }
    let names: std::collections::HashSet<_> = CORSIA_DEFAULTS
        .iter()
        .map(|row| (row.process, row.feedstock, row.region, row.mode == Mode::Standalone))
        .collect();
    assert_eq!(names.len(), CORSIA_DEFAULTS.len(), "no two rows have one name");
}

#[test]
fn the_us_credit_enters_the_cash_flow_untaxed_until_it_ends() {
    let document = changed(|d| {
        d.policy.us_45z = Some(CleanFuelCredit::Full);
        set(d, "/finance/first_year", 2028.0, "yr");
    });
    let table = cash_flow(&inputs(&document)).unwrap();
    let ci = 21.348_228_133_039_292 * 1.055_055_852_62;
    let gallons = 320e3 * 1e6 / 810.0 / 3.785411784;
    assert_eq!(table.incentives, ["us_45z"]);
    assert_eq!((table.years[1].calendar_year, table.years[2].calendar_year), (Some(2028), Some(2029)));
    for year in &table.years[1..3] {
        assert_close(year.tax_credits_usd, gallons * (50.0 - ci) / 50.0, 1e-12);
    }
    assert_eq!(table.years[3].tax_credits_usd, 0.0);
    let plain = cash_flow(&inputs(&worked_case())).unwrap();
    assert_eq!(table.years[1].tax_usd, plain.years[1].tax_usd);
    let report = policy(&inputs(&document)).unwrap();
    let credit = report.schemes.iter().find(|verdict| verdict.scheme == "us_45z").unwrap();
    assert!(credit.eligible && credit.in_cash_flow);
    assert_eq!(credit.years[0].usd, Some(table.years[1].tax_credits_usd));
}

#[test]
fn carbon_price_and_production_incentive_are_income_and_end_with_their_last_year() {
    let document = changed(|d| {
        set(d, "/finance/first_year", 2030.0, "yr");
        set(d, "/policy/carbon_price", 100.0, "USD/t");
        set(d, "/policy/production_incentive", 50.0, "USD/t");
        set(d, "/policy/production_incentive_last_year", 2031.0, "yr");
    });
    let table = cash_flow(&inputs(&document)).unwrap();
    let avoided = (89.0 - 21.348_228_133_039_292) * 43.8 * 320e3 / 1e3;
    assert_close(table.years[1].incentives_by_code_usd[0], 100.0 * avoided, 1e-12);
    assert_close(table.years[2].incentives_by_code_usd[1], 16e6, 1e-12);
    assert_eq!(table.years[3].incentives_by_code_usd[1], 0.0);
    let plain = cash_flow(&inputs(&worked_case())).unwrap();
    let taxed = table.years[3].tax_usd - plain.years[3].tax_usd;
    assert_close(taxed, 0.28 * 100.0 * avoided, 1e-9);
}

#[test]
fn eu_allowances_cover_part_of_the_price_gap_while_they_are_given() {
    let document = changed(|d| {
        d.policy.eu_saf_allowances = Some(SafAllowances::PassedOn);
        d.policy.fuel_kind = Some(FuelKind::AdvancedBiofuel);
        set(d, "/policy/eu_pass_through", 50.0, "%");
        set(d, "/policy/eu_allowance_price", 80.0, "USD/t");
        set(d, "/finance/first_year", 2030.0, "yr");
    });
    let table = cash_flow(&inputs(&document)).unwrap();
    let gap = 3000.0 - 676.0 - 3.16 * 80.0;
    assert_close(table.years[1].taxed_incentives_usd, 0.5 * 0.7 * gap * 320e3, 1e-12);
    assert_eq!(table.years[2].taxed_incentives_usd, 0.0);
}

#[test]
fn balances_account_for_mass_carbon_and_energy() {
    let document = changed(|d| set(d, "/feedstocks/UCO/energy_content", 37.0, "MJ/kg"));
    let balances = balances(&inputs(&document)).unwrap();
    assert_close(balances.mass_t_per_yr.difference, 605e3 + 21e3 - 500e3, 1e-12);
    let carbon = &balances.carbon_t_per_yr;
    assert_close(carbon.inputs[0].amount, 605e3 * 0.78, 1e-12);
    let cce: f64 = analyse(&inputs(&document), &mut Plain).unwrap().products.iter().map(|p| p.cce_percent).sum();
    assert_close(carbon.yielded.unwrap() * 100.0, cce, 1e-12);
    let energy = balances.energy_gj_per_yr.unwrap();
    assert_close(energy.inputs[2].amount, 60e3 * 3.6, 1e-12);
    assert!(safire_engine::balances(&inputs(&worked_case())).unwrap().energy_gj_per_yr.is_none());
}

#[test]
fn contributions_sum_to_the_difference_for_any_two_default_sets_and_every_metric() {
    let usa = inputs_document("HEFA", "USA");
    let malaysia = inputs_document("HEFA", "Malaysia");
    let biomass = inputs_document("FT-BtL", "USA");
    let scenarios = [("usa", &usa), ("malaysia", &malaysia), ("biomass", &biomass)];
    for &metric in Metric::ALL {
        let comparison = compare(&scenarios, metric);
        assert!(comparison.scenarios[0].changes.is_empty());
        for compared in &comparison.scenarios[1..] {
            let Some(difference) = compared.difference.value() else { continue };
            let contributions: Option<Vec<f64>> =
                compared.changes.iter().map(|change| change.contribution.value()).collect();
            // A rate or a payback need not exist on the way from one scenario to the other.
            let may_be_missing = [Metric::Irr, Metric::Payback, Metric::DiscountedPayback].contains(&metric);
            let Some(contributions) = contributions else {
                assert!(may_be_missing, "{metric:?} {}", compared.name);
                continue;
            };
            let sum: f64 = contributions.iter().sum();
            let scale = compared.value.value().unwrap().abs() + difference.abs();
            assert!((sum - difference).abs() <= 1e-12 * scale, "{metric:?} {}: {sum} {difference}", compared.name);
        }
    }
}

fn inputs_document(process: &str, country: &str) -> InputDocument {
    safire_engine::resolve(&defaults(process, country), None).unwrap().document().clone()
}

#[test]
fn only_changed_inputs_are_listed_and_units_are_no_change() {
    let other = changed(|d| {
        set(d, "/plant/capacity", 500_000.0, "t/yr");
        set(d, "/economics/tax_rate", 30.0, "%");
    });
    let comparison = compare(&[("ours", &worked_case()), ("other", &other)], Metric::Npv);
    let changes = &comparison.scenarios[1].changes;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].inputs[0].pointer, "/economics/tax_rate");
    assert_eq!(changes[0].contribution, comparison.scenarios[1].difference);
}

#[test]
fn inputs_that_do_alike_contribute_alike_and_tied_ones_count_as_one() {
    let other = changed(|d| {
        set(d, "/products/diesel/price", 1500.0 * 2.0, "USD/t");
        set(d, "/products/diesel/yield", 0.10, "kg/kg");
        set(d, "/products/jet/yield", 0.69, "kg/kg");
    });
    let comparison = compare(&[("ours", &worked_case()), ("other", &other)], Metric::Revenue);
    let changes = &comparison.scenarios[1].changes;
    assert_eq!(changes.len(), 2, "{changes:?}");
    let yields = changes.iter().find(|change| change.inputs.len() == 2).unwrap();
    let price = changes.iter().find(|change| change.inputs.len() == 1).unwrap();
    // Price alone: 75 kt · 1500; after the yields: 50 kt · 1500; on average 62.5 kt.
    assert_close(price.contribution.value().unwrap(), 62.5e3 * 1500.0, 1e-12);
    assert_close(yields.contribution.value().unwrap(), 25e3 * 3000.0 - 25e3 * 2250.0, 1e-12);
}
