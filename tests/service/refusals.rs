//! Bad input: refused by name, and nothing of it is stored.

use reqwest::Method;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{Client, TestApp, first_error, id};

pub const EXAMPLE: &str = include_str!("../../examples/hefa-uco-usa.json");

/// One wrong input: what is put where in the worked case, and what is said about it.
struct Wrong {
    /// The member of `inputs` that is wrong.
    at: &'static str,
    /// What stands there, as JSON text.
    text: &'static str,
    /// The pointer below `/inputs` that is named.
    pointer: &'static str,
    code: &'static str,
    says: &'static [&'static str],
    allowed: Option<(f64, f64, &'static str)>,
}

const fn wrong(
    at: &'static str,
    text: &'static str,
    (pointer, code): (&'static str, &'static str),
    says: &'static [&'static str],
    allowed: Option<(f64, f64, &'static str)>,
) -> Wrong {
    Wrong { at, text, pointer, code, says, allowed }
}

const T_PER_YR: &str = "allowed is 1 to 100000000 t/yr";
const CAPACITY: Option<(f64, f64, &str)> = Some((1.0, 1e8, "t/yr"));
const YEARS: Option<(f64, f64, &str)> = Some((1.0, 100.0, "yr"));
const RATE: Option<(f64, f64, &str)> = Some((0.0, 1.0, "1"));
const SHARE: Option<(f64, f64, &str)> = Some((0.0, 1.0, "kg/kg"));

