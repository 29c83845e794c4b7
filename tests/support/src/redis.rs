//! A Redis that one test has to itself and may stop, kill and start again.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::PATIENCE;

/// A server on a port of its own; gone when dropped.
pub struct TestRedis {
    port: u16,
    files: TempDir,
    server: Option<Child>,
}

impl TestRedis {
    /// A new, empty server.
    pub fn start() -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let mut redis = Self { port: 0, files, server: None };
        loop {
            redis.port = free_port();
            if redis.try_start() {
                return redis;
            }
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Freezes the server: it accepts, and does not answer.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen server go on.
    pub fn cont(&self) {
        self.signal("CONT");
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("the server can be killed");
            server.wait().expect("the server ends");
        }
    }

    /// Ends the server, if it runs, and starts it anew, empty, on the same port.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "redis-server does not start again");
    }

    /// Starts the server; `false` when it ended, because somebody else has the port.
    fn try_start(&mut self) -> bool {
        let server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(self.files.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let server = self.server.insert(server);
        let own = format!("process_id:{}", server.id());
        let begun = Instant::now();
        while server.try_wait().expect("the server can be asked").is_none() {
            let answer = command(self.port, "INFO server").unwrap_or_default();
            if answer.iter().any(|info| info.lines().any(|line| line == own)) {
                return true;
            }
            assert!(begun.elapsed() < PATIENCE, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Removes everything.
    pub fn flush(&self) {
        self.command("FLUSHALL");
    }

    /// Sends one command, its words separated by blanks, and returns the answer's lines.
    pub fn command(&self, command: &str) -> Vec<String> {
        self::command(self.port, command).expect("the server answers")
    }

    fn signal(&self, name: &str) {
        let pid = self.server.as_ref().expect("the server runs").id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill is installed");
        assert!(sent.success(), "{name} was not sent");
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn command(port: u16, command: &str) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut lines = Vec::new();
    read_answer(&mut BufReader::new(stream), &mut lines)?;
    Ok(lines)
}

/// One answer of the protocol, flattened.
fn read_answer(reader: &mut impl BufRead, lines: &mut Vec<String>) -> std::io::Result<()> {
    let mut head = String::new();
    if reader.read_line(&mut head)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let head = head.trim_end();
    let length = || head[1..].parse::<i64>().map_err(std::io::Error::other);
    match head.as_bytes().first() {
        Some(b'$') => {
            if let Ok(length) = usize::try_from(length()?) {
                let mut text = vec![0; length + 2];
                reader.read_exact(&mut text)?;
                lines.push(String::from_utf8_lossy(&text[..length]).into_owned());
            }
        }
        Some(b'*') => {
            for _ in 0..length()?.max(0) {
                read_answer(reader, lines)?;
            }
        }
        _ => lines.push(head[1..].to_owned()),
    }
    Ok(())
}

/// A port that nobody listens on, below those that the system gives to clients; no other test is given it while this
/// process lives.
pub fn free_port() -> u16 {
    static GUESSES: AtomicU32 = AtomicU32::new(0);
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    loop {
        let guess = std::process::id().wrapping_mul(7919).wrapping_add(GUESSES.fetch_add(1, Ordering::Relaxed));
        let port = 12_000 + u16::try_from(guess % 8000).expect("below 8000");
        let Some(reserved) = reserve(port) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            RESERVED.lock().expect("no panic").push(reserved);
            return port;
        }
    }
}

/// A name for the port that one process has at a time, and that is free when it ends.
fn reserve(port: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("safire-test-port-{port}")).expect("a name");
    UnixListener::bind_addr(&name).ok()
}
