//! People who work: they edit scenarios, have them calculated, and look.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    history::{Entry, History, text},
    server::PATIENCE,
};

/// Somebody who sends requests, each of which is written down.
#[derive(Clone)]
pub struct Hand {
    http: reqwest::Client,
    bases: Vec<String>,
    token: Option<String>,
    who: String,
    history: Arc<History>,
    /// Which server is asked next.
    chance: Arc<Mutex<StdRng>>,
}

/// What came back, if anything did.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: Option<u16>,
    pub retry_after: Option<u64>,
    pub took: Duration,
    pub json: Value,
    pub why: Option<String>,
}

impl Hand {
    pub fn new(bases: Vec<String>, history: Arc<History>, patience: Duration, rng: StdRng) -> Self {
        let http = reqwest::Client::builder().timeout(patience).no_proxy().build().expect("a client");
        Self { http, bases, token: None, who: "nobody".into(), history, chance: Arc::new(Mutex::new(rng)) }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same under another name.
    pub fn named(&self, who: impl Into<String>) -> Self {
        Self { who: who.into(), ..self.clone() }
    }

    /// The same, asking elsewhere.
    pub fn asking(&self, bases: Vec<String>) -> Self {
        Self { bases, ..self.clone() }
    }

    /// The same, on a new connection for each request.
    pub fn without_reuse(&self) -> Self {
        let builder = reqwest::Client::builder().timeout(PATIENCE).no_proxy().pool_max_idle_per_host(0);
        Self { http: builder.build().expect("a client"), ..self.clone() }
    }

    /// Sends JSON, or nothing, to any of the servers. In turn, somebody who is answered and looks again would
    /// always come to the same next one, which may be the one that is paused.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>, key: Option<&str>) -> Reply {
        let choice = self.chance.lock().expect("nobody panics").random_range(0..self.bases.len());
        let base = &self.bases[choice];
        let prefix = if path.starts_with("/health") { "" } else { "/api/v1" };
        let mut request = self.http.request(method.clone(), format!("{base}{prefix}{path}"));
        if matches!(method, Method::PUT | Method::PATCH) {
            request = request.header(header::IF_MATCH, "*");
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let (at, begun) = (self.history.elapsed(), Instant::now());
        let reply = receive(request, begun).await;
        self.history.add(Entry {
            at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            took_ms: u64::try_from(reply.took.as_millis()).unwrap_or(u64::MAX),
            who: self.who.clone(),
            method: method.to_string(),
            path: path.to_owned(),
            key: key.map(str::to_owned),
            status: reply.status,
            retry_after: reply.retry_after,
            why: reply.why.clone().or_else(|| text(&reply.json, "code")),
            run: text(&reply.json, "state").and_then(|_| text(&reply.json, "id")),
            state: text(&reply.json, "state"),
        });
        reply
    }

    /// Asks until the answer is that one.
    pub async fn must(&self, method: Method, path: &str, body: Option<Value>, status: u16) -> Value {
        let begun = Instant::now();
        loop {
            let reply = self.ask(method.clone(), path, body.clone(), None).await;
            if reply.status == Some(status) {
                return reply.json;
            }
            assert!(begun.elapsed() < PATIENCE, "{method} {path} is never answered {status}: {reply:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a file to be imported and calculated; returns the operation.
    pub async fn import(&self, project: &str, file: &str) -> String {
        let form = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"plants.csv\"\r\n\r\n{file}\r\n--limit--\r\n"
        );
        let url = format!("{}/api/v1/projects/{project}/import?calculate=true", self.bases[0]);
        let request = self.http.post(url).header("content-type", "multipart/form-data; boundary=limit").body(form);
        let reply = receive(request.bearer_auth(self.token.as_deref().unwrap_or_default()), Instant::now()).await;
        assert_eq!(reply.status, Some(202), "{reply:?}");
        text(&reply.json, "id").expect("an id")
    }

    /// Gives the scenario new inputs and has it calculated; the reply is that of the last request sent.
    pub async fn recalculate(&self, scenario: &str, capacity: f64, key: Option<&str>) -> Reply {
        let edited =
            self.ask(Method::PATCH, &format!("/scenarios/{scenario}"), Some(of_capacity(capacity)), None).await;
        match edited.status {
            Some(200) => self.ask(Method::POST, &format!("/scenarios/{scenario}/calculate"), None, key).await,
            _ => edited,
        }
    }

    /// Edits a scenario and looks at it, again and again, and has it calculated each `nth` time. All of it is to go
    /// well; how long each request took.
    pub async fn works(&self, scenario: &str, lasts: Duration, every: Duration, nth: u32) -> Vec<Duration> {
        let (path, sync) = (format!("/scenarios/{scenario}"), format!("/scenarios/{scenario}/calculate/sync"));
        let mut ticks = tokio::time::interval(every);
        let (begun, mut took) = (Instant::now(), Vec::new());
        for turn in 0_u32.. {
            if begun.elapsed() > lasts {
                break;
            }
            ticks.tick().await;
            let edit = of_capacity(f64::from(turn) + 1000.0);
            let calculated = (turn % nth == 0).then_some((Method::POST, &sync, None));
            let asked = [(Method::PATCH, &path, Some(edit)), (Method::GET, &path, None)];
            for (method, path, body) in asked.into_iter().chain(calculated) {
                let reply = self.ask(method, path, body, None).await;
                assert_eq!(reply.status, Some(200), "{} is held up: {reply:?}", self.who);
                took.push(reply.took);
            }
        }
        took
    }

    /// Whether that scenario's latest run has ended; `None` when nobody says.
    pub async fn rests(&self, scenario: &str) -> Option<bool> {
        let reply = self.ask(Method::GET, &format!("/scenarios/{scenario}/calculate/status"), None, None).await;
        match reply.status {
            Some(200) => Some(!["queued", "running"].contains(&reply.json["state"].as_str()?)),
            Some(404) => Some(true),
            _ => None,
        }
    }
}

async fn receive(request: reqwest::RequestBuilder, begun: Instant) -> Reply {
    let failed = |error: reqwest::Error| {
        let why = match (error.is_connect(), error.is_timeout()) {
            (true, _) => "no connection",
            (_, true) => "no answer in time",
            _ => "the connection broke",
        };
        Reply { status: None, retry_after: None, took: begun.elapsed(), json: Value::Null, why: Some(why.into()) }
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return failed(error),
    };
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match response.bytes().await {
        Ok(bytes) => Reply {
            status: Some(status),
            retry_after,
            took: begun.elapsed(),
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
            why: None,
        },
        Err(error) => failed(error),
    }
}

/// Only the plant's capacity, in t/yr.
pub fn of_capacity(t_per_yr: f64) -> Value {
    json!({ "inputs": { "plant": { "capacity": { "value": t_per_yr, "unit": "t/yr" } } } })
}

/// A Monte Carlo analysis whose samples are not worked out many at a time, which would be too quick.
pub fn long_analysis(samples: u64, seed: u64) -> Value {
    json!({
        "analysis": "monte-carlo", "samples": samples, "seed": seed, "metrics": ["discounted_payback"],
        "inputs": [{
            "input": "/feedstocks/UCO/price", "unit": "USD/t",
            "distribution": { "kind": "triangular", "min": 800, "mode": 930, "max": 1200 }
        }]
    })
}

/// People at work until they are told to stop.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    people: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// So many people, each of whom has one of these scenarios after the other calculated, with inputs
    /// that nobody else uses, and looks until it rests.
    pub fn at_work(hand: &Hand, scenarios: &[String], people: usize, seed: u64) -> Self {
        let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let people = (0..people)
            .map(|number| {
                let (hand, stop, accepted) = (hand.named(format!("analyst {number}")), stop.clone(), accepted.clone());
                // Each has scenarios of their own, so that nobody stands in another's way.
                let own: Vec<_> = scenarios.iter().skip(number).step_by(people).cloned().collect();
                let rng = StdRng::seed_from_u64(seed ^ (number as u64 + 1) << 32);
                tokio::spawn(work(hand, own, rng, stop, accepted))
            })
            .collect();
        Self { stop, accepted, people }
    }

    /// Runs acknowledged so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until so many more runs are acknowledged.
    pub async fn accepts(&self, more: u64) {
        let (wanted, begun) = (self.accepted() + more, Instant::now());
        while self.accepted() < wanted {
            assert!(begun.elapsed() < PATIENCE, "no progress: {} of {wanted}", self.accepted());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn go_home(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for person in self.people {
            person.await.expect("nobody panics");
        }
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn work(hand: Hand, own: Vec<String>, mut rng: StdRng, stop: Arc<AtomicBool>, accepted: Arc<AtomicU64>) {
    let pause = Duration::from_millis(10);
    for turn in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let scenario = &own[rng.random_range(0..own.len())];
        let key = format!("{}-{turn}", hand.who);
        let reply = hand.recalculate(scenario, f64::from(rng.random_range(1_000..900_000)), Some(&key)).await;
        match reply.status {
            Some(202) => accepted.fetch_add(1, Ordering::Relaxed),
            _ => {
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        // Somebody who waits for long finds something else to do.
        for _ in 0..5 {
            if stop.load(Ordering::Relaxed) || hand.rests(scenario).await != Some(false) {
                break;
            }
            tokio::time::sleep(pause / 2).await;
        }
    }
}
