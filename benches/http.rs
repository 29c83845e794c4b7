//! What a request costs beside the least that it could: from the cache, beside a constant answer of the
//! same size from bare axum; a page of users, beside the same query in a handler on a shared pool.
//!
//! `cargo bench --bench http -- metrics`: what metrics cost, and what a scrape takes under load.
//!
//! Each server is a process of its own, with its defaults but the rate limits; 64 connections ask each in
//! turn, and the ratios are of the medians of one run. PostgreSQL is the one of `DATABASE_URL`.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Json, Router, body::Bytes, extract::State, http::header::CONTENT_TYPE, routing::get};
use chrono::{DateTime, Utc};
use safire_test_support::TestDatabase;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgPool, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

const CONNECTIONS: usize = 64;
const USERS_SCRAPED: usize = 200;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(800);
const USERS: usize = 1_000;
const ADMIN: (&str, &str) = ("admin@safire.local", "the administrator's password");

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["constant", file] => serve(constant(file)).await,
        ["pool", url, ping] => serve(pooled(url, ping == "ping").await).await,
        ["metrics", ..] => metrics().await,
        _ => {
            compare("SQLite", &TestDatabase::sqlite()).await;
            compare("PostgreSQL", &TestDatabase::postgres().await).await;
        }
    }
}

/// The same requests with metrics and without; and a scrape while many ask.
async fn metrics() {
    let database = TestDatabase::sqlite();
    let files = tempfile::tempdir().expect("a temporary directory");
    let with = Server::safire_with(files.path(), &database, &["metrics.enabled=true"]);
    let without = Server::safire_with(files.path(), &database, &["metrics.enabled=false"]);
    let admin = with.sign_in().await;
    for path in ["/master-data", "/users?limit=100", "/auth/me"] {
        let [on, off] = race([with.target(path, Some(&admin)), without.target(path, Some(&admin))]).await;
        println!("{path}: with metrics {on:.0}/s, without {off:.0}/s: {:.3}", on / off);
    }
    let target = with.target("/users?limit=100", Some(&admin));
    for (who, pause) in [("who ask ten times a second", Duration::from_millis(100)), ("without pauses", Duration::ZERO)]
    {
        let until = Instant::now() + ROUND * 8;
        let users: Vec<_> = (0..USERS_SCRAPED).map(|_| tokio::spawn(use_it(target.clone(), pause, until))).collect();
        let scrapes = scrapes(&with, until - ROUND).await;
        let asked: u32 = futures::future::join_all(users).await.into_iter().map(|user| user.expect("no panic")).sum();
        let rate = f64::from(asked) / (ROUND * 8).as_secs_f64();
        println!("a scrape beside {USERS_SCRAPED} users {who} ({rate:.0} requests/s): {scrapes}");
    }
    println!("a scrape at rest: {}", scrapes(&with, Instant::now() + ROUND * 2).await);
}

/// How long scrapes took, and how much they told.
async fn scrapes(server: &Server, until: Instant) -> String {
    let url = format!("http://{}/metrics", server.metrics.expect("an address"));
    let (mut took, mut series) = (Vec::new(), 0);
    while Instant::now() < until {
        tokio::time::sleep(ROUND / 16).await;
        let begun = Instant::now();
        let text = server.http.get(&url).send().await.expect("answers").text().await.expect("a text");
        took.push(begun.elapsed());
        series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    }
    took.sort();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    format!("median {median:.2?}, longest of {} {longest:.2?}; {series} series", took.len())
}

/// Asks, pauses and asks again until then; how often it was answered.
async fn use_it(target: Target, pause: Duration, until: Instant) -> u32 {
    let mut answers = 0;
    let mut connection = Connection::to(target).await;
    while Instant::now() < until {
        connection.ask().await;
        answers += 1;
        tokio::time::sleep(pause).await;
    }
    answers
}

