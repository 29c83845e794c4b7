//! The program as a process: its signals, its restarts, its crashes.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::join_all;
use safire_store::schema;
use safire_test_support::{TestDatabase, on_both_engines};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    app::{ADMIN, Client, PATIENCE, SECRET, eventually, id, of_capacity},
    calculation::assert_worked_case,
    cli::{KEY_FIGURES, assert_rows, assert_says, fails, invoke, safire, succeeds},
};

/// The program, serving; killed when dropped.
pub struct Server {
    child: Child,
    pub base: String,
    pub log: Arc<Mutex<Vec<String>>>,
    files: TempDir,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, &[])
    }

    /// The same with more arguments.
    pub fn start_with(database: &TestDatabase, arguments: &[&str]) -> Self {
        Self::start_so(tempfile::tempdir().unwrap(), database, arguments)
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn start_in(files: TempDir, database: &TestDatabase) -> Self {
        Self::start_so(files, database, &[])
    }

    fn start_so(files: TempDir, database: &TestDatabase, arguments: &[&str]) -> Self {
        let mut command = safire(files.path());
        command
            .args(["--port", "0", "--set", "metrics.port=0", "--set", "database.acquire_timeout_ms=15000"])
            .args(arguments)
            .env("DATABASE_URL", database.url());
        command
            .env("SAFIRE_JWT_SECRET", SECRET)
            .env("SAFIRE_AUTH__ARGON2_MEMORY_KIB", "64")
            .env("SAFIRE_ADMIN_EMAIL", ADMIN.0)
            .env("SAFIRE_ADMIN_PASSWORD", ADMIN.1);
        let limits = serde_json::to_value(safire::config::Limits::OFF).unwrap();
        for (limit, off) in limits.as_object().unwrap() {
            command.env(format!("SAFIRE_LIMITS__{}", limit.to_uppercase()), off.to_string());
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, address) = std::sync::mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let entry: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = entry["address"].as_str() {
                    let _ = sender.send(address.to_owned());
                }
                kept.lock().unwrap().push(line);
            }
        });
        let address = address.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never ready: {log:?}"));
        Self { child, base: format!("http://{address}"), log, files }
    }

    fn port(&self) -> &str {
        self.base.rsplit(':').next().unwrap()
    }

    pub fn nobody(&self) -> Client {
        Client::of(&self.base)
    }

    /// Sends SIGTERM; returns how it ended, and how long that took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let pid = self.child.id();
        assert!(Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap().success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {:?}", self.log);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The most memory that it has had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that it has allocated and touched, in bytes: without the pages of the program itself,
    /// which are many more in a debug build.
    fn allocated_memory(&self) -> u64 {
        self.memory("RssAnon:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix(field)).expect("a size");
        1024 * size.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    }

    /// Kills it as a crash would; returns its files.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.files, tempfile::tempdir().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

on_both_engines! {
    async fn a_schema_is_brought_up_to_date_once(database: &TestDatabase) {
        let files = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let migrate = safire(files.path()).arg("migrate").env("DATABASE_URL", database.url()).output().unwrap();
            let version = schema::latest_version();
            assert_eq!(succeeds(migrate).trim(), format!("the schema is at version {version}"));
        }
        let mut connection = database.connect().await;
        assert_eq!(schema::current_version(&mut connection).await.unwrap(), schema::latest_version());
        connection.close().await.unwrap();
    }

    async fn the_program_serves_until_told_to_stop_and_its_next_start_keeps_every_result(database: &TestDatabase) {
        let mut server = Server::start(database);
        assert_says(&succeeds(invoke(&["healthcheck", "--port", server.port()])), &[r#""status":"ok""#]);
        let described: Value = serde_json::from_str(&succeeds(invoke(&["openapi"]))).unwrap();
        assert_eq!(server.nobody().get("/openapi.json").await.is(200), described);
        assert_rows(&succeeds(invoke(&["try-it", "--url", &server.base])), &KEY_FIGURES);
        let as_admin = ["try-it", "--url", &server.base, "--email", ADMIN.0, "--password", ADMIN.1];
        assert_rows(&succeeds(invoke(&as_admin)), &KEY_FIGURES);
        let stranger = ["try-it", "--url", &server.base, "--email", ADMIN.0, "--password", "wrong"];
        assert_says(&fails(invoke(&stranger)), &["401"]);

        let ana = server.nobody().register().await;
        let scenario = ana.plant(500_000.0).await;
        let before = ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        assert_worked_case(&before["result"]);
        // An open connection that asks nothing must not hold up the end.
        let _idle = std::net::TcpStream::connect(server.base.trim_start_matches("http://")).unwrap();
        let (status, took) = server.terminate();
        assert_eq!(status.code(), Some(0), "{:?}", server.log);
        assert!(took < Duration::from_secs(30), "it took {took:?}");
        let log = server.log.lock().unwrap().join("\n");
        for secret in [SECRET, ADMIN.1, ana.token.as_ref().unwrap(), "postgres://"] {
            assert!(!log.contains(secret), "the log shows a secret: {log}");
        }

        let mut again = Server::start(database);
        let ana = again.nobody().with_token(ana.token.as_ref().unwrap());
        assert_eq!(ana.get(&format!("/scenarios/{scenario}/result")).await.is(200), before);
        let admin = again.nobody().login(ADMIN.0, ADMIN.1).await;
        let tried = admin.get("/projects").await.is(200);
        let tried = admin.get(&format!("/projects/{}/scenarios", id(&tried["items"][0]))).await.is(200);
        let tried = admin.get(&format!("/scenarios/{}/result", id(&tried["items"][0]))).await.is(200);
        assert_worked_case(&tried["result"]);
        assert_eq!(again.terminate().0.code(), Some(0));
    }

    async fn large_wide_and_deep_bodies_are_refused_in_bounded_memory(database: &TestDatabase) {
        let server = Server::start(database);
        let ana = server.nobody().register().await;
        let project = ana.project().await;
        let before = server.peak_memory();
        let quick = |inputs: String| format!(r#"{{"process":"HEFA","feedstock":"UCO","country":"USA","inputs":{inputs}}}"#);
        let wide = |keys: u32, value: &str| {
            let entries: Vec<_> = (0..keys).map(|key| format!(r#""k{key}":{value}"#)).collect();
            format!("{{{}}}", entries.join(","))
        };
        let deep = 100_000;
        let bodies = [
            (413, format!(r#"{{"name":"{}"}}"#, "n".repeat(10 << 20))),
            (413, wide(1_000_000, "0")),
            (413, quick(format!(r#"{{"products":{}}}"#, wide(1_000_000, "{}")))),
            (422, wide(70_000, "0")),
            (422, quick(format!(r#"{{"products":{}}}"#, wide(70_000, "{}")))),
            (422, quick(format!(r#"{{"feedstocks":{}}}"#, wide(70_000, "{}")))),
            (422, quick(format!("{}{}", r#"{"plant":"#.repeat(deep), "}".repeat(deep)))),
            (422, "[".repeat(deep)),
            (422, format!(r#"{{"name":{}"#, r#"{"name":"#.repeat(deep))),
        ];
        let paths = ["/calculate/quick".to_owned(), "/projects".to_owned(), format!("/projects/{project}/scenarios")];
        for (status, body) in bodies {
            let asked = paths.iter().cycle().take(12).map(|path| {
                ana.raw(reqwest::Method::POST, path, Some("application/json"), body.clone())
            });
            for answer in join_all(asked).await {
                assert_eq!(answer.status, status, "{:.60}: {:.200}", body, answer.json.to_string());
            }
        }
        let grown = server.peak_memory() - before;
        // All twelve at once would be 120 MiB, were they kept.
        assert!(grown < 64 << 20, "memory grew by {} MiB", grown >> 20);
        assert_eq!(ana.get("/projects").await.is(200)["total"], 1);
    }

    async fn a_hundred_sign_ins_and_calculations_leave_little_memory_behind(database: &TestDatabase) {
        // As it is without settings: each hash takes 19 MiB.
        let server = Server::start_with(database, &["--set", "auth.argon2_memory_kib=19456"]);
        let plant = server.nobody().login(ADMIN.0, ADMIN.1).await.plant(1000.0).await;
        let nobody = server.nobody();
        for round in 0..25 {
            let signed_in = join_all([(); 4].map(|()| nobody.login(ADMIN.0, ADMIN.1))).await;
            for (n, admin) in (0..).zip(signed_in) {
                let inputs = of_capacity(f64::from(2000 + 4 * round + n));
                admin.patch(&format!("/scenarios/{plant}"), json!({ "inputs": inputs })).await.is(200);
                let run = admin.post(&format!("/scenarios/{plant}/calculate/sync"), None).await.is(200);
                assert_eq!(run["run"]["state"], "succeeded");
            }
        }
        eventually("70 MB at most, 26 of them the release program's own pages", async || {
            match server.allocated_memory() {
                ..=44_000_000 => Ok(()),
                many => Err(many),
            }
        })
        .await;
    }

    async fn a_crash_loses_no_accepted_run(database: &TestDatabase) {
        let server = Server::start(database);
        let ana = server.nobody().register().await;
        let project = ana.project().await;
        let capacity = |n: usize| n as f64 * 1000.0 + 1000.0;
        let mut plants = Vec::new();
        for n in 0..64 {
            plants.push(ana.scenario(&project, of_capacity(capacity(n))).await);
        }
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let callers: Vec<_> = plants
            .iter()
            .map(|plant| {
                let (ana, accepted) = (ana.clone(), Arc::clone(&accepted));
                let path = format!("/scenarios/{plant}/calculate");
                tokio::spawn(async move {
                    if let Ok(answer) = ana.try_raw(reqwest::Method::POST, &path, None, "").await {
                        accepted.lock().unwrap().push(id(&answer.is(202)));
                    }
                })
            })
            .collect();
        eventually("some accepted runs", async || match accepted.lock().unwrap().len() {
            few @ 0..8 => Err(few),
            _ => Ok(()),
        })
        .await;
        let files = server.kill();
        join_all(callers).await.into_iter().for_each(|caller| caller.unwrap());

        let mut server = Server::start_in(files, database);
        let ana = server.nobody().with_token(ana.token.as_ref().unwrap());
        let accepted = accepted.lock().unwrap().clone();
        let mut found = Vec::new();
        for (n, plant) in plants.iter().enumerate() {
            let at = format!("/scenarios/{plant}");
            let ended = ends(&ana, &at).await;
            if ended["status"] == "draft" {
                continue;
            }
            assert_eq!(ended["status"], "calculated");
            found.push(ended["run_id"].as_str().unwrap().to_owned());
            let inputs = of_capacity(capacity(n));
            let quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": inputs });
            let right = ana.post("/calculate/quick", quick).await.is(200);
            assert_eq!(ana.get(&format!("{at}/result")).await.is(200)["result"], right["result"]);
            assert_eq!(ana.get(&format!("{at}/runs")).await.is(200)["total"], 1);
        }
        let lost: Vec<_> = accepted.iter().filter(|run| !found.contains(run)).collect();
        assert!(lost.is_empty(), "accepted and lost: {lost:?}");
        assert_eq!(server.terminate().0.code(), Some(0));
    }
}

/// The scenario when nothing of it is in motion any more. A dead process keeps its lease for 15 s, and
/// what it left is looked for every 5 s.
async fn ends(ana: &Client, at: &str) -> Value {
    let begun = Instant::now();
    loop {
        let scenario = ana.get(at).await.is(200);
        if scenario["status"] != "calculating" {
            return scenario;
        }
        assert!(begun.elapsed() < PATIENCE, "still {scenario}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
