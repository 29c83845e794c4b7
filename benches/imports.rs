//! What an import of 100,000 rows costs others: pages of users, asked for at a steady rate, before and during it, and
//! the memory of the process; also when each row is calculated.
//!
//! Each server is a process of its own, with its defaults but the rate limits. A latency is counted from when the
//! request was due. PostgreSQL is the one of `DATABASE_URL`. With `calculated` as an argument only those imports are
//! measured whose rows are calculated.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use safire_test_support::TestDatabase;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

const ROWS: usize = 100_000;
const USERS: usize = 1_000;
/// Those who ask for users, each so often.
const ASKING: usize = 8;
const EVERY: Duration = Duration::from_millis(40);
const IDLE: Duration = Duration::from_secs(20);
const ADMIN: (&str, &str) = ("admin@safire.local", "the administrator's password");

#[tokio::main]
async fn main() {
    if std::env::args().all(|argument| argument != "calculated") {
        measure("SQLite", "CSV", &TestDatabase::sqlite(), table(), false).await;
        measure("SQLite", "XLSX", &TestDatabase::sqlite(), workbook(), false).await;
        measure("PostgreSQL", "CSV", &TestDatabase::postgres().await, table(), false).await;
    }
    measure("SQLite", "CSV", &TestDatabase::sqlite(), table(), true).await;
    measure("PostgreSQL", "CSV", &TestDatabase::postgres().await, table(), true).await;
}

fn table() -> Vec<u8> {
    let mut text =
        "name,process,feedstock,country,plant.capacity [kt/yr],feedstocks.UCO.price,economics.discount_rate [%]\n"
            .to_owned();
    for row in 0..ROWS {
        let _ = writeln!(text, "Plant {row},HEFA,UCO,USA,{},{},{}", 100 + row % 400, 900 + row % 300, 5 + row % 7);
    }
    text.into_bytes()
}

fn workbook() -> Vec<u8> {
    let table = String::from_utf8(table()).expect("text");
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (row, line) in (0..).zip(table.lines()) {
        for (column, cell) in (0..).zip(line.split(',')) {
            let written = match cell.parse::<f64>() {
                Ok(number) => sheet.write_number(row, column, number).map(drop),
                Err(_) => sheet.write_string(row, column, cell).map(drop),
            };
            written.expect("a cell");
        }
    }
    book.save_to_buffer().expect("a workbook")
}

async fn measure(engine: &str, format: &str, database: &TestDatabase, file: Vec<u8>, calculate: bool) {
    let files = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(files.path(), database);
    let admin = server.sign_in().await;
    let people: Vec<_> = (0..USERS).map(|n| json!({ "name": format!("User number {n}") })).collect();
    server.post(&admin, "/users/bulk", &json!({ "users": people })).await;
    let project = server.post(&admin, "/projects", &json!({ "name": "Plants" })).await;
    let project = project["id"].as_str().expect("an id").to_owned();

    let begun = Asking::begin(&server, &admin);
    tokio::time::sleep(IDLE).await;
    let idle = begun.end().await;
    let before = server.resident();

    let asking = Asking::begin(&server, &admin);
    let size = file.len();
    let begun = Instant::now();
    let (ended, peak) = server.import(&admin, &project, file, calculate).await;
    let took = begun.elapsed();
    let busy = asking.end().await;
    assert_eq!(ended["created"], ROWS, "{ended}");
    assert_eq!(ended["calculated"], if calculate { ROWS } else { 0 }, "{ended}");
    let ms = |latencies: &[Duration], share: f64| {
        latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    };
    let what = if calculate { "rows made and calculated" } else { "rows made" };
    println!("{engine}, {format} of {:.1} MB, {ROWS} {what} in {:.1} s:", size as f64 / 1e6, took.as_secs_f64());
    println!("  /users idle:   p50 {:.2} ms, p99 {:.2} ms ({} requests)", ms(&idle, 0.5), ms(&idle, 0.99), idle.len());
    println!("  /users during: p50 {:.2} ms, p99 {:.2} ms ({} requests)", ms(&busy, 0.5), ms(&busy, 0.99), busy.len());
    println!("  p99 during / idle: {:.2}", ms(&busy, 0.99) / ms(&idle, 0.99));
    println!("  resident memory: {:.1} MB before, {:+.1} MB at the peak", before / 1e6, (peak - before) / 1e6);
}

