//! Profiles and switches: who gives what, what they do, and what is refused.

mod common;

use common::{defaults, inputs, worked_case};
use safire_engine::inputs::{Allocation, CleanFuelCredit, Depreciation, Finance, Financing, Losses, Payback, Profile};
use safire_engine::{
    Answer, BaseAnalysis, InputDocument, Metric, Plain, Quantity, Resolved, Source, Violation, analyse, cash_flow,
    resolve,
};

fn result(document: &InputDocument) -> BaseAnalysis {
    analyse(&inputs(document), &mut Plain).unwrap()
}

fn changed(change: impl FnOnce(&mut InputDocument)) -> InputDocument {
    let mut document = worked_case();
    change(&mut document);
    document
}

fn set(document: &mut InputDocument, pointer: &str, value: f64, unit: &str) {
    assert!(document.set(pointer, Quantity::new(value, unit)), "{pointer}");
}

#[track_caller]
fn refused(change: impl FnOnce(&mut InputDocument)) -> Violation {
    let violations = resolve(&changed(change), None).unwrap_err().into_violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations[0].clone()
}

#[track_caller]
fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-12 * expected.abs(), "{actual} is not {expected}");
}

#[test]
fn the_profile_safire_is_the_default_to_the_bit() {
    let named = changed(|d| d.finance.profile = Some(Profile::Safire));
    assert_eq!(inputs(&named).finance, Finance::default());
    assert_eq!(result(&named), result(&worked_case()));
}

#[test]
fn old_fingerprints_stay_because_simple_switches_are_not_part_of_the_inputs() {
    let text = serde_json::to_string(&*inputs(&worked_case())).unwrap();
    for section in ["finance", "policy", "carbon\":{", "energy_mj_per_kg\":null"] {
        assert!(!text.contains(section), "{section} in {text}");
    }
}

#[test]
fn a_result_that_was_stored_before_there_were_switches_still_reads() {
    let result = result(&worked_case());
    let text = serde_json::to_string(&result).unwrap();
    assert!(!text.contains("cash_flow_first_year"));
    assert_eq!(serde_json::from_str::<BaseAnalysis>(&text).unwrap(), result);
}

#[test]
fn a_profile_gives_what_the_user_leaves_out_and_comes_before_the_default_set() {
    let mut given = InputDocument::default();
    given.finance.profile = Some(Profile::NrelNthPlant);
    set(&mut given, "/finance/debt_share", 40.0, "%");
    let resolved = resolve(&given, Some(&defaults("HEFA", "USA"))).unwrap();
    let source = |pointer: &str| resolved.values.iter().find(|value| value.pointer == pointer).unwrap().source;
    assert_eq!(source("/finance/debt_share"), Source::User);
    assert_eq!(source("/finance/debt_rate"), Source::Profile);
    assert_eq!(source("/economics/lifetime"), Source::Profile);
    assert_eq!(source("/economics/tci_reference"), Source::Default);
    assert_eq!(resolved.inputs.economics.lifetime_yr, 30);
    let choice = |pointer: &str| resolved.choices.iter().find(|choice| choice.pointer == pointer).unwrap();
    assert_eq!(choice("/finance/profile").source, Source::User);
    assert_eq!((choice("/finance/depreciation").code.as_str()), "macrs_7");
    assert_eq!(choice("/finance/depreciation").source, Source::Profile);
}

#[test]
fn the_merged_document_of_a_profile_resolves_to_the_same_inputs() {
    let mut given = InputDocument::default();
    given.finance.profile = Some(Profile::NrelNthPlant);
    let resolved = resolve(&given, Some(&defaults("HEFA", "USA"))).unwrap();
    let again: Resolved = resolve(resolved.document(), None).unwrap();
    assert_eq!(again.inputs, resolved.inputs);
}

#[test]
fn without_any_switch_no_switch_is_listed() {
    let resolved = resolve(&worked_case(), None).unwrap();
    assert!(resolved.values.iter().all(|value| !value.pointer.starts_with("/finance")));
    assert!(resolved.choices.is_empty());
}