async fn compare(engine: &str, database: &TestDatabase) {
    let files = tempfile::tempdir().expect("a temporary directory");
    let safire = Server::safire(files.path(), database);
    let admin = safire.sign_in().await;
    let people: Vec<_> = (0..USERS).map(|n| json!({ "name": format!("User number {n}") })).collect();
    let made = safire.http.post(safire.url("/users/bulk")).bearer_auth(&admin).json(&json!({ "users": people }));
    assert_eq!(made.send().await.expect("answers").status(), 201);

    for path in ["/users-dict", "/master-data"] {
        let body = safire.http.get(safire.url(path)).bearer_auth(&admin).send().await.expect("answers");
        let body = body.error_for_status().expect("200").bytes().await.expect("a body");
        let file = files.path().join("body");
        std::fs::write(&file, &body).expect("written");
        let bare = Server::bare(&["constant", file.to_str().expect("a name")]);
        let [ours, theirs] = race([safire.target(path, Some(&admin)), bare.target("/", None)]).await;
        let bytes = body.len();
        println!("{engine}: {path}, {bytes} bytes: {ours:.0}/s, bare axum {theirs:.0}/s: {:.2}", ours / theirs);
    }
    for ping in ["ping", "no ping"] {
        let pool = Server::bare(&["pool", database.url(), ping]);
        let targets = [safire.target("/users?limit=100", Some(&admin)), pool.target("/?limit=100", None)];
        let [ours, theirs] = race(targets).await;
        println!("{engine}: /users?limit=100: {ours:.0}/s, pool ({ping}) {theirs:.0}/s: {:.2}", ours / theirs);
    }
}

/// A server in a process of its own; killed when dropped.
struct Server {
    process: Child,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    http: reqwest::Client,
}

impl Server {
    fn safire(files: &std::path::Path, database: &TestDatabase) -> Self {
        Self::safire_with(files, database, &[])
    }

    fn safire_with(files: &std::path::Path, database: &TestDatabase, settings: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_safire"));
        command.args(["--port", "0", "--set", "metrics.port=0", "--set", "log.format=json", "--data-dir"]).arg(files);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        command.env_clear().env("DATABASE_URL", database.url());
        command.env("SAFIRE_ADMIN_EMAIL", ADMIN.0).env("SAFIRE_ADMIN_PASSWORD", ADMIN.1);
        command
            .env("SAFIRE_LIMITS__REQUESTS_PER_MINUTE", "0")
            .env("SAFIRE_JWT_SECRET", "a secret of the benchmark, long enough for it");
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let (address, metrics) = loop {
            let before = said.len();
            let read = log.read_line(&mut said).expect("a log");
            assert!(read > 0, "the program ended before it was ready: {said}");
            let entry: Value = serde_json::from_str(&said[before..]).unwrap_or_default();
            if let Some(address) = entry["address"].as_str() {
                let metrics = entry["metrics"].as_str().map(|metrics| metrics.parse().expect("an address"));
                break (address.parse().expect("an address"), metrics);
            }
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, address, metrics, http: reqwest::Client::new() }
    }

    fn bare(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("a name");
        let mut process = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("an address");
        let address = line.trim().parse().expect("an address");
        Self { process, address, metrics: None, http: reqwest::Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address)
    }

    async fn sign_in(&self) -> String {
        let credentials = json!({ "email": ADMIN.0, "password": ADMIN.1 });
        let answer = self.http.post(self.url("/auth/login")).json(&credentials).send().await.expect("answers");
        let token: Value = answer.json().await.expect("a token");
        token["access_token"].as_str().expect("a token").to_owned()
    }

    /// What to send to it.
    fn target(&self, path: &str, token: Option<&str>) -> Target {
        let (prefix, credential) = match token {
            Some(token) => ("/api/v1", format!("authorization: Bearer {token}\r\n")),
            None => ("", String::new()),
        };
        let request = format!("GET {prefix}{path} HTTP/1.1\r\nhost: {}\r\n{credential}\r\n", self.address);
        Target { address: self.address, request }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Clone)]
struct Target {
    address: SocketAddr,
    request: String,
}

/// Answers per second of each target: the medians of rounds that take turns.
async fn race(targets: [Target; 2]) -> [f64; 2] {
    let mut rates = [const { Vec::new() }; 2];
    for target in &targets {
        round(target).await;
    }
    for _ in 0..ROUNDS {
        for (target, rates) in targets.iter().zip(&mut rates) {
            rates.push(round(target).await);
        }
    }
    rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    })
}