/// People who ask for users at a steady rate.
struct Asking {
    stop: Arc<AtomicBool>,
    people: Vec<tokio::task::JoinHandle<Vec<Duration>>>,
}

impl Asking {
    fn begin(server: &Server, token: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let person = |_| {
            let request = server.http.get(server.url("/users?limit=50")).bearer_auth(token);
            tokio::spawn(ask(request, Arc::clone(&stop)))
        };
        Self { people: (0..ASKING).map(person).collect(), stop }
    }

    /// All latencies, sorted.
    async fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for person in self.people {
            all.extend(person.await.expect("no panic"));
        }
        all.sort();
        all
    }
}

async fn ask(request: reqwest::RequestBuilder, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut due = interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !stop.load(Ordering::Relaxed) {
        let due = due.tick().await;
        let answer = request.try_clone().expect("no stream").send().await.expect("answers");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body");
        latencies.push(due.elapsed());
    }
    latencies
}

struct Server {
    process: Child,
    base: String,
    http: reqwest::Client,
}

impl Server {
    fn start(files: &std::path::Path, database: &TestDatabase) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_safire"));
        command.args(["--port", "0", "--set", "metrics.port=0", "--set", "log.format=json", "--data-dir"]).arg(files);
        command.env_clear();
        for limit in ["LOGIN_PER_MINUTE", "REQUESTS_PER_MINUTE"] {
            command.env(format!("SAFIRE_LIMITS__{limit}"), "0");
        }
        command
            .env("DATABASE_URL", database.url())
            .env("SAFIRE_JWT_SECRET", "a key that only the benchmarks of Safire know")
            .env("SAFIRE_ADMIN_EMAIL", ADMIN.0)
            .env("SAFIRE_ADMIN_PASSWORD", ADMIN.1);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            let read = log.read_line(&mut said).expect("a log");
            assert!(read > 0, "the program ended before it was ready: {said}");
            let entry: Value = serde_json::from_str(&said[before..]).unwrap_or_default();
            if let Some(address) = entry["address"].as_str().filter(|_| said[before..].contains("safire is ready")) {
                break address.to_owned();
            }
        };
        // Keep the pipe empty, so that logging never waits.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { process, base: format!("http://{address}/api/v1"), http }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn sign_in(&self) -> String {
        let account = json!({ "email": ADMIN.0, "password": ADMIN.1 });
        let answer = self.http.post(self.url("/auth/login")).json(&account).send().await.expect("answers");
        let tokens: Value = answer.json().await.expect("JSON");
        tokens["access_token"].as_str().expect("a token").to_owned()
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> Value {
        let answer = self.http.post(self.url(path)).bearer_auth(token).json(body).send().await.expect("answers");
        assert_eq!(answer.status(), 201);
        answer.json().await.expect("JSON")
    }

    /// Imports a file; how that ended, and the most memory meanwhile.
    async fn import(&self, token: &str, project: &str, file: Vec<u8>, calculate: bool) -> (Value, f64) {
        let head = b"--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"plants\"\r\n\r\n";
        let form = [&head[..], &file, b"\r\n--limit--\r\n"].concat();
        drop(file);
        let request = self.http.post(self.url(&format!("/projects/{project}/import?calculate={calculate}")));
        let kind = "multipart/form-data; boundary=limit";
        let sending = tokio::spawn(request.bearer_auth(token).header("content-type", kind).body(form).send());
        let mut peak = self.resident();
        while !sending.is_finished() {
            peak = peak.max(self.resident());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answer = sending.await.expect("no panic").expect("answers");
        assert_eq!(answer.status(), 202);
        let operation: Value = answer.json().await.expect("JSON");
        let path = self.url(&format!("/operations/{}", operation["id"].as_str().expect("an id")));
        loop {
            peak = peak.max(self.resident());
            let answer = self.http.get(&path).bearer_auth(token).send().await.expect("answers");
            let operation: Value = answer.json().await.expect("JSON");
            if !operation["finished_at"].is_null() {
                return (operation, peak);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The resident memory of the process, in bytes.
    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a resident set");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") * 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
