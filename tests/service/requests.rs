//! What requests may ask for beside their content: to wait, to be traced, compressed, from a web page.

use reqwest::{Client, Method, RequestBuilder, Response};
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{ENDLESS, TestApp, of_capacity};

/// Somebody signed in, with requests that are built by hand.
struct Caller {
    http: Client,
    base: String,
    token: String,
}

impl Caller {
    async fn of(app: &TestApp) -> Self {
        let (http, base) = (Client::new(), format!("http://{}/api/v1", app.service().address()));
        let account = json!({ "email": "ana@example.com", "name": "Ana", "password": "a long password" });
        http.post(format!("{base}/auth/register")).json(&account).send().await.unwrap();
        let credentials = json!({ "email": "ana@example.com", "password": "a long password" });
        let login = http.post(format!("{base}/auth/login")).json(&credentials).send().await.unwrap();
        let token = login.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        Self { http, base, token }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.request(Method::POST, path).json(&body).send().await.unwrap().json().await.unwrap()
    }

    async fn plant(&self, capacity: f64) -> String {
        let project = self.post("/projects", json!({ "name": "Plants" })).await;
        let path = format!("/projects/{}/scenarios", project["id"].as_str().unwrap());
        let mut scenario = json!({ "name": "A plant", "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        scenario["inputs"] = of_capacity(capacity);
        self.post(&path, scenario).await["id"].as_str().unwrap().to_owned()
    }
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

on_both_engines! {
    async fn a_client_that_would_rather_wait_gets_the_run_when_it_has_ended(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = Caller::of(&app).await;
        let calculate = async |scenario: &str, prefer: &str| {
            let path = format!("/scenarios/{scenario}/calculate");
            ana.request(Method::POST, &path).header("Prefer", prefer).send().await.unwrap()
        };
        let quick = calculate(&ana.plant(1000.0).await, "wait=10").await;
        assert_eq!((quick.status(), header(&quick, "preference-applied")), (200.try_into().unwrap(), Some("wait=10")));
        assert!(header(&quick, "location").unwrap().ends_with("/result"));
        assert_eq!(quick.json::<Value>().await.unwrap()["state"], "succeeded");

        let endless = ana.plant(ENDLESS).await;
        let slow = calculate(&endless, "wait=0").await;
        assert_eq!((slow.status(), header(&slow, "retry-after")), (202.try_into().unwrap(), Some("1")));
        let waited = calculate(&endless, "wait=1").await;
        assert_eq!(waited.status(), 202);
        let cancelled = ana.request(Method::DELETE, &format!("/scenarios/{endless}/calculate")).send().await.unwrap();
        assert_eq!(cancelled.status(), 200);
        app.stop().await;
    }

    async fn a_problem_names_the_trace_that_its_request_was_part_of(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = Caller::of(&app).await;
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let traced = ana.request(Method::GET, "/nowhere").header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
        let answer = traced.header("X-Request-Id", "mine").send().await.unwrap();
        assert_eq!(header(&answer, "x-request-id"), Some("mine"));
        assert_eq!(answer.json::<Value>().await.unwrap()["trace_id"], trace);
        app.stop().await;
    }

    async fn an_answer_is_compressed_for_those_who_can_read_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = Caller::of(&app).await;
        let plain = ana.request(Method::GET, "/master-data").send().await.unwrap();
        assert_eq!(header(&plain, "content-encoding"), None);
        let plain = plain.bytes().await.unwrap();
        let packed = ana.request(Method::GET, "/master-data").header("Accept-Encoding", "gzip").send().await.unwrap();
        assert_eq!(header(&packed, "content-encoding"), Some("gzip"));
        let packed = packed.bytes().await.unwrap();
        assert_eq!(packed[..2], [0x1f, 0x8b]);
        assert!(packed.len() * 3 < plain.len(), "{} of {}", packed.len(), plain.len());
        app.stop().await;
    }

    async fn only_listed_origins_may_call_from_a_web_page(database: &TestDatabase) {
        let listed = "https://app.example.com";
        let app = TestApp::with(database, |config, _| config.http.cors_origins = vec![listed.into()]).await;
        let preflight = async |origin: &str| {
            let url = format!("http://{}/api/v1/projects", app.service().address());
            let asked = Client::new().request(Method::OPTIONS, url).header("Origin", origin);
            let asked = asked.header("Access-Control-Request-Method", "POST");
            asked.header("Access-Control-Request-Headers", "authorization").send().await.unwrap()
        };
        let allowed = preflight(listed).await;
        assert_eq!(header(&allowed, "access-control-allow-origin"), Some(listed));
        assert!(header(&allowed, "access-control-allow-methods").unwrap().contains("POST"));
        let refused = preflight("https://evil.example.com").await;
        assert_eq!(header(&refused, "access-control-allow-origin"), None);
        app.stop().await;
    }
}
