//! The release program as an operator meets it: start to ready on an existing SQLite file, and memory
//! at rest.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const STARTS: usize = 9;

fn main() {
    let files = tempfile::tempdir().expect("a temporary directory");
    stop(start(files.path()).0);
    let mut starts: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let (process, took) = start(files.path());
            stop(process);
            took
        })
        .collect();
    starts.sort();
    println!("start to ready on an existing SQLite file: median {:.0?} of {STARTS}", starts[STARTS / 2]);

    let (process, _) = start(files.path());
    std::thread::sleep(Duration::from_secs(3));
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("is running");
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).expect("has a resident set");
    let kib: f64 = rss.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    println!("idle RSS: {:.1} MB", kib * 1024.0 / 1e6);
    stop(process);
}

/// Starts the program and waits until `/health/ready` answers 200.
fn start(files: &Path) -> (Child, Duration) {
    let begun = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_safire"))
        .args(["--port", "0", "--set", "metrics.port=0", "--set", "log.format=json", "--data-dir"])
        .arg(files)
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
        if let Some((_, rest)) = line.split_once("\"address\":\"") {
            break rest.split('"').next().unwrap_or_default().to_owned();
        }
    };
    while !is_ready(&address) {
        assert!(begun.elapsed() < Duration::from_secs(10), "not ready");
    }
    let took = begun.elapsed();
    // Keep the pipe empty, so that logging never waits.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (process, took)
}

fn is_ready(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn stop(mut process: Child) {
    let told = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status();
    assert!(told.is_ok_and(|status| status.success()), "kill");
    assert!(process.wait().expect("ends").success(), "the program did not end well");
}
