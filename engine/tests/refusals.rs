//! Every refused input: its code, its pointer, what the message names and what is allowed.

mod common;

use common::{defaults, worked_case};
use safire_engine::{InputDocument, Quantity, Violation, inputs::Profile, resolve};

fn refused(change: impl FnOnce(&mut InputDocument)) -> Vec<Violation> {
    let mut document = worked_case();
    change(&mut document);
    resolve(&document, None).unwrap_err().into_violations()
}

#[track_caller]
fn the_only(violations: Vec<Violation>, code: &str, pointer: &str) -> Violation {
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!((violations[0].code, violations[0].pointer.as_str()), (code, pointer));
    violations[0].clone()
}

fn given(value: f64, unit: &str) -> Option<Quantity> {
    Some(Quantity::new(value, unit))
}

fn parse(text: &str) -> Result<InputDocument, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn an_unknown_unit_is_refused_with_the_accepted_ones() {
    let violations = refused(|d| d.plant.capacity = given(500.0, "kt/year"));
    let violation = the_only(violations, "unit.unknown", "/plant/capacity");
    assert_eq!(
        violation.message,
        "capacity is 500 kt/year: unit \"kt/year\" is not known; accepted are t/yr, kt/yr, kta, ktpa; \
         allowed is 1 to 100000000 t/yr"
    );
}

#[test]
fn a_unit_of_another_group_is_refused_by_the_names_of_both() {
    let violations = refused(|d| d.plant.capacity = given(500.0, "USD/t"));
    let violation = the_only(violations, "unit.wrong_group", "/plant/capacity");
    assert!(violation.message.contains("\"USD/t\" is a unit of price per mass, not of capacity"), "{violation}");
}

#[test]
fn percent_is_a_yield_and_a_ratio_but_not_a_price() {
    let mut document = worked_case();
    document.products.get_mut("jet").unwrap().r#yield = given(64.0, "%");
    assert_eq!(resolve(&document, None).unwrap().inputs, common::inputs(&worked_case()));
    let violations = refused(|d| d.products.get_mut("jet").unwrap().price = given(64.0, "%"));
    the_only(violations, "unit.wrong_group", "/products/jet/price");
}

#[test]
fn yields_above_one_are_refused() {
    let violations = refused(|d| d.products.get_mut("jet").unwrap().r#yield = given(0.65, "kg/kg"));
    let violation = the_only(violations, "yields_exceed_one", "/products");
    let allowed = violation.allowed.unwrap();
    assert_eq!((allowed.min, allowed.max, allowed.unit), (0.0, 1.0, "kg/kg"));
    assert!(violation.message.contains("sum to 1.01 kg/kg"), "{}", violation.message);
}

#[test]
fn yields_that_sum_to_one_in_decimals_are_accepted() {
    let sum: f64 = [0.1; 10].iter().sum();
    assert_ne!(sum, 1.0);
    let mut document = worked_case();
    let product = document.products["jet"].clone();
    document.products.clear();
    for code in 0..10 {
        let mut product = product.clone();
        product.r#yield = given(0.1, "kg/kg");
        document.products.insert(code.to_string(), product);
    }
    document.main_product = Some("3".into());
    assert!(resolve(&document, None).is_ok());
}

#[test]
fn a_single_yield_above_one_is_out_of_range() {
    let violations = refused(|d| d.products.get_mut("jet").unwrap().r#yield = given(120.0, "%"));
    let violation = the_only(violations, "out_of_range", "/products/jet/yield");
    assert_eq!(violation.message, "product yield of jet is 120 %, which is out of range; allowed is 0 to 1 kg/kg");
}

#[test]
fn a_lifetime_must_be_a_whole_number_of_years_from_1_to_100() {
    let lifetime = |years| refused(|d| d.economics.lifetime = given(years, "yr"));
    for (years, code) in [(0.0, "out_of_range"), (1e9, "out_of_range"), (-20.0, "out_of_range"), (2.5, "not_integer")] {
        let violation = the_only(lifetime(years), code, "/economics/lifetime");
        let allowed = violation.allowed.unwrap();
        assert_eq!((allowed.min, allowed.max, allowed.unit), (1.0, 100.0, "yr"));
        assert!(violation.message.contains(&format!("{years} yr")), "{}", violation.message);
    }
}

#[test]
fn a_discount_rate_of_minus_one_is_refused() {
    let violations = refused(|d| d.economics.discount_rate = given(-1.0, "1"));
    let violation = the_only(violations, "out_of_range", "/economics/discount_rate");
    assert_eq!(violation.message, "discount rate is -1, which is out of range; allowed is 0 to 1");
}

#[test]
fn nan_and_infinity_built_in_code_are_refused() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let violations = refused(|d| d.plant.process_ci = given(value, "gCO2e/MJ"));
        the_only(violations, "not_finite", "/plant/process_ci");
    }
}

#[test]
fn a_finite_value_that_overflows_in_the_base_unit_is_out_of_range() {
    let violations = refused(|d| d.plant.capacity = given(1e308, "kt/yr"));
    let violation = the_only(violations, "out_of_range", "/plant/capacity");
    assert!(violation.message.contains("is 1e308 kt/yr"), "{}", violation.message);
}

