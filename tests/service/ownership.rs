//! What belongs to somebody else does not exist; who is nobody gets nowhere.

use std::collections::BTreeSet;

use reqwest::Method;
use safire_domain::ScenarioId;
use safire_test_support::{now, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{Client, TestApp, id, of_capacity, with_an_id},
    matrix::{PEOPLE, TABLE, documented},
    users::{make_member, make_zone},
};

/// One operation of the API, as its description names it.
#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    guarded: bool,
    /// The statuses that it may answer with.
    statuses: BTreeSet<u16>,
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(safire_web::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            all.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                guarded: operation["security"].as_array().is_some_and(|any| !any.is_empty()),
                statuses: operation["responses"]
                    .as_object()
                    .expect("responses")
                    .keys()
                    .map(|status| status.parse().expect("a status"))
                    .collect(),
            });
        }
    }
    assert!(all.len() > 25, "only {} operations", all.len());
    all
}

/// Whose id a route takes.
#[derive(Clone, Copy)]
enum Of {
    Project,
    Scenario,
}

/// Every route with an id, in an order in which an owner can walk all of them: what removes comes last.
fn routes_with_an_id() -> Vec<(Method, &'static str, Of, Option<Value>)> {
    use Of::{Project, Scenario};
    let scenario = || Some(json!({ "name": "S", "process": "HEFA", "feedstock": "UCO", "country": "USA" }));
    let breakeven = || Some(json!({ "input": "/feedstocks/UCO/price", "metric": "npv" }));
    vec![
        (Method::GET, "/api/v1/projects/{id}", Project, None),
        (Method::PUT, "/api/v1/projects/{id}", Project, Some(json!({ "name": "P", "description": "" }))),
        (Method::PATCH, "/api/v1/projects/{id}", Project, Some(json!({ "name": "P" }))),
        (Method::GET, "/api/v1/projects/{id}/scenarios", Project, None),
        (Method::POST, "/api/v1/projects/{id}/scenarios", Project, scenario()),
        (Method::GET, "/api/v1/scenarios/{id}", Scenario, None),
        (Method::POST, "/api/v1/scenarios/{id}/duplicate", Scenario, None),
        (Method::POST, "/api/v1/scenarios/{id}/breakeven", Scenario, breakeven()),
        (Method::GET, "/api/v1/scenarios/{id}/result", Scenario, None),
        (Method::GET, "/api/v1/scenarios/{id}/runs", Scenario, None),
        (Method::GET, "/api/v1/scenarios/{id}/runs/{run_id}", Scenario, None),
        (Method::GET, "/api/v1/scenarios/{id}/runs/{run_id}/result", Scenario, None),
        (Method::GET, "/api/v1/scenarios/{id}/calculate/status", Scenario, None),
        (Method::POST, "/api/v1/scenarios/{id}/calculate", Scenario, None),
        (Method::POST, "/api/v1/scenarios/{id}/calculate/sync", Scenario, None),
        (Method::DELETE, "/api/v1/scenarios/{id}/calculate", Scenario, None),
        (Method::DELETE, "/api/v1/scenarios/{id}/runs/{run_id}", Scenario, None),
        (Method::POST, "/api/v1/scenarios/{id}/runs/{run_id}/retry", Scenario, None),
        (Method::PUT, "/api/v1/scenarios/{id}", Scenario, scenario()),
        (Method::PATCH, "/api/v1/scenarios/{id}", Scenario, Some(json!({ "inputs": of_capacity(1000.0) }))),
        (Method::DELETE, "/api/v1/scenarios/{id}", Scenario, None),
        (Method::DELETE, "/api/v1/projects/{id}", Project, None),
    ]
}

async fn whole(user: &Client, project: &str, scenario: &str) -> Vec<Value> {
    let paths = [
        format!("/projects/{project}"),
        format!("/projects/{project}/scenarios"),
        format!("/scenarios/{scenario}/result"),
        format!("/scenarios/{scenario}/runs"),
    ];
    let mut all = Vec::new();
    for path in paths {
        all.push(user.get(&path).await.is(200));
    }
    all
}