#[test]
fn a_construction_schedule_is_taken_whole() {
    let document = changed(|d| {
        d.finance.profile = Some(Profile::NrelNthPlant);
        set(d, "/finance/construction_year_1", 50.0, "%");
        set(d, "/finance/construction_year_2", 50.0, "%");
    });
    assert_eq!(inputs(&document).finance.construction, [0.5, 0.5, 0.0, 0.0, 0.0]);
    assert_eq!(result(&document).cash_flow_first_year, -1);
    let violation = refused(|d| set(d, "/finance/construction_year_1", 50.0, "%"));
    assert_eq!((violation.code, violation.pointer.as_str()), ("construction_shares", "/finance"));
    assert!(violation.message.contains("sum to 0.5; allowed is 1"), "{violation}");
}

#[test]
fn a_switch_out_of_range_is_refused_by_name_value_range_and_unit() {
    let violation = refused(|d| set(d, "/finance/debt_share", 120.0, "%"));
    assert_eq!(violation.message, "debt share is 120 %, which is out of range; allowed is 0 to 1");
    let violation = refused(|d| {
        set(d, "/finance/debt_share", 60.0, "%");
        set(d, "/finance/debt_rate", 8.0, "%");
        set(d, "/finance/debt_term", 25.0, "yr");
    });
    assert_eq!(violation.message, "debt term is 25 yr, which is longer than the lifetime; allowed is 1 to 20 yr");
}

#[test]
fn an_incentive_with_an_end_needs_a_calendar_and_a_credit_per_gallon_a_density() {
    let violation = refused(|d| d.policy.us_45z = Some(CleanFuelCredit::Full));
    assert_eq!((violation.code, violation.pointer.as_str()), ("required", "/finance/first_year"));
    let violation = refused(|d| {
        d.policy.us_45z = Some(CleanFuelCredit::Full);
        set(d, "/finance/first_year", 2027.0, "yr");
        d.products.get_mut("jet").unwrap().density = None;
    });
    assert_eq!((violation.code, violation.pointer.as_str()), ("required", "/products/jet/density"));
}

