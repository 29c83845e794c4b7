//! The program as a process that may be killed, frozen and starved.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub use safire_test_support::PATIENCE;
use safire_test_support::free_port;

/// A place for a server: its port, which stays the same over its lives, and how it is started.
pub struct Place {
    port: u16,
    directory: std::path::PathBuf,
    settings: Vec<(String, String)>,
    /// What the command line begins with.
    within: Vec<String>,
}

impl Place {
    pub fn new(directory: &Path, settings: &[(&str, String)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { port: free_port(), directory: directory.to_owned(), settings, within: Vec::new() }
    }

    /// The same, started by another command.
    pub fn within(self, command: Vec<String>) -> Self {
        Self { within: command, ..self }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// The same place with another setting.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.settings.iter().filter(|(known, _)| known != name).cloned();
        let settings = others.chain([(name.to_owned(), value.to_owned())]).collect();
        Self { port: self.port, directory: self.directory.clone(), settings, within: self.within.clone() }
    }

    /// The same place, with those settings as shipped whose names begin like that.
    pub fn without(self, prefix: &str) -> Self {
        let settings = self.settings.into_iter().filter(|(name, _)| !name.starts_with(prefix)).collect();
        Self { settings, ..self }
    }

    /// Starts the program; it need not be ready yet.
    pub fn start(&self) -> Server {
        // A write beyond a limit is to fail, not to kill the process.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"trap '' XFSZ; exec "$@""#, "sh"]);
        command.args(&self.within).arg(env!("CARGO_BIN_EXE_safire"));
        command
            .args(["--port", &self.port.to_string(), "--set", "metrics.port=0"])
            .current_dir(&self.directory)
            .env_clear();
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().expect("a pipe")).lines(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Server { child, log }
    }
}

/// One life of a server; killed when dropped.
pub struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that it has, in bytes.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that it has had, in bytes.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let kib = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
        kib.expect("it has memory").parse::<u64>().expect("a number") << 10
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be asked")
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill is installed").success(), "{name} was not sent");
    }

    /// Waits for its end; returns how it ended and how long that took.
    pub async fn end(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {:#?}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What it logged.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines of its log say that.
    pub fn says(&self, text: &str) -> usize {
        self.log().iter().filter(|line| line.contains(text)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