async fn round(target: &Target) -> f64 {
    let begun = Instant::now();
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(ask(target.clone(), begun + ROUND))).collect();
    let mut answers = 0;
    for connection in connections {
        answers += connection.await.expect("does not panic");
    }
    f64::from(answers) / begun.elapsed().as_secs_f64()
}

/// Asks again and again until then; how often it was answered.
async fn ask(target: Target, until: Instant) -> u32 {
    let mut connection = Connection::to(target).await;
    let mut answers = 0;
    while Instant::now() < until {
        connection.ask().await;
        answers += 1;
    }
    answers
}

struct Connection {
    stream: TcpStream,
    request: String,
    buffer: Vec<u8>,
}

impl Connection {
    async fn to(Target { address, request }: Target) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("is a socket");
        Self { stream, request, buffer: Vec::new() }
    }

    /// Asks, and reads the whole answer.
    async fn ask(&mut self) {
        let Self { stream, request, buffer } = self;
        stream.write_all(request.as_bytes()).await.expect("sends");
        buffer.clear();
        let length = loop {
            assert!(stream.read_buf(buffer).await.expect("reads") > 0, "the connection was closed");
            if let Some(length) = length(buffer) {
                break length;
            }
        };
        while buffer.len() < length {
            assert!(stream.read_buf(buffer).await.expect("reads") > 0, "the connection was closed");
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(buffer));
    }
}

/// How long the answer is that begins so, head and body; not known before the head has come.
fn length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).expect("plain text").to_ascii_lowercase();
    let (_, length) = text.split_once("content-length: ").expect("a length");
    let (length, _) = length.split_once("\r\n").expect("a line");
    Some(head + length.parse::<usize>().expect("a number"))
}

async fn serve(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, router).await.expect("serves");
}

fn constant(file: &str) -> Router {
    let body = Bytes::from(std::fs::read(file).expect("a file"));
    Router::new().route("/", get(async move || ([(CONTENT_TYPE, "application/json")], body.clone())))
}

/// A user, as the service shows one.
#[derive(Serialize, FromRow)]
struct User {
    id: Uuid,
    global_id: String,
    name: String,
    email: Option<String>,
    role: String,
    zone_id: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

const LIST: &str = "SELECT u.id, u.global_id, u.name, u.email, u.role, u.zone_id, u.version, u.created_at, u.updated_at
             FROM users u
             WHERE ($3 IS NULL OR u.zone_id = $3) AND u.id > $6
               AND ($2 OR u.id = $1 OR u.zone_id = (SELECT me.zone_id FROM users me WHERE me.id = $1))
             ORDER BY u.id
             LIMIT $5 OFFSET $4";

const COUNT: &str = "SELECT COUNT(*)
             FROM users u
             WHERE ($3 IS NULL OR u.zone_id = $3)
               AND ($2 OR u.id = $1 OR u.zone_id = (SELECT me.zone_id FROM users me WHERE me.id = $1))";

/// A page of users in a handler on a pool of as many connections as the service has.
macro_rules! page {
    ($pool:expr) => {{
        let nobody = Uuid::nil();
        let query = sqlx::query_as(LIST).bind(nobody).bind(true).bind(None::<String>).bind(0_i64).bind(100_i64);
        let items: Vec<User> = query.bind(nobody).fetch_all(&$pool).await.expect("users");
        let count = sqlx::query_scalar(COUNT).bind(nobody).bind(true).bind(None::<String>);
        let total: i64 = count.fetch_one(&$pool).await.expect("a number");
        Json(json!({ "items": items, "total": total, "skip": 0, "limit": 100 }))
    }};
}

async fn pooled(url: &str, ping: bool) -> Router {
    if url.starts_with("postgres") {
        let options = PgPoolOptions::new().max_connections(20).test_before_acquire(ping);
        let pool = options.connect(url).await.expect("connects");
        Router::new().route("/", get(async |State(pool): State<PgPool>| page!(pool))).with_state(pool)
    } else {
        let options = SqlitePoolOptions::new().max_connections(4).test_before_acquire(ping);
        let pool = options.connect(url).await.expect("connects");
        Router::new().route("/", get(async |State(pool): State<SqlitePool>| page!(pool))).with_state(pool)
    }
}