#[test]
fn an_unknown_profile_is_refused_with_the_known_ones() {
    let refused = serde_json::from_str::<InputDocument>(r#"{"finance":{"profile":"nrel"}}"#).unwrap_err().to_string();
    assert!(refused.contains("`safire`, `nrel-nth-plant`, `safapac-2025`"), "{refused}");
}

#[test]
fn safapac_binds_no_working_capital_and_counts_money_as_back_above_zero() {
    let document = changed(|d| {
        d.finance.profile = Some(Profile::Safapac2025);
        d.economics.working_capital_ratio = None;
    });
    let result = result(&document);
    assert_eq!(result.working_capital_usd, 0.0);
    assert_eq!(format!("{:.4}", result.npv_usd), "3224127521.2771");
    assert_eq!(result.payback_years, Answer::Found { value: 2.0 });
    assert_eq!(inputs(&document).finance.payback, Payback::Positive);
}

#[test]
fn debt_in_the_rate_is_the_weighted_average_after_tax() {
    let document = changed(|d| {
        d.finance.financing = Some(Financing::Wacc);
        set(d, "/finance/debt_share", 50.0, "%");
        set(d, "/finance/debt_rate", 5.0, "%");
    });
    let rate = 0.5 * 0.07 + 0.5 * 0.05 * 0.72;
    let expected = changed(|d| set(d, "/economics/discount_rate", rate, "1"));
    assert_close(result(&document).npv_usd, result(&expected).npv_usd);
    assert_close(result(&document).lcop_usd_per_t, result(&expected).lcop_usd_per_t);
    assert_close(Metric::Msp.of(&result(&document)).unwrap(), Metric::Msp.of(&result(&expected)).unwrap());
}

#[test]
fn inflation_at_which_every_price_and_the_rate_rise_leaves_an_untaxed_plant_worth_the_same() {
    let untaxed = changed(|d| set(d, "/economics/tax_rate", 0.0, "%"));
    let nominal = changed(|d| {
        set(d, "/economics/tax_rate", 0.0, "%");
        set(d, "/finance/inflation", 3.0, "%");
        set(d, "/economics/discount_rate", 1.07 * 1.03 - 1.0, "1");
    });
    assert_close(result(&nominal).npv_usd, result(&untaxed).npv_usd);
}

#[test]
fn each_line_escalates_alone() {
    let of = |pointer: &str| {
        let document = changed(|d| set(d, pointer, 1.0, "%"));
        let table = cash_flow(&inputs(&document)).unwrap();
        let year = table.years[10].clone();
        (year.revenue_by_product_usd, year.variable_cost_usd, year.fixed_cost_usd)
    };
    let plain = cash_flow(&inputs(&worked_case())).unwrap().years[10].clone();
    let growth = 1.01f64.powi(10);
    let (revenue, ..) = of("/finance/main_product_escalation");
    assert_close(revenue[0], plain.revenue_by_product_usd[0] * growth);
    assert_eq!(revenue[1..], plain.revenue_by_product_usd[1..]);
    assert_close(of("/finance/co_product_escalation").0[2], plain.revenue_by_product_usd[2] * growth);
    assert_close(of("/finance/fixed_cost_escalation").2, plain.fixed_cost_usd * growth);
    let risen = |pointer| of(pointer).1 - plain.variable_cost_usd;
    assert_close(risen("/finance/feedstock_escalation").round(), (562.65e6 * (growth - 1.0)).round());
    assert_close(risen("/finance/hydrogen_escalation").round(), (113.4e6 * (growth - 1.0)).round());
    assert_close(risen("/finance/electricity_escalation").round(), (3.3e6 * (growth - 1.0)).round());
}

#[test]
fn carried_losses_lower_later_taxes_up_to_their_limit() {
    let losing = |losses, limit| {
        let document = changed(|d| {
            d.finance.depreciation = Some(Depreciation::Macrs5);
            d.finance.losses = Some(losses);
            set(d, "/finance/loss_limit", limit, "%");
            set(d, "/products/jet/price", 1650.0, "USD/t");
        });
        cash_flow(&inputs(&document)).unwrap()
    };
    let expired = losing(Losses::Expire, 100.0);
    let carried = losing(Losses::CarriedForward, 100.0);
    let limited = losing(Losses::CarriedForward, 80.0);
    let tax = |table: &safire_engine::CashFlowTable| table.years.iter().map(|year| year.tax_usd).sum::<f64>();
    assert!(tax(&carried) < tax(&expired) && tax(&limited) < tax(&expired));
    for year in &carried.years[1..] {
        assert!(year.losses_used_usd <= year.taxable_income_usd.max(0.0));
    }
    let first_use = limited.years.iter().find(|year| year.losses_used_usd > 0.0).unwrap();
    assert_close(first_use.losses_used_usd, 0.8 * first_use.taxable_income_usd);
    assert_close(first_use.tax_usd, 0.28 * 0.2 * first_use.taxable_income_usd);
}

#[test]
fn a_default_life_cycle_value_replaces_the_inventory_and_is_refused_beside_it() {
    let mut given = InputDocument::default();
    set(&mut given, "/carbon/default_ci", 13.9, "gCO2e/MJ");
    let resolved = resolve(&given, Some(&defaults("HEFA", "USA"))).unwrap();
    let ci = analyse(&resolved.inputs, &mut Plain).unwrap().ci_g_per_mj;
    assert_eq!((ci.total, ci.process, ci.feedstock), (13.9, 13.9, 0.0));
    assert!(resolved.values.iter().all(|value| value.pointer != "/plant/process_ci"));
    assert_eq!(resolve(resolved.document(), None).unwrap().inputs, resolved.inputs);

    set(&mut given, "/plant/process_ci", 20.0, "gCO2e/MJ");
    let violations = resolve(&given, Some(&defaults("HEFA", "USA"))).unwrap_err().into_violations();
    assert_eq!((violations[0].code, violations[0].pointer.as_str()), ("ci_given_twice", "/plant/process_ci"));
}

#[test]
fn allocation_by_mass_and_value_gives_each_product_its_own_intensity() {
    let by = |allocation| result(&changed(|d| d.carbon.allocation = Some(allocation)));
    let total = result(&worked_case()).co2e_t_per_yr;
    let mass = by(Allocation::Mass);
    assert_close(mass.products[0].co2e_t_per_yr, total * 0.64);
    assert_close(mass.products[0].ci_g_per_mj.unwrap(), total * 0.64 * 1e3 / (320e3 * 43.8));
    let value = by(Allocation::EconomicValue);
    assert_close(value.products[0].co2e_t_per_yr, total * 960e6 / 1177.5e6);
    assert_eq!(by(Allocation::Energy), result(&worked_case()));
    let violation = refused(|d| {
        d.carbon.allocation = Some(Allocation::EconomicValue);
        for product in d.products.values_mut() {
            product.price = Some(Quantity::new(0.0, "USD/t"));
        }
    });
    assert_eq!(violation.code, "no_value_to_allocate_by");
}
