//! The service behind a proxy that serves others beside it: everything that tells where something is begins with the path.

use reqwest::Client as Http;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::process::Server;

on_both_engines! {
    async fn behind_a_path_prefix_all_that_tells_where_something_is_begins_with_it(database: &TestDatabase) {
        let mut server = Server::start_with(database, &["--set", "http.base_path=/safire/"]);
        let http = Http::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let token = server.nobody().register().await.token.expect("a token");
        // A proxy passes the prefix on, or takes it away.
        for passed_on in ["/safire", ""] {
            let url = |path: &str| format!("{}{passed_on}{path}", server.base);
            let get = async |path: &str| http.get(url(path)).bearer_auth(&token).send().await.unwrap();
            let post = async |path: &str, body: Value| {
                http.post(url(path)).bearer_auth(&token).json(&body).send().await.unwrap()
            };
            let location = |answer: &reqwest::Response| {
                let location = answer.headers().get("location").unwrap_or_else(|| panic!("none in {answer:?}"));
                let location = location.to_str().unwrap().to_owned();
                assert!(location.starts_with("/safire/"), "{location}");
                location
            };

            let document: Value = get("/openapi.json").await.json().await.unwrap();
            assert_eq!(document["servers"], json!([{ "url": "/safire" }]));
            assert!(document["paths"]["/api/v1/projects"].is_object(), "paths are relative to the server");
            assert_eq!(location(&get("/docs").await), "/safire/docs/");
            let page = get("/docs/").await.text().await.unwrap();
            let scripts = get("/docs/swagger-initializer.js").await.text().await.unwrap();
            assert!(format!("{page}{scripts}").contains("\"/safire/openapi.json\""), "{scripts}");
            assert!(!page.contains("src=\"/") && !page.contains("href=\"/"), "{page}");

            let project = post("/api/v1/projects", json!({ "name": "Plants" })).await;
            assert_eq!(project.status(), 201);
            let project = location(&project);
            let found = http.get(format!("{}{project}", server.base)).bearer_auth(&token).send().await.unwrap();
            assert_eq!(found.status(), 200, "where a client looks for {project}");
            let below = project.strip_prefix("/safire").unwrap();
            let plant = json!({ "name": "A", "process": "HEFA", "feedstock": "UCO", "country": "USA" });
            let scenario = location(&post(&format!("{below}/scenarios"), plant).await);
            let below = scenario.strip_prefix("/safire").unwrap();
            let copy = post(&format!("{below}/duplicate"), json!({})).await;
            assert!(location(&copy).starts_with("/safire/api/v1/scenarios/"));
            let run = location(&post(&format!("{below}/calculate"), json!({ "inputs": {} })).await);
            assert!(run.starts_with(&scenario), "{run}");
            let ended = http.get(format!("{}{run}", server.base)).bearer_auth(&token).send().await.unwrap();
            assert_eq!(ended.status(), 200, "{run}");

            let refused = get("/api/v1/nowhere").await;
            assert_eq!(refused.status(), 404);
            assert_eq!(get("/health/ready").await.status(), 200);
            assert!(refused.headers().get("set-cookie").is_none(), "the service has no cookies");
        }
        for other in ["/safire-2/health", "/safire/safire/health", "/other/health"] {
            assert_eq!(http.get(format!("{}{other}", server.base)).send().await.unwrap().status(), 404, "{other}");
        }
        assert_eq!(server.terminate().0.code(), Some(0));
    }

    async fn a_request_sent_again_is_the_same_whether_or_not_the_prefix_was_passed_on(database: &TestDatabase) {
        let mut server = Server::start_with(database, &["--set", "http.base_path=/safire"]);
        let token = server.nobody().register().await.token.expect("a token");
        let mut made = Vec::new();
        for passed_on in ["/safire", ""] {
            let asked = Http::new().post(format!("{}{passed_on}/api/v1/projects", server.base)).bearer_auth(&token);
            let asked = asked.header("Idempotency-Key", "one").json(&json!({ "name": "Plants" }));
            made.push(asked.send().await.unwrap().json::<Value>().await.unwrap()["id"].clone());
        }
        assert!(made[0].is_string());
        assert_eq!(made[0], made[1]);
        assert_eq!(server.terminate().0.code(), Some(0));
    }
}
