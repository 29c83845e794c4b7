//! A PostgreSQL that one test has to itself and may stop, kill, freeze and start again.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{PATIENCE, redis::free_port};

/// A server on a port of its own; gone when dropped.
///
/// It does not sync its files, so that it is fast, but it writes what it commits: a crash of the server
/// loses nothing, only a crash of the machine would.
pub struct TestPostgres {
    port: u16,
    files: TempDir,
    server: Option<Child>,
    bin: PathBuf,
    /// The user and the group that run it: it refuses to be run by root.
    owner: Option<(u32, u32)>,
}

/// How a server ends.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// It ends its sessions and then itself.
    Fast,
    /// It ends at once and recovers at its next start.
    Immediate,
}

impl TestPostgres {
    /// A new, empty server.
    pub fn start() -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        let owner = root.then(|| (number("-u", "postgres"), number("-g", "postgres")));
        let mut postgres = Self { port: 0, files, server: None, bin: find_bin(), owner };
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(postgres.files.path(), Some(user), Some(group)).expect("root may give it away");
        }
        postgres.init();
        loop {
            postgres.port = free_port();
            if postgres.try_start() {
                return postgres;
            }
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its only database.
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The same where another port leads to it.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://safire@127.0.0.1:{port}/postgres")
    }

    /// Ends the server, if it runs.
    pub fn stop(&mut self, how: Ending) {
        let Some(mut server) = self.server.take() else { return };
        let signal = match how {
            Ending::Fast => "INT",
            Ending::Immediate => "QUIT",
        };
        send(signal, &[server.id()]);
        let begun = Instant::now();
        while server.try_wait().expect("the server can be asked").is_none() {
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts the server again, on the same port.
    pub fn resume(&mut self) {
        let begun = Instant::now();
        while !self.try_start() {
            assert!(begun.elapsed() < PATIENCE, "the server does not start again: {}", self.log());
        }
    }

    /// Freezes the server and all its sessions: they accept, and do not answer.
    pub fn freeze(&self) {
        send("STOP", &self.processes());
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        send("CONT", &self.processes());
    }

    /// The last that it logged.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.files.path().join("log")).unwrap_or_default();
        log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    fn processes(&self) -> Vec<u32> {
        let server = self.server.as_ref().expect("the server runs").id();
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(server).chain(children).collect()
    }

    fn init(&self) {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data());
        initdb.args(["-U", "safire", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let done = initdb.stdout(Stdio::null()).status().expect("initdb can be run");
        assert!(done.success(), "initdb failed");
    }

    /// Starts the server; `false` when it ended, because somebody else has the port.
    fn try_start(&mut self) -> bool {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.files.path().join("log"));
        let log = log.expect("a log");
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "fsync=off",
            "full_page_writes=off",
            "log_min_messages=warning",
        ] {
            postgres.args(["-c", setting]);
        }
        let server = postgres.stdout(Stdio::null()).stderr(log).spawn().expect("postgres can be run");
        let server = self.server.insert(server);
        let ready = self.files.path().join("data/postmaster.pid");
        let begun = Instant::now();
        while server.try_wait().expect("the server can be asked").is_none() {
            // Its own word, in its own directory: another server may answer on the port.
            let words = fs::read_to_string(&ready).unwrap_or_default();
            let own = words.lines().next() == Some(&server.id().to_string());
            if own && words.lines().nth(7).is_some_and(|state| state.starts_with("ready")) {
                return true;
            }
            assert!(begun.elapsed() < PATIENCE, "postgres does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.server = None;
        false
    }

    fn data(&self) -> PathBuf {
        self.files.path().join("data")
    }

    /// A program of the server's, run by its owner; it ends with the thread that started it at the latest.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match self.owner {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups", "--"]);
                command.arg(program);
                command
            }
        };
        command.current_dir(self.files.path()).stdin(Stdio::null());
        command
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.thaw();
            self.stop(Ending::Immediate);
        }
    }
}

/// The directory of the newest server that is installed. Debian keeps it off PATH.
fn find_bin() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).collect::<Vec<_>>();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path()).collect();
    versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    let installed = versions.into_iter().rev().map(|version| version.join("bin"));
    let has_both = |directory: &Path| directory.join("initdb").exists() && directory.join("postgres").exists();
    on_path.into_iter().chain(installed).find(|directory| has_both(directory)).expect("postgresql is installed")
}

fn number(option: &str, user: &str) -> u32 {
    let said = Command::new("id").args([option, user]).output().expect("id is installed");
    String::from_utf8_lossy(&said.stdout).trim().parse().unwrap_or_else(|_| panic!("there is no user {user}"))
}

/// Sends a signal; a process that has ended meanwhile does not mind.
fn send(signal: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    let sent = Command::new("kill").args(["-s", signal]).args(processes).stderr(Stdio::null()).status();
    sent.expect("kill is installed");
}
