//! The people who use the service, and what they are answered.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use reqwest::{
    Body, Method,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};
use safire_domain::ScenarioId;
use safire_test_support::{PATIENCE, now};
use serde_json::{Value, json};

use crate::contract::Served;

/// The password of everybody who registers.
pub const PASSWORD: &str = "correct horse battery";

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    builder.redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

/// Somebody who sends requests.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub token: Option<String>,
    /// Sent with every request.
    headers: HeaderMap,
}

impl Client {
    /// Somebody without a token who sends to that address.
    pub fn of(base: impl Into<String>) -> Self {
        Self { http: client(), base: base.into(), token: None, headers: HeaderMap::new() }
    }

    /// A new analyst, signed in.
    pub async fn register(&self) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let email = format!("analyst-{}@example.com", COUNT.fetch_add(1, Ordering::Relaxed));
        let account = json!({ "email": email, "name": "Ana", "password": PASSWORD });
        self.post("/auth/register", account).await.is(201);
        self.login(&email, PASSWORD).await
    }

    /// The same with a token for that account.
    pub async fn login(&self, email: &str, password: &str) -> Self {
        let token = self.post("/auth/login", json!({ "email": email, "password": password })).await.is(200);
        self.with_token(token["access_token"].as_str().expect("a token"))
    }

    /// The same with that token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same who also sends that header.
    pub fn sending(&self, name: &'static str, value: &str) -> Self {
        self.sending_bytes(name, value.parse().expect("a header's value"))
    }

    /// The same who also sends that header, whatever its bytes.
    pub fn sending_bytes(&self, name: &'static str, value: HeaderValue) -> Self {
        let mut headers = self.headers.clone();
        headers.insert(name, value);
        Self { headers, ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Option<Value>>) -> Answer {
        self.send(Method::POST, path, body.into()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends JSON, or nothing. A path that begins with none of the service's roots is below `/api/v1`.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        match body {
            Some(body) => self.raw(method, path, Some("application/json"), body.to_string()).await,
            None => self.raw(method, path, None, "").await,
        }
    }

    /// Sends bytes as they are.
    pub async fn raw(&self, method: Method, path: &str, kind: Option<&str>, body: impl Into<Body>) -> Answer {
        self.try_raw(method, path, kind, body).await.expect("an answer")
    }

    /// The same; an error is a connection that broke.
    pub async fn try_raw(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: impl Into<Body>,
    ) -> reqwest::Result<Answer> {
        let at_root = ["/api/", "/health", "/openapi", "/docs"].iter().any(|root| path.starts_with(root));
        let prefix = if at_root { "" } else { "/api/v1" };
        let changes = matches!(method, Method::PUT | Method::PATCH);
        let path = format!("{prefix}{path}");
        let request = self.http.request(method.clone(), format!("{}{path}", self.base)).body(body);
        let mut request = request.headers(self.headers.clone());
        if changes && ![IF_MATCH, IF_NONE_MATCH].iter().any(|name| self.headers.contains_key(name)) {
            request = request.header(IF_MATCH, "*");
        }
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let served = Served { method: &method, path: &path, status };
        if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
            // It has no end: that it began is the answer.
            served.is_described(None);
            return Ok(Answer { status, headers, json: Value::Null, bytes: Vec::new() });
        }
        let bytes = response.bytes().await?;
        let is_file = headers.contains_key(CONTENT_DISPOSITION);
        let json = match bytes.is_empty() || is_file {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).expect("every answer but a file is JSON"),
        };
        served.is_described(json["code"].as_str());
        Ok(Answer { status, headers, json, bytes: bytes.to_vec() })
    }

    /// A request for a stream of events; the answer is read as it comes.
    pub async fn open(&self, path: &str, last_event_id: Option<&str>) -> reqwest::Result<reqwest::Response> {
        let request = self.http.get(format!("{}/api/v1{path}", self.base)).timeout(10 * PATIENCE);
        let mut request = request.headers(self.headers.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await?;
        let path = format!("/api/v1{path}");
        Served { method: &Method::GET, path: &path, status: response.status().as_u16() }.is_described(None);
        Ok(response)
    }

    /// Where the service is, such as `127.0.0.1:8000`.
    pub fn host(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// A new, empty project.
    pub async fn project(&self) -> String {
        id(&self.post("/projects", json!({ "name": "Plants" })).await.is(201))
    }

    /// A new draft of the worked case in that project, with these inputs.
    pub async fn scenario(&self, project: &str, inputs: Value) -> String {
        let scenario =
            json!({ "name": "A plant", "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": inputs });
        id(&self.post(&format!("/projects/{project}/scenarios"), scenario).await.is(201))
    }

    /// A new draft in a new project: the worked case, with that capacity in t/yr.
    pub async fn plant(&self, capacity: f64) -> String {
        let project = self.project().await;
        self.scenario(&project, of_capacity(capacity)).await
    }

    /// Sends a file to be imported.
    pub async fn import(&self, project: &str, file: &[u8], query: &str) -> Answer {
        let (kind, form) = form("file", file);
        self.raw(Method::POST, &format!("/projects/{project}/import{query}"), Some(kind), form).await
    }

    /// The operation once it has ended.
    pub async fn ends(&self, operation: &str) -> Value {
        let path = format!("/operations/{operation}");
        eventually("the end of an import", async || {
            let operation = self.get(&path).await.is(200);
            if operation["finished_at"].is_null() { Err(operation) } else { Ok(operation) }
        })
        .await
    }

    /// Has the scenario calculated, and returns the id of the run.
    pub async fn calculate(&self, scenario: &str) -> String {
        id(&self.post(&format!("/scenarios/{scenario}/calculate"), None).await.is(202))
    }

    /// The scenario's latest run once it is in that state; fails when that takes too long.
    pub async fn reaches(&self, scenario: &str, state: &str) -> Value {
        let path = format!("/scenarios/{scenario}/calculate/status");
        eventually(state, async || {
            let run = self.get(&path).await.is(200);
            if run["state"] == state { Ok(run) } else { Err(run) }
        })
        .await
    }
}

/// A form with one field that is a file, and its kind.
pub fn form(field: &str, file: &[u8]) -> (&'static str, Vec<u8>) {
    let head = format!("--limit\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"plants.csv\"\r\n\r\n");
    ("multipart/form-data; boundary=limit", [head.as_bytes(), file, b"\r\n--limit--\r\n"].concat())
}

/// Only the plant's capacity, in t/yr.
pub fn of_capacity(t_per_yr: f64) -> Value {
    json!({ "plant": { "capacity": { "value": t_per_yr, "unit": "t/yr" } } })
}

/// The id in a body.
#[track_caller]
pub fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("no id in {body}")).to_owned()
}

