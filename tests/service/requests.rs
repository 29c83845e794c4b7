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

    async fn a_compressed_answer_has_a_tag_of_its_own_and_either_tag_names_the_version(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = Caller::of(&app).await;
        let project = ana.post("/projects", json!({ "name": "Plants" })).await;
        let scenario = ana.plant(1000.0).await;
        ana.request(Method::POST, &format!("/scenarios/{scenario}/calculate/sync")).send().await.unwrap();
        let at = format!("/projects/{}", project["id"].as_str().unwrap());
        for path in [at.clone(), format!("/scenarios/{scenario}"), format!("/scenarios/{scenario}/result")] {
            let get = async |packed: bool, known: Option<&str>| {
                let mut asked = ana.request(Method::GET, &path);
                asked = if packed { asked.header("Accept-Encoding", "gzip") } else { asked };
                known.map_or(asked.try_clone().unwrap(), |tag| asked.header("If-None-Match", tag)).send().await.unwrap()
            };
            let (plain, packed) = (get(false, None).await, get(true, None).await);
            assert_eq!(header(&packed, "content-encoding"), Some("gzip"));
            assert_eq!(header(&packed, "vary"), Some("accept-encoding"));
            let (plain, packed) = (header(&plain, "etag").unwrap(), header(&packed, "etag").unwrap());
            assert_eq!(packed, format!("{}-gzip\"", plain.strip_suffix('"').unwrap()), "{path}");
            for (with_gzip, known) in [(true, packed), (true, plain), (false, packed), (false, plain)] {
                let unchanged = get(with_gzip, Some(known)).await;
                assert_eq!(unchanged.status(), 304, "{path} {known}");
                assert_eq!(header(&unchanged, "etag"), Some(known));
                assert_eq!(header(&unchanged, "vary"), Some("accept-encoding"));
            }
            assert_eq!(get(true, Some(&format!("W/{packed}"))).await.status(), 304);
            assert_eq!(get(true, Some("\"0-gzip\"")).await.status(), 200);
        }
        let change = async |tag: &str| {
            let asked = ana.request(Method::PATCH, &at).header("If-Match", tag).header("Accept-Encoding", "gzip");
            asked.json(&json!({ "name": "Others" })).send().await.unwrap()
        };
        let changed = change("\"1-gzip\"").await;
        assert_eq!((changed.status(), header(&changed, "etag")), (200.try_into().unwrap(), Some("\"2-gzip\"")));
        assert_eq!(change("\"1-gzip\"").await.status(), 412);
        let removed = ana.request(Method::DELETE, &at).header("If-Match", "\"2-gzip\"").send().await.unwrap();
        assert_eq!(removed.status(), 204);
        app.stop().await;
    }

    async fn a_page_of_a_listed_origin_reads_every_header_that_the_service_tells(database: &TestDatabase) {
        let listed = "https://app.example.com";
        let app = TestApp::with(database, |config, _| {
            config.http.cors_origins = vec![listed.into()];
            config.limits.requests_per_minute = 1000;
        })
        .await;
        let ana = Caller::of(&app).await;
        // What every page may read of every answer (Fetch, 2.2.2), and what is no page's business.
        let others = ["cache-control", "content-language", "content-length", "content-type", "expires", "last-modified",
            "pragma", "date", "vary", "connection", "transfer-encoding", "content-encoding",
            "access-control-allow-origin", "access-control-expose-headers"];
        let scenario = ana.plant(1000.0).await;
        let result = format!("/scenarios/{scenario}/result");
        let sync = format!("/scenarios/{scenario}/calculate/sync");
        ana.request(Method::POST, &sync).send().await.unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for (method, path, body) in [
            (Method::GET, result.clone(), None),
            (Method::GET, format!("{result}?format=csv"), None),
            (Method::POST, "/projects".to_owned(), Some(json!({ "name": "Plants" }))),
            (Method::POST, format!("/scenarios/{scenario}/calculate"), None),
            (Method::PUT, "/auth/me".to_owned(), None),
        ] {
            let asked = ana.request(method, &path).header("Origin", listed).header("Prefer", "wait=5");
            let answer = body.map_or(asked.try_clone().unwrap(), |body| asked.json(&body)).send().await.unwrap();
            let exposed = header(&answer, "access-control-expose-headers").expect("it is told").to_lowercase();
            let exposed: Vec<_> = exposed.split(',').map(str::trim).collect();
            for name in answer.headers().keys().map(|name| name.as_str()).filter(|name| !others.contains(name)) {
                assert!(exposed.contains(&name), "{path}: {name} is hidden");
                seen.insert(name.to_owned());
            }
            for name in ["etag", "ratelimit", "ratelimit-policy", "retry-after", "content-disposition", "location",
                "x-request-id", "www-authenticate", "preference-applied", "allow"] {
                assert!(exposed.contains(&name), "{name}");
            }
        }
        let told = ["allow", "content-disposition", "etag", "location", "preference-applied", "ratelimit",
            "ratelimit-policy", "x-content-type-options", "x-request-id"];
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), told);
        app.stop().await;
    }

    async fn a_header_that_has_one_value_is_refused_when_it_is_sent_twice(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = Caller::of(&app).await;
        let bearer = format!("Bearer {}", ana.token);
        let values = [
            ("Idempotency-Key", "one", "two"),
            ("Idempotency-Key", "one", "one"),
            ("Authorization", &bearer, "Bearer other"),
            ("X-API-Key", "sfr_one", "sfr_two"),
            ("Content-Type", "application/json", "text/plain"),
            ("Last-Event-ID", "1-1", "2-1"),
        ];
        for (name, one, two) in values {
            let body = json!({ "name": "Plants" }).to_string();
            let mut asked = ana.http.post(format!("{}/projects", ana.base)).body(body);
            if name != "Authorization" {
                asked = asked.bearer_auth(&ana.token);
            }
            let answer = asked.header(name, one).header(name, two).send().await.unwrap();
            assert_eq!(answer.status(), 400, "{name}");
            let told: Value = answer.json().await.unwrap();
            assert_eq!(told["code"], "header.repeated", "{told}");
            assert!(told["detail"].as_str().unwrap().contains(&name.to_lowercase()), "{told}");
        }
        let all: Value = ana.request(Method::GET, "/projects").send().await.unwrap().json().await.unwrap();
        assert_eq!(all["total"], 0);
        // Of what only names a request in the logs, two are none.
        let named = ana.request(Method::GET, "/projects").header("X-Request-Id", "one").header("X-Request-Id", "two");
        let answer = named.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(!["one", "two"].contains(&header(&answer, "x-request-id").unwrap()));
        app.stop().await;
    }

    async fn answers_with_secrets_are_kept_nowhere_and_no_answer_is_taken_for_another_kind(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = Caller::of(&app).await;
        let credentials = json!({ "email": "ana@example.com", "password": "a long password" });
        for (path, body, status) in [
            ("/auth/login", credentials.clone(), 200),
            ("/auth/login", json!({ "email": "ana@example.com", "password": "a wrong password" }), 401),
            ("/auth/keys", json!({ "name": "a key" }), 201),
            ("/auth/refresh", json!({ "refresh_token": "nonsense" }), 401),
            ("/events/ticket", json!({}), 201),
        ] {
            let answer = ana.request(Method::POST, path).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{path}");
            assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
        }
        let open = ana.request(Method::GET, "/projects").send().await.unwrap();
        assert_eq!((header(&open, "cache-control"), header(&open, "x-content-type-options")), (None, Some("nosniff")));
        let docs = ana.http.get(format!("{}/docs/", ana.base.trim_end_matches("/api/v1"))).send().await.unwrap();
        let policy = header(&docs, "content-security-policy").unwrap();
        for part in ["default-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(header(&docs, "x-content-type-options"), Some("nosniff"));
        // Nothing on the page would be refused by it: no script stands in the page itself.
        let page = docs.text().await.unwrap();
        assert!(page.split("<script").skip(1).all(|script| script.trim_start().starts_with("src=")), "{page}");
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