/// Refused by the engine's rules, as `inputs.invalid`.
#[rustfmt::skip] // a table
const VALUES: &[Wrong] = &[
    wrong("/plant/capacity", r#"{"value":500,"unit":"kt/year"}"#, ("/plant/capacity", "unit.unknown"),
        &["capacity is 500 kt/year", "t/yr, kt/yr, kta, ktpa", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":500,"unit":"USD/t"}"#, ("/plant/capacity", "unit.wrong_group"),
        &["500 USD/t", "price per mass, not of capacity", T_PER_YR], CAPACITY),
    wrong("/products/jet/price", r#"{"value":64,"unit":"%"}"#, ("/products/jet/price", "unit.wrong_group"),
        &["product price of jet is 64 %", "0 to 100000 USD/t"], Some((0.0, 1e5, "USD/t"))),
    wrong("/plant/capacity", r#"{"value":0,"unit":"kt/yr"}"#, ("/plant/capacity", "out_of_range"),
        &["is 0 kt/yr", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":-1,"unit":"kt/yr"}"#, ("/plant/capacity", "out_of_range"),
        &["is -1 kt/yr", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":1e308,"unit":"kt/yr"}"#, ("/plant/capacity", "out_of_range"),
        &["is 1e308 kt/yr", T_PER_YR], CAPACITY),
    wrong("/products/jet/yield", r#"{"value":0.65,"unit":"kg/kg"}"#, ("/products", "yields_exceed_one"),
        &["sum to 1.01 kg/kg", "at most 1 kg/kg"], SHARE),
    wrong("/products/jet/yield", r#"{"value":120,"unit":"%"}"#, ("/products/jet/yield", "out_of_range"),
        &["product yield of jet is 120 %", "0 to 1 kg/kg"], SHARE),
    wrong("/economics/lifetime", r#"{"value":0,"unit":"yr"}"#, ("/economics/lifetime", "out_of_range"),
        &["plant lifetime is 0 yr", "1 to 100 yr, whole numbers"], YEARS),
    wrong("/economics/lifetime", r#"{"value":1e9,"unit":"yr"}"#, ("/economics/lifetime", "out_of_range"),
        &["plant lifetime is 1000000000 yr", "1 to 100 yr, whole numbers"], YEARS),
    wrong("/economics/lifetime", r#"{"value":2.5,"unit":"yr"}"#, ("/economics/lifetime", "not_integer"),
        &["plant lifetime is 2.5 yr", "1 to 100 yr, whole numbers"], YEARS),
    wrong("/economics/discount_rate", r#"{"value":-1,"unit":"1"}"#, ("/economics/discount_rate", "out_of_range"),
        &["discount rate is -1,", "0 to 1"], RATE),
    wrong("/economics/discount_rate", r#"{"value":-100,"unit":"%"}"#, ("/economics/discount_rate", "out_of_range"),
        &["discount rate is -100 %", "0 to 1"], RATE),
    wrong("/feedstocks/UCO/carbon_content", r#"{"value":0.69,"unit":"kg/kg"}"#, ("/products", "carbon_balance"),
        &["the products hold 0.84598", "the feedstocks bring 0.834"], Some((0.0, 0.8349, "kg/kg"))),
    wrong("/main_product", r#""kerosene""#, ("/main_product", "main_product_missing"),
        &["\"kerosene\"", "diesel, jet, naphtha"], None),
    wrong("/products/jet/yield", r#"{"value":0,"unit":"kg/kg"}"#, ("/products/jet/yield", "main_product_missing"),
        &["\"jet\" has yield 0 kg/kg", "more than 0 to 1 kg/kg"], None),
    wrong("/products/kerosene", r#"{"price":{"value":900,"unit":"USD/t"}}"#, ("/products/kerosene", "code.unknown"),
        &["\"kerosene\"", "jet, diesel, gasoline, propane, naphtha"], None),
    wrong("/feedstocks/tal~1low", "{}", ("/feedstocks/tal~1low", "code.unknown"),
        &["\"tal/low\"", "UCO, lignocellulosic-biomass, animal-manure"], None),
];

/// Refused because they do not read as inputs, as `body.invalid`.
#[rustfmt::skip] // a table
const SHAPES: &[Wrong] = &[
    wrong("/plant/capacity", r#"{"value":1e999,"unit":"kt/yr"}"#, ("/plant/capacity/value", "not_finite"),
        &["number", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":-1e999,"unit":"kt/yr"}"#, ("/plant/capacity/value", "not_finite"),
        &["number", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":"500","unit":"kt/yr"}"#, ("/plant/capacity/value", "type"),
        &["string \"500\"", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":"NaN","unit":"kt/yr"}"#, ("/plant/capacity/value", "type"),
        &["string \"NaN\"", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":null,"unit":"kt/yr"}"#, ("/plant/capacity/value", "type"),
        &["null", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":500,"unit":7}"#, ("/plant/capacity/unit", "type"),
        &["integer `7`", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"{"value":500}"#, ("/plant/capacity/unit", "required"), &["`unit`", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", "500", ("/plant/capacity", "type"),
        &["integer `500`", r#"a quantity such as {"value": 500, "unit": "kt/yr"}"#, T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#""500 kt/yr""#, ("/plant/capacity", "type"),
        &["string \"500 kt/yr\"", "a quantity such as", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", "true", ("/plant/capacity", "type"),
        &["boolean `true`", "a quantity such as", T_PER_YR], CAPACITY),
    wrong("/plant/capacity", r#"[500,"kt/yr"]"#, ("/plant/capacity", "type"),
        &["sequence", "a quantity such as", T_PER_YR], CAPACITY),
    wrong("/plant", "[]", ("/plant", "type"), &["an object with the plant's inputs"], None),
    wrong("", r#""none""#, ("", "type"), &["an object with the scenario's inputs"], None),
    wrong("/main_product", "7", ("/main_product", "type"), &["integer `7`"], None),
    wrong("/plants", "{}", ("/plants", "field.unknown"), &["`plants`"], None),
    wrong("/plant/size", "1", ("/plant/size", "field.unknown"), &["`size`", "`capacity`"], None),
    wrong("/plant/capacity/note", "1", ("/plant/capacity/note", "field.unknown"), &["`note`"], None),
    wrong("/utilities/steam", "{}", ("/utilities/steam", "field.unknown"), &["`steam`", "`hydrogen`"], None),
    wrong("/products/jet/a~1b", "{}", ("/products/jet/a~1b", "field.unknown"), &["`a/b`"], None),
];

const MARK: &str = "@here@";

/// The inputs of the worked case with `text` at a pointer.
pub fn inputs_with(at: &str, text: &str) -> String {
    let mut inputs = serde_json::from_str::<Value>(EXAMPLE).unwrap()["inputs"].take();
    match at.rsplit_once('/') {
        None => inputs = MARK.into(),
        Some((parent, member)) => {
            let member = member.replace("~1", "/");
            inputs.pointer_mut(parent).expect("the parent is there")[member] = MARK.into();
        }
    }
    inputs.to_string().replace(&format!("\"{MARK}\""), text)
}

pub const CODES: &str = r#""process":"HEFA","feedstock":"UCO","country":"USA""#;

/// The four ways by which inputs come in, around these inputs.
pub fn doors(project: &str, scenario: &str, inputs: &str) -> [(Method, String, String); 4] {
    let whole = format!(r#"{{"name":"Plant",{CODES},"inputs":{inputs}}}"#);
    [
        (Method::POST, "/calculate/quick".into(), format!(r#"{{{CODES},"inputs":{inputs}}}"#)),
        (Method::POST, format!("/projects/{project}/scenarios"), whole.clone()),
        (Method::PUT, format!("/scenarios/{scenario}"), whole),
        (Method::PATCH, format!("/scenarios/{scenario}"), format!(r#"{{"inputs":{inputs}}}"#)),
    ]
}

/// Everything that the user has: projects, scenarios with their versions, runs.
pub async fn everything(user: &Client) -> Vec<Value> {
    let mut all = vec![user.get("/projects?limit=200").await.is(200)];
    for project in all[0]["items"].as_array().unwrap().clone() {
        all.push(user.get(&format!("/projects/{}/scenarios?limit=200", id(&project))).await.is(200));
        for scenario in all.last().unwrap()["items"].as_array().unwrap().clone() {
            all.push(user.get(&format!("/scenarios/{}/runs?limit=200", id(&scenario))).await.is(200));
        }
    }
    all
}

/// A user with a project and a calculated scenario.
pub async fn owner(app: &TestApp) -> (Client, String, String) {
    let ana = app.register().await;
    let project = ana.project().await;
    let scenario = ana.scenario(&project, json!({})).await;
    ana.calculate(&scenario).await;
    ana.reaches(&scenario, "succeeded").await;
    (ana, project, scenario)
}

async fn refuses_each(app: &TestApp, table: &[Wrong], code: &str) {
    let (ana, project, scenario) = owner(app).await;
    let before = everything(&ana).await;
    for Wrong { at, text, pointer, code: field_code, says, allowed } in table {
        for (method, path, body) in doors(&project, &scenario, &inputs_with(at, text)) {
            let what = format!("{method} {path} with {text} at {at}");
            let refused = ana.raw(method, &path, Some("application/json"), body).await;
            assert_eq!(refused.status, 422, "{what}: {}", refused.json);
            let refused = refused.refused(422, code);
            let [error] = refused["errors"].as_array().expect("errors").as_slice() else { panic!("{what}: {refused}") };
            let found = (error["pointer"].as_str(), error["code"].as_str());
            assert_eq!(found, (Some(format!("/inputs{pointer}").as_str()), Some(*field_code)), "{what}: {refused}");
            let message = error["message"].as_str().unwrap();
            for part in *says {
                assert!(message.contains(part), "{what}: {message:?} does not say {part:?}");
            }
            let range = allowed.map(|(min, max, unit)| (min, max, unit.to_owned()));
            assert_eq!(allowed_range(error), range, "{what}: {refused}");
        }
    }
    assert_eq!(everything(&ana).await, before, "something was stored");
}

fn allowed_range(error: &Value) -> Option<(f64, f64, String)> {
    let allowed = error.get("allowed")?;
    // A bound that was computed is compared as it is read.
    let bound = |name: &str| (allowed[name].as_f64().unwrap() * 1e9).round() / 1e9;
    Some((bound("min"), bound("max"), allowed["unit"].as_str().unwrap().to_owned()))
}

on_both_engines! {
    async fn every_wrong_value_is_refused_with_its_range_and_unit_and_nothing_is_stored(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        refuses_each(&app, VALUES, "inputs.invalid").await;
        app.stop().await;
    }

    async fn every_wrong_shape_is_refused_by_pointer_and_nothing_is_stored(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        refuses_each(&app, SHAPES, "body.invalid").await;
        app.stop().await;
    }

    async fn unknown_codes_are_refused_with_the_known_ones(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, project, scenario) = owner(&app).await;
        let before = everything(&ana).await;
        let known = [
            ("process", "HEFA, FT-BtL, ATJ, CHJ"),
            ("feedstock", "UCO, lignocellulosic-biomass"),
            ("country", "USA, Malaysia"),
        ];
        for (field, known) in known {
            let mut body = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA" });
            body[field] = "Atlantis".into();
            let named = |name: &str| {
                let mut named = body.clone();
                named["name"] = name.into();
                named
            };
            let answers = [
                ana.post("/calculate/quick", body.clone()).await,
                ana.post("/projects", named("Plants")).await,
                ana.post(&format!("/projects/{project}/scenarios"), named("Plant")).await,
                ana.put(&format!("/scenarios/{scenario}"), named("Plant")).await,
                ana.patch(&format!("/scenarios/{scenario}"), json!({ field: "Atlantis" })).await,
            ];
            for answer in answers {
                let refused = answer.refused(422, "inputs.invalid");
                assert_eq!(refused["errors"].as_array().unwrap().len(), 1, "{refused}");
                assert_eq!(refused["errors"][0]["pointer"], format!("/{field}"));
                assert_eq!(refused["errors"][0]["code"], "code.unknown");
                let message = refused["errors"][0]["message"].as_str().unwrap();
                assert!(message.contains("\"Atlantis\"") && message.contains(known), "{message}");
            }
        }
        assert_eq!(everything(&ana).await, before, "something was stored");
        app.stop().await;
    }

    async fn everything_that_is_wrong_is_said_at_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let body = json!({ "process": "HEFAA", "feedstock": "UCO", "country": "USA", "inputs": {
            "plant": { "capacity": { "value": 500, "unit": "furlong" } },
            "economics": { "lifetime": { "value": 2.5, "unit": "yr" }, "discount_rate": { "value": -1, "unit": "1" } },
        } });
        let refused = ana.post("/calculate/quick", body).await.refused(422, "inputs.invalid");
        let errors = refused["errors"].as_array().unwrap().iter();
        let pointers: Vec<_> = errors.map(|error| error["pointer"].as_str().unwrap()).collect();
        let expected =
            ["/process", "/inputs/plant/capacity", "/inputs/economics/discount_rate", "/inputs/economics/lifetime"];
        assert_eq!(pointers, expected);
        app.stop().await;
    }

    async fn a_pathway_without_defaults_needs_its_products_and_the_rest(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, project, _) = owner(&app).await;
        let mut example: Value = serde_json::from_str(EXAMPLE).unwrap();
        example["process"] = "ATJ".into();
        ana.post("/calculate/quick", example.clone()).await.is(200);
        let inputs = example["inputs"].as_object_mut().unwrap();
        inputs.remove("products");
        inputs.remove("main_product");
        let refused = ana.post("/calculate/quick", example.clone()).await.refused(422, "inputs.invalid");
        assert_eq!(first_error(&refused), ("/inputs/products", "no_product"));
        assert_eq!(refused["errors"][1]["pointer"], "/inputs/main_product");
        assert_eq!(refused["errors"][1]["code"], "main_product_missing");

        example["name"] = "Alcohol".into();
        ana.post(&format!("/projects/{project}/scenarios"), example.clone()).await.refused(422, "inputs.invalid");

        // A draft may be incomplete; it cannot be calculated.
        example["inputs"] = json!({});
        let draft = id(&ana.post(&format!("/projects/{project}/scenarios"), example).await.is(201));
        for path in ["calculate", "calculate/sync"] {
            let refused = ana.post(&format!("/scenarios/{draft}/{path}"), None).await.refused(422, "inputs.invalid");
            assert_eq!(refused["errors"][0]["pointer"], "/inputs/plant/capacity");
        }
        assert_eq!(ana.get(&format!("/scenarios/{draft}/runs")).await.is(200)["total"], 0);
        assert_eq!(ana.get(&format!("/scenarios/{draft}")).await.is(200)["status"], "draft");
        app.stop().await;
    }

    async fn a_project_that_cannot_be_calculated_from_defaults_is_not_made(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let without_defaults = json!({ "name": "P", "process": "ATJ", "feedstock": "UCO", "country": "USA" });
        let refused = ana.post("/projects", without_defaults).await.refused(422, "inputs.invalid");
        assert_eq!(first_error(&refused), ("/inputs/plant/capacity", "required"));
        let half = json!({ "name": "P", "process": "HEFA" });
        let refused = ana.post("/projects", half).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused), ("/feedstock", "required"));
        assert_eq!(refused["errors"][1]["pointer"], "/country");
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);
        app.stop().await;
    }
}