#[test]
fn a_plant_smaller_than_any_is_refused_with_the_smallest_capacity() {
    for (capacity, unit) in [(0.0, "t/yr"), (5e-324, "t/yr"), (0.99e-3, "kt/yr")] {
        let violations = refused(|d| d.plant.capacity = given(capacity, unit));
        let violation = the_only(violations, "out_of_range", "/plant/capacity");
        assert_eq!(violation.allowed.unwrap().min, 1.0);
        assert!(violation.message.contains("allowed is 1 to 100000000 t/yr"), "{}", violation.message);
    }
}

#[test]
fn a_debt_needs_the_rate_and_the_term_of_its_loan() {
    let pointers = |violations: Vec<Violation>| -> Vec<_> {
        violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    };
    let alone = refused(|d| d.finance.debt_share = given(50.0, "%"));
    let expected = ["/finance/debt_rate", "/finance/debt_term"].map(|at| (at.to_owned(), "required"));
    assert_eq!(pointers(alone), expected);
    let of_another_profile = refused(|d| {
        d.finance.profile = Some(Profile::Safapac2025);
        (d.finance.debt_share, d.finance.debt_rate) = (given(50.0, "%"), given(6.0, "%"));
    });
    assert_eq!(pointers(of_another_profile), [expected[1].clone()]);

    let mut lent = worked_case();
    (lent.finance.profile, lent.finance.debt_share) = (Some(Profile::NrelNthPlant), given(50.0, "%"));
    assert_eq!(resolve(&lent, None).unwrap().inputs.finance.debt_rate, 0.08);
    let mut none = worked_case();
    none.finance.debt_share = given(0.0, "%");
    assert!(resolve(&none, None).is_ok());
}

