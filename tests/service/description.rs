//! The API's description: complete, and the same as what the service does.

use std::{collections::BTreeSet, process::Command};

use reqwest::{Method, header::ALLOW};
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{TestApp, with_an_id},
    node::node,
    python::python,
};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

const METHODS: [Method; 6] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE];

pub fn document() -> Value {
    serde_json::to_value(safire_web::openapi()).expect("JSON")
}

/// Every operation with its name, such as `GET /health`.
pub fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            all.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    assert!(all.len() > 50, "only {} operations", all.len());
    all
}

/// What a reference refers to.
pub fn follow<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(at) => document.pointer(at.trim_start_matches('#')).unwrap_or_else(|| panic!("{at} leads nowhere")),
        None => value,
    }
}

#[test]
fn the_committed_description_is_the_one_of_the_routes() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    let now = format!("{}\n", serde_json::to_string_pretty(&safire_web::openapi()).expect("JSON"));
    assert!(committed == now, "docs/openapi.json is out of date; renew it: cargo run -- openapi > docs/openapi.json");
}

#[test]
#[ignore = "needs Python: run ./test"]
fn the_description_and_its_examples_are_valid() {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/check_document.py");
    let output = Command::new(python()).args([check, COMMITTED]).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs Node: run ./test"]
fn the_linter_of_redocly_finds_nothing_in_the_description() {
    let output = node("@redocly/cli/bin/cli.js")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["lint", "docs/openapi.json", "--format", "json"])
        .envs([("REDOCLY_TELEMETRY", "off"), ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")])
        .output()
        .expect("Node runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("it does not lint: {said}"));
    let problems = found["problems"].as_array().expect("problems").iter();
    let problems: Vec<_> =
        problems.map(|p| format!("{} {} {}", p["ruleId"], p["location"][0]["pointer"], p["message"])).collect();
    assert!(problems.is_empty() && output.status.success(), "{problems:#?}{said}");
}

#[test]
fn every_operation_says_what_it_does_with_an_example_for_every_body() {
    let document = document();
    let mut missing = Vec::new();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let mut want = |there: bool, what: &str| {
            if !there {
                missing.push(format!("{name}: {what}"));
            }
        };
        let says = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty() && !text.starts_with("Limits"));
        want(says(&operation["summary"]), "a summary");
        want(says(&operation["description"]), "a description: a second paragraph of the handler's comment");
        want(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "a tag");
        want(ids.insert(operation["operationId"].as_str()), "a name that no other operation has");
        if let Some(body) = operation["requestBody"]["content"].as_object() {
            want(body.values().all(|content| !content["example"].is_null()), "an example of the request");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = follow(&document, parameter);
            want(says(&parameter["description"]), &format!("a description of {}", parameter["name"]));
        }
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let response = follow(&document, response);
            want(says(&response["description"]), &format!("a description of {status}"));
            want(!response["headers"]["X-Request-Id"].is_null(), &format!("X-Request-Id of {status}"));
            let contents = response["content"].as_object().into_iter().flatten();
            for (kind, content) in contents {
                let shown = !content["example"].is_null() || !content["examples"].is_null();
                want(shown, &format!("an example of {status}"));
                let is_problem = kind == "application/problem+json";
                want(
                    is_problem == (status.as_str() >= "400") || name.contains("/health"),
                    &format!("the kind of {status}"),
                );
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_follows_from_an_operation_is_said_of_it() {
    let document = document();
    let mut missing = Vec::new();
    for (name, operation) in operations(&document).into_iter().filter(|(name, _)| name.contains("/api/v1")) {
        let changes = name.starts_with("PUT") || name.starts_with("PATCH");
        let guarded = operation["security"].as_array().is_some_and(|any| !any.is_empty());
        let mut statuses = vec!["429", "500", "503"];
        statuses.extend(guarded.then_some("401"));
        statuses.extend(if operation["requestBody"].is_null() { &[][..] } else { &["400", "413", "415", "422"] });
        statuses.extend(if changes { &["409", "412", "428"][..] } else { &[] });
        statuses.extend(name.contains('{').then_some("404"));
        let told = operation["responses"].as_object().expect("responses");
        missing.extend(statuses.into_iter().filter(|s| !told.contains_key(*s)).map(|s| format!("{name}: {s}")));
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        let has = |header: &str| {
            let reference = format!("#/components/parameters/{header}");
            parameters.iter().any(|parameter| parameter["$ref"] == reference)
        };
        let if_match = has("If-Match") || has("If-Match-Required");
        assert!(if_match || !changes, "{name}");
        // What may be made where there is none need not be there.
        assert_eq!(has("If-Match-Required"), changes && !name.contains("/default-sets/"), "{name}");
        missing.extend((if_match && !told.contains_key("412")).then(|| format!("{name}: 412")));
        for status in ["429", "503"] {
            let headers = &follow(&document, &told[status])["headers"];
            assert_eq!(headers["Retry-After"]["$ref"], "#/components/headers/Retry-After", "{name} {status}");
            assert!(!headers["RateLimit"].is_null() && !headers["RateLimit-Policy"].is_null(), "{name} {status}");
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    let key =
        |name: &str| operations(&document).iter().any(|(n, o)| n == name && o.to_string().contains("Idempotency-Key"));
    for repeatable in
        ["projects", "projects/{id}/scenarios", "scenarios/{id}/calculate", "users", "users/bulk", "zones"]
    {
        assert!(key(&format!("POST /api/v1/{repeatable}")), "{repeatable}");
    }
}

on_both_engines! {
    async fn the_description_that_is_served_is_the_one_of_the_routes(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let served = app.anonymous().get("/openapi.json").await.is(200);
        assert_eq!(served, document());
        assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
        let refused = app.anonymous().post("/auth/login", json!({})).await.refused(422, "body.invalid");
        let problem = &served["components"]["schemas"]["Problem"]["properties"];
        for member in refused.as_object().unwrap().keys() {
            assert_ne!(problem[member], Value::Null, "{member} is not described");
        }
        app.stop().await;
    }

    async fn a_method_that_is_not_documented_is_not_allowed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let document = document();
        for (path, item) in document["paths"].as_object().expect("paths") {
            let documented: BTreeSet<_> = item.as_object().expect("operations").keys().map(|m| m.to_uppercase()).collect();
            for method in METHODS {
                if documented.contains(method.as_str()) {
                    continue;
                }
                let answer = admin.send(method.clone(), &with_an_id(path), None).await;
                let allowed = answer.header(ALLOW.as_str()).split(',').map(|m| m.trim().to_owned());
                let allowed: BTreeSet<_> = allowed.filter(|method| method != "HEAD").collect();
                assert_eq!(allowed, documented, "{path}");
                answer.refused(405, "method");
            }
        }
        app.stop().await;
    }

    async fn an_operation_that_reads_a_body_describes_it_and_no_other(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let document = document();
        for (name, operation) in operations(&document) {
            let (method, path) = name.split_once(' ').expect("a method and a path");
            if ["GET", "DELETE"].contains(&method) {
                continue;
            }
            let answer = admin.raw(method.parse().expect("a method"), &with_an_id(path), Some("text/plain"), "x").await;
            assert_eq!(answer.status == 415, !operation["requestBody"].is_null(), "{name}: {answer:?}");
        }
        app.stop().await;
    }

    async fn the_description_is_shown_to_people_without_a_network(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let base = format!("http://{}", app.service().address());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let get = async |path: &str| {
            let answer = http.get(format!("{base}{path}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            assert!(answer.headers().contains_key("x-request-id"), "{path}");
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (kind, answer.text().await.unwrap())
        };
        let (kind, page) = get("/docs").await;
        assert!(kind.starts_with("text/html"), "{kind}");
        let files: Vec<_> = page.split('"').filter(|part| part.ends_with(".js") || part.ends_with(".css")).collect();
        assert!(files.len() >= 3, "{page}");
        for file in files {
            assert!(!file.contains("//"), "{file} is somewhere else");
            let (kind, text) = get(&format!("/docs/{}", file.trim_start_matches("./"))).await;
            let right = if file.ends_with(".css") { "text/css" } else { "text/javascript" };
            assert!(kind.starts_with(right) && !text.is_empty(), "{file}: {kind}");
        }
        let (_, start) = get("/docs/swagger-initializer.js").await;
        assert!(start.contains("\"/openapi.json\"") && start.contains("\"validatorUrl\": \"none\""), "{start}");
        app.anonymous().get("/docs/nothing.js").await.refused(404, "not_found");
        app.stop().await;
    }
}