#[test]
fn no_route_with_an_id_is_forgotten_here() {
    let name = |method: &Method, path: &str| format!("{method} {path}");
    // What takes a form is asked in the matrix.
    let takes_json = |o: &&Operation| !o.path.ends_with("/import");
    let of_projects = |o: &&Operation| o.path.contains("/projects/{id}") || o.path.contains("/scenarios/{id}");
    let documented: BTreeSet<_> =
        operations().iter().filter(of_projects).filter(takes_json).map(|o| name(&o.method, &o.path)).collect();
    let tested: BTreeSet<_> = routes_with_an_id().iter().map(|(method, path, ..)| name(method, path)).collect();
    assert_eq!(tested, documented);
}

#[test]
fn the_matrix_has_every_documented_operation_once_and_no_other() {
    let name = |o: &Operation| format!("{} {}", o.method, o.path.strip_prefix("/api/v1").unwrap_or(&o.path));
    let operations: BTreeSet<_> = operations().iter().map(name).collect();
    let rows: BTreeSet<_> = TABLE.iter().map(|(operation, ..)| documented(operation).to_owned()).collect();
    let forgotten: Vec<_> = operations.difference(&rows).collect();
    let unknown: Vec<_> = rows.difference(&operations).collect();
    assert!(forgotten.is_empty() && unknown.is_empty(), "no row: {forgotten:?}; not documented: {unknown:?}");
    assert_eq!(rows.len(), TABLE.len(), "an operation has two rows");
}