#[test]
fn a_missing_product_is_refused() {
    the_only(refused(|d| d.main_product = None), "main_product_missing", "/main_product");
    let violations = refused(|d| d.main_product = Some("gasoline".into()));
    let violation = the_only(violations, "main_product_missing", "/main_product");
    assert_eq!(
        violation.message,
        "main product \"gasoline\" is not among the products (given are diesel, jet, naphtha)"
    );

    let violations = refused(|d| d.products.get_mut("jet").unwrap().r#yield = given(0.0, "kg/kg"));
    the_only(violations, "main_product_missing", "/products/jet/yield");

    let violations = refused(|d| d.products.clear());
    let codes: Vec<&str> = violations.iter().map(|v| v.code).collect();
    assert_eq!(codes, ["no_product", "main_product_missing"]);
}

#[test]
fn products_with_more_carbon_than_the_feedstock_are_refused() {
    let poor = |d: &mut InputDocument| {
        d.feedstocks.get_mut("UCO").unwrap().carbon_content = given(0.69, "kg/kg");
    };
    let violation = the_only(refused(poor), "carbon_balance", "/products");
    assert!(violation.message.contains("the feedstocks bring 0.834"), "{}", violation.message);
}

#[test]
fn a_plant_without_carbon_in_its_feedstocks_is_refused() {
    the_only(refused(|d| d.feedstocks.clear()), "carbon_balance", "/products");
}

#[test]
fn a_missing_value_is_required_unless_a_convention_fills_it_in() {
    let violations = refused(|d| d.utilities.hydrogen.price = None);
    the_only(violations, "required", "/utilities/hydrogen/price");

    let mut document = worked_case();
    document.fossil.ci = None;
    for product in document.products.values_mut() {
        product.price_sensitivity = None;
    }
    let resolved = resolve(&document, None).unwrap();
    assert_eq!(resolved.inputs, common::inputs(&worked_case()));
    let fossil_ci = resolved.values.iter().find(|v| v.pointer == "/fossil/ci").unwrap();
    assert_eq!(fossil_ci.source, safire_engine::Source::Default);
}

#[test]
fn all_violations_are_reported_at_once_in_the_order_of_the_document() {
    let violations = refused(|d| {
        d.plant.capacity = given(500.0, "furlong");
        d.products.get_mut("jet").unwrap().r#yield = given(0.9, "kg/kg");
        d.products.get_mut("naphtha").unwrap().price = given(f64::NAN, "USD/t");
        d.economics.lifetime = given(2.5, "yr");
        d.economics.discount_rate = given(-1.0, "1");
        d.main_product = Some("kerosene".into());
    });
    let all: Vec<(&str, &str)> = violations.iter().map(|v| (v.pointer.as_str(), v.code)).collect();
    assert_eq!(
        all,
        [
            ("/plant/capacity", "unit.unknown"),
            ("/products/naphtha/price", "not_finite"),
            ("/economics/discount_rate", "out_of_range"),
            ("/economics/lifetime", "not_integer"),
            ("/products", "yields_exceed_one"),
            ("/products", "carbon_balance"),
            ("/main_product", "main_product_missing"),
        ]
    );
}

#[test]
fn a_draft_may_be_incomplete_but_not_wrong() {
    assert!(InputDocument::default().check().is_ok());
    let mut draft = InputDocument::default();
    let jet = draft.products.entry("jet".into()).or_default();
    jet.r#yield = given(0.7, "kg/kg");
    let naphtha = draft.products.entry("naphtha".into()).or_default();
    naphtha.r#yield = given(0.4, "kg/kg");
    draft.economics.tax_rate = given(28.0, "USD");
    let violations = draft.check().unwrap_err().into_violations();
    let codes: Vec<&str> = violations.iter().map(|v| v.code).collect();
    assert_eq!(codes, ["unit.wrong_group", "yields_exceed_one"]);
}

#[test]
fn codes_are_escaped_in_pointers() {
    let violations = refused(|d| {
        let mut odd = d.feedstocks["UCO"].clone();
        odd.price = given(1e9, "USD/t");
        d.feedstocks.insert("a/b~c".into(), odd);
    });
    the_only(violations, "out_of_range", "/feedstocks/a~1b~0c/price");
}

#[test]
fn numbers_and_strings_and_arrays_instead_of_quantities_are_refused_with_an_example() {
    for wrong in ["500", "\"500 kt/yr\"", "[500, \"kt/yr\"]", "true"] {
        let error = parse(&format!(r#"{{"plant":{{"capacity":{wrong}}}}}"#)).unwrap_err();
        let expected = r#"expected a quantity such as {"value": 500, "unit": "kt/yr"}"#;
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn unknown_fields_arrays_and_numbers_that_are_not_numbers_are_refused() {
    for (wrong, named) in [
        (r#"{"plants":{}}"#, "plants"),
        (r#"{"plant":{"size":{"value":1,"unit":"t/yr"}}}"#, "size"),
        (r#"{"plant":{"capacity":{"value":1,"unit":"t/yr","note":""}}}"#, "note"),
        (r#"{"utilities":{"steam":{}}}"#, "steam"),
        (r#"{"plant":[]}"#, "the plant's inputs"),
        (r#"[]"#, "the scenario's inputs"),
        (r#"{"plant":{"capacity":{"value":1e999,"unit":"t/yr"}}}"#, "out of range"),
        (r#"{"plant":{"capacity":{"value":"1","unit":"t/yr"}}}"#, "string \"1\""),
        (r#"{"plant":{"capacity":{"value":NaN,"unit":"t/yr"}}}"#, "expected value"),
        (r#"{"plant":{"capacity":{"value":1}}}"#, "missing field `unit`"),
    ] {
        let error = parse(wrong).unwrap_err();
        assert!(error.contains(named), "{wrong}: {error}");
    }
}

#[test]
fn a_document_is_written_as_it_was_given() {
    let text = r#"{"plant":{"capacity":{"value":500.0,"unit":"kt/yr"}},"main_product":"jet"}"#;
    let document = parse(text).unwrap();
    assert_eq!(serde_json::to_string(&document).unwrap(), text);
    assert_eq!(serde_json::to_string(&InputDocument::default()).unwrap(), "{}");
}

#[test]
fn what_is_given_merges_field_by_field_over_the_defaults() {
    let mut document = InputDocument::default();
    document.products.entry("jet".into()).or_default().price = given(2.5, "USD/kg");
    let resolved = resolve(&document, Some(&worked_case())).unwrap();
    assert_eq!(resolved.inputs.main_product().price_usd_per_t, 2500.0);
    assert_eq!(resolved.inputs.main_product().yield_kg_per_kg, 0.64);
    let jet_price = resolved.values.iter().find(|v| v.pointer == "/products/jet/price").unwrap();
    assert_eq!(
        serde_json::to_value(jet_price).unwrap(),
        serde_json::json!({"pointer": "/products/jet/price", "value": 2.5, "unit": "USD/kg", "source": "user"})
    );
}

#[test]
fn a_stored_document_resolves_again_to_the_same_bits() {
    for (process, country) in [("HEFA", "USA"), ("HEFA", "Malaysia"), ("FT-BtL", "Malaysia")] {
        let mut document = InputDocument::default();
        document.plant.process_ci = given(-0.0, "gCO2e/MJ");
        let first = resolve(&document, Some(&defaults(process, country))).unwrap();
        let stored = serde_json::to_string(first.document()).unwrap();
        let again = resolve(&parse(&stored).unwrap(), None).unwrap();
        let bits = |inputs| serde_json::to_string(inputs).unwrap();
        assert_eq!(bits(&again.inputs), bits(&first.inputs));
        assert!(!bits(&first.inputs).contains("-0.0"));
    }
}

#[test]
fn violations_are_served_with_their_allowed_range() {
    let violations = refused(|d| d.economics.lifetime = given(0.0, "yr"));
    assert_eq!(
        serde_json::to_value(&violations).unwrap(),
        serde_json::json!([{
            "pointer": "/economics/lifetime",
            "code": "out_of_range",
            "message": "plant lifetime is 0 yr, which is out of range; allowed is 1 to 100 yr, whole numbers",
            "allowed": {"min": 1.0, "max": 100.0, "unit": "yr"}
        }])
    );
}