/// A route's path with an id, or a zone's, that nothing has.
pub fn with_an_id(path: &str) -> String {
    let id = ScenarioId::new(now()).to_string();
    path.replace("{id}", &id).replace("{zone_id}", &id).replace("{run_id}", &id)
}

/// The pointer and the code of the first field that is wrong.
#[track_caller]
pub fn first_error(refused: &Value) -> (&str, &str) {
    let text = |name: &str| refused["errors"][0][name].as_str().unwrap_or_else(|| panic!("no {name} in {refused}"));
    (text("pointer"), text("code"))
}

/// Looks until there is what is wanted; fails when that takes too long.
pub async fn eventually<T, E: std::fmt::Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(begun.elapsed() < PATIENCE, "waited for {what}, still {seen:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub json: Value,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The file of that kind in a good answer.
    #[track_caller]
    pub fn file(self, kind: &str) -> Vec<u8> {
        assert_eq!(self.status, 200, "{}", self.json);
        assert_eq!(self.header("content-type"), kind);
        assert!(self.header("content-disposition").starts_with("attachment; filename=\"safire-"), "{self:?}");
        self.bytes
    }

    /// The body of an answer with that status.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    /// The value of a header.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {self:?}"));
        value.to_str().expect("plain text")
    }

    /// The body of a refusal with that status and code, which is in every way a problem of RFC 9457.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}", self.json);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json["trace_id"], self.header("x-request-id"));
        assert_eq!(self.json["status"], status);
        assert_eq!(self.json["type"], format!("urn:safire:problem:{code}"));
        assert!(!self.json["detail"].as_str().expect("a detail").is_empty());
        if status == 503 {
            assert!(self.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
        }
        self.json
    }
}