#[test]
fn every_answer_in_the_matrix_is_documented() {
    let mut missing = BTreeSet::new();
    for Operation { method, path, statuses, .. } in operations() {
        let name = format!("{method} {}", path.strip_prefix("/api/v1").unwrap_or(&path));
        let rows = TABLE.iter().filter(|(operation, ..)| documented(operation) == name);
        let answers = rows.flat_map(|(_, class, ..)| PEOPLE.map(|who| class.status(who)));
        missing.extend(answers.filter(|status| !statuses.contains(status)).map(|status| format!("{name}: {status}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

on_both_engines! {
    async fn anothers_id_on_every_route_is_answered_like_one_that_does_not_exist(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let project = ana.project().await;
        let scenario = ana.scenario(&project, json!({})).await;
        let run = ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        let before = whole(&ana, &project, &scenario).await;
        let nobodys = ScenarioId::new(now()).to_string();

        for (method, path, of, body) in routes_with_an_id() {
            let id = match of {
                Of::Project => &project,
                Of::Scenario => &scenario,
            };
            let ask = async |user: &Client, id: &str| {
                let path = path.replace("{id}", id).replace("{run_id}", &run);
                let answer = user.send(method.clone(), &path, body.clone()).await;
                assert_eq!(answer.status, 404, "{method} {path}: {}", answer.json);
                let mut problem = answer.refused(404, "not_found");
                problem.as_object_mut().unwrap().remove("trace_id");
                problem
            };
            let foreign = ask(&bob, id).await;
            assert_eq!(foreign, ask(&bob, &nobodys).await, "{method} {path}");
        }
        assert_eq!(whole(&ana, &project, &scenario).await, before);
        assert_eq!(bob.get("/projects").await.is(200)["total"], 0);
        app.stop().await;
    }

    async fn an_owner_is_found_on_every_route(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, json!({})).await;
        let run = ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        for (method, path, of, body) in routes_with_an_id() {
            let id = match of {
                Of::Project => &project,
                Of::Scenario => &scenario,
            };
            let filled = path.replace("{id}", id).replace("{run_id}", &run);
            let answer = ana.send(method.clone(), &filled, body).await;
            // Nothing is in motion to be cancelled, nothing has failed to be tried again.
            let cancels = (path.ends_with("/calculate") || path.ends_with("/{run_id}")) && method == Method::DELETE;
            let conflicts = cancels || path.ends_with("/retry");
            let expected: &[u16] = if conflicts { &[409] } else { &[200, 201, 204] };
            assert!(expected.contains(&answer.status), "{method} {path}: {answer:?}");
        }
        app.stop().await;
    }

    async fn anothers_user_or_key_is_answered_like_one_that_does_not_exist(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let user = id(&ana.get("/auth/me").await.is(200));
        let key = id(&ana.post("/auth/keys", json!({ "name": "notebook" })).await.is(201));
        let keys = ana.get("/auth/keys").await.is(200);
        let nobodys = ScenarioId::new(now()).to_string();
        let name = json!({ "name": "X" });
        let routes = [
            (Method::GET, "/users/{id}", &user, None),
            (Method::PATCH, "/users/{id}", &user, Some(name.clone())),
            (Method::PATCH, "/users/{id}", &user, Some(json!({ "name": "X", "role": "admin" }))),
            (Method::PUT, "/users/{id}", &user, Some(name)),
            (Method::DELETE, "/users/{id}", &user, None),
            (Method::POST, "/users/{id}/transfer", &user, Some(json!({ "zone_id": null }))),
            (Method::DELETE, "/auth/keys/{id}", &key, None),
        ];
        for (method, path, theirs, body) in routes {
            let ask = async |id: &str| {
                let answer = bob.send(method.clone(), &path.replace("{id}", id), body.clone()).await;
                let (status, mut problem) = (answer.status, answer.json);
                problem.as_object_mut().expect("a problem").remove("trace_id");
                assert!([403, 404].contains(&status), "{method} {path}: {problem}");
                problem
            };
            assert_eq!(ask(theirs).await, ask(&nobodys).await, "{method} {path}");
        }
        assert_eq!(ana.get("/auth/keys").await.is(200), keys);
        app.stop().await;
    }

    async fn a_run_in_motion_cannot_be_called_off_by_another(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (admin, bob) = (app.as_admin().await, app.register().await);
        make_zone(&admin, "north").await;
        let (_, ana) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let (_, mate) = make_member(&admin, "mate", "analyst", Some("north")).await;
        let scenario = ana.plant(crate::app::ENDLESS).await;
        ana.calculate(&scenario).await;
        let path = format!("/scenarios/{scenario}/calculate");
        bob.delete(&path).await.refused(404, "not_found");
        bob.post(&path, None).await.refused(404, "not_found");
        mate.delete(&path).await.refused(403, "forbidden");
        mate.post(&path, None).await.refused(403, "forbidden");
        assert_eq!(ana.get(&format!("/scenarios/{scenario}")).await.is(200)["status"], "calculating");
        ana.delete(&path).await.is(200);
        app.stop().await;
    }

    async fn without_a_token_every_guarded_route_asks_for_one(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let nobody = app.anonymous();
        let mut open = Vec::new();
        for Operation { method, path, guarded, .. } in operations() {
            if !guarded {
                open.push(format!("{method} {path}"));
                continue;
            }
            let path = with_an_id(&path);
            for user in [nobody.clone(), nobody.with_token("forged")] {
                let answer = user.send(method.clone(), &path, None).await;
                assert_eq!(answer.status, 401, "{method} {path}: {}", answer.json);
                assert_eq!(answer.header("www-authenticate"), "Bearer");
                answer.refused(401, "unauthorized");
            }
        }
        open.sort();
        let meant = [
            "GET /health",
            "GET /health/live",
            "GET /health/ready",
            "POST /api/v1/auth/login",
            "POST /api/v1/auth/logout",
            "POST /api/v1/auth/refresh",
            "POST /api/v1/auth/register",
        ];
        assert_eq!(open, meant);
        app.stop().await;
    }

    async fn every_documented_route_is_there(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let nowhere = admin.get("/nowhere").await.refused(404, "not_found");
        for Operation { method, path, .. } in operations() {
            let at = with_an_id(&path);
            let answer = admin.send(method.clone(), &at, Some(json!({}))).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert_ne!((answer.status, &answer.json["detail"]), (404, &nowhere["detail"]), "{method} {path}");
            assert!(answer.status < 500, "{method} {path}: {answer:?}");
        }
        app.stop().await;
    }
}
