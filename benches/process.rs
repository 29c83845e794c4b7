//! The release program as an operator meets it: start to ready on an existing SQLite file, memory at rest, and how
//! long a base run takes while ten million samples are drawn.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const STARTS: usize = 9;

fn main() {
    let files = tempfile::tempdir().expect("a temporary directory");
    stop(start(files.path()).0);
    let mut starts: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let (process, took, _) = start(files.path());
            stop(process);
            took
        })
        .collect();
    starts.sort();
    println!("start to ready on an existing SQLite file: median {:.0?} of {STARTS}", starts[STARTS / 2]);

    let (process, ..) = start(files.path());
    std::thread::sleep(Duration::from_secs(3));
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("is running");
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).expect("has a resident set");
    let kib: f64 = rss.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    println!("idle RSS: {:.1} MB", kib * 1024.0 / 1e6);
    stop(process);
    fairness(files.path());
}

const RUNS: usize = 300;

/// A base run, from the request to its result, with the pool to itself and beside ten million samples.
fn fairness(files: &Path) {
    let (process, _, address) = start(files);
    let service = Service { address: address.parse().expect("an address") };
    let account = r#"{"email":"ana@example.com","name":"Ana","password":"correct horse battery"}"#;
    service.post("/auth/register", "", account);
    let token = service.post("/auth/login", "", r#"{"email":"ana@example.com","password":"correct horse battery"}"#);
    let token = token["access_token"].as_str().expect("a token");
    let id = |made: Value| made["id"].as_str().expect("an id").to_owned();
    let project = id(service.post("/projects", token, r#"{"name":"Plants"}"#));
    let plant = r#"{"name":"A plant","process":"HEFA","feedstock":"UCO","country":"USA"}"#;
    let [big, small] = [(); 2].map(|()| id(service.post(&format!("/projects/{project}/scenarios"), token, plant)));
    let mut capacity = 100_000;
    let mut base_runs = |goes_on: &dyn Fn() -> bool| {
        let mut took = Vec::new();
        while took.len() < RUNS && goes_on() {
            capacity += 1;
            let edit = format!(r#"{{"inputs":{{"plant":{{"capacity":{{"value":{capacity},"unit":"t/yr"}}}}}}}}"#);
            service.send("PATCH", &format!("/scenarios/{small}"), token, &edit);
            let begun = Instant::now();
            let result = service.post(&format!("/scenarios/{small}/calculate/sync"), token, "");
            assert_eq!(result["run"]["state"], "succeeded", "{result}");
            took.push(begun.elapsed());
        }
        took.sort();
        took
    };
    let alone = base_runs(&|| true);
    // Again and again: one is over sooner than the runs.
    let samples = r#"{"analysis":"monte-carlo","samples":10000000,"seed":SEED,"metrics":["npv","msp","irr","lcop","payback"],
        "inputs":[{"input":"/feedstocks/UCO/price","unit":"USD/t",
                   "distribution":{"kind":"triangular","min":800,"mode":930,"max":1200}}]}"#;
    let goes_on = || {
        let run = service.send("GET", &format!("/scenarios/{big}/calculate/status"), token, "");
        run["state"] == "queued" || run["state"] == "running"
    };
    let (mut beside, mut seed) = (Vec::new(), 0);
    while beside.len() < RUNS {
        seed += 1;
        let body = samples.replace("SEED", &seed.to_string());
        service.post(&format!("/scenarios/{big}/calculate"), token, &body);
        beside.extend(base_runs(&goes_on));
        while goes_on() {}
    }
    beside.sort();
    for (what, took) in [("alone", &alone), ("beside ten million samples", &beside)] {
        let (median, p99, longest) = (took[took.len() / 2], took[took.len() * 99 / 100], took[took.len() - 1]);
        println!("a base run {what}: median {median:.1?}, 99 % {p99:.1?}, longest {longest:.1?} of {}", took.len());
    }
    stop(process);
}

struct Service {
    address: SocketAddr,
}

impl Service {
    fn post(&self, path: &str, token: &str, body: &str) -> Value {
        self.send("POST", path, token, body)
    }

    fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Value {
        let answer = ask(&self.address.to_string(), method, &format!("/api/v1{path}"), token, body).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 2"), "{answer}");
        serde_json::from_str(body).unwrap_or_default()
    }
}

/// Starts the program and waits until `/health/ready` answers 200.
fn start(files: &Path) -> (Child, Duration, String) {
    let begun = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_safire"))
        .args(["--port", "0", "--set", "metrics.port=0", "--set", "log.format=json", "--data-dir"])
        .arg(files)
        .env("SAFIRE_LIMITS__CALCULATE_PER_MINUTE", "0")
        .env("SAFIRE_LIMITS__QUICK_PER_MINUTE", "0")
        .env("SAFIRE_LIMITS__REQUESTS_PER_MINUTE", "0")
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(log.read_line(&mut line).expect("a log") > 0, "the program ended before it was ready");
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = entry["address"].as_str() {
            break address.to_owned();
        }
    };
    while !is_ready(&address) {
        assert!(begun.elapsed() < Duration::from_secs(10), "not ready");
    }
    let took = begun.elapsed();
    // Keep the pipe empty, so that logging never waits.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (process, took, address)
}

fn is_ready(address: &str) -> bool {
    ask(address, "GET", "/health/ready", "", "").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A request on a connection of its own, and all that comes back.
fn ask(address: &str, method: &str, path: &str, token: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         If-Match: *\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn stop(mut process: Child) {
    let told = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status();
    assert!(told.is_ok_and(|status| status.success()), "kill");
    assert!(process.wait().expect("ends").success(), "the program did not end well");
}
