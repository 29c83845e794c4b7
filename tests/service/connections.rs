//! Connections: silent ones end, one client's leave room for others, health checks are always answered.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use safire_test_support::on_both_engines;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use crate::app::{PATIENCE, TestApp, eventually};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: safire\r\n\r\n";

/// The begin of a connection of HTTP/2: its preface and empty settings (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A connection from the address 127.0.0.`host`.
async fn connect(app: &TestApp, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0))).unwrap();
    socket.connect(app.service().address()).await.unwrap()
}

/// The first line of the answer to `request`.
async fn status(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64 << 10];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

/// Reads until the service ends the connection; answers its pings (RFC 9113, 6.7) meanwhile.
async fn until_the_end(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        if (head[3], head[4]) == (6, 0) {
            head[4] = 1;
            let pong = [head.as_slice(), &payload].concat();
            if stream.write_all(&pong).await.is_err() {
                break;
            }
        }
    }
    begun.elapsed()
}

async fn ends(streams: Vec<TcpStream>, earliest: Duration) {
    for stream in streams {
        let took = timeout(PATIENCE, until_the_end(stream)).await.expect("the service ends a silent connection");
        assert!(took >= earliest, "ended after {took:?}");
    }
}

on_both_engines! {
    async fn a_connection_without_a_request_ends_whatever_protocol_it_begins(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.http.header_timeout_ms = 300).await;
        for begin in [&b""[..], b"GET /health", b"PRI * HTTP/2.0", PREFACE] {
            let mut stream = connect(&app, 1).await;
            stream.write_all(begin).await.unwrap();
            ends(vec![stream], Duration::from_millis(100)).await;
        }
        app.stop().await;
    }

    async fn an_idle_connection_of_either_protocol_ends_though_it_answers_pings(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.http.header_timeout_ms = 1000;
            config.http.idle_timeout_ms = 3000;
        })
        .await;
        let mut first = connect(&app, 1).await;
        assert_eq!(status(&mut first, LIVE).await, "HTTP/1.1 200 OK");
        let mut second = connect(&app, 1).await;
        // GET of /health/live: HEADERS with END_STREAM and END_HEADERS, its path as a literal (RFC 7541).
        let path = b"/health/live";
        let block = [&[0x82, 0x86, 0x04, 12], path.as_slice(), &[0x01, 6], b"safire"].concat();
        let length = u8::try_from(block.len()).unwrap();
        let headers = [&[0, 0, length, 1, 5, 0, 0, 0, 1], block.as_slice()].concat();
        second.write_all(&[PREFACE, &headers].concat()).await.unwrap();
        ends(vec![second], Duration::from_millis(500)).await;
        ends(vec![first], Duration::ZERO).await;
        app.stop().await;
    }

    async fn a_flood_of_silent_connections_of_one_client_leaves_room_for_others(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.http.header_timeout_ms = 10 * PATIENCE.as_millis() as u64;
            config.http.max_connections_per_address = 50;
        })
        .await;
        let mut flood = Vec::new();
        for _ in 0..200 {
            flood.push(connect(&app, 1).await);
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let begun = Instant::now();
            assert_eq!(status(&mut connect(&app, 2).await, LIVE).await, "HTTP/1.1 200 OK");
            slowest = slowest.max(begun.elapsed());
        }
        println!("/health/live beside 200 silent connections of one client: {slowest:?} at most");
        // What was beyond the client's share was closed at once: the rest is still there.
        let mut closed = 0;
        for stream in &mut flood {
            closed += usize::from(timeout(Duration::from_millis(1), stream.read(&mut [0])).await.is_ok());
        }
        assert_eq!(closed, 150);
        drop(flood);
        app.stop().await;
    }

    async fn a_health_check_is_answered_when_all_connections_are_taken(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.http.max_connections = 3).await;
        let mut taken = Vec::new();
        for _ in 0..3 {
            let mut stream = connect(&app, 1).await;
            assert_eq!(status(&mut stream, LIVE).await, "HTTP/1.1 200 OK");
            taken.push(stream);
        }
        let mut beyond = connect(&app, 1).await;
        assert_eq!(status(&mut beyond, LIVE).await, "HTTP/1.1 200 OK");
        let projects = "GET /api/v1/projects HTTP/1.1\r\nHost: safire\r\n\r\n";
        assert_eq!(status(&mut beyond, projects).await, "HTTP/1.1 503 Service Unavailable");
        drop(taken);
        eventually("a place for a request", async || {
            match status(&mut connect(&app, 1).await, projects).await {
                answer if answer == "HTTP/1.1 401 Unauthorized" => Ok(()),
                answer => Err(answer),
            }
        })
        .await;
        app.stop().await;
    }

    async fn a_trusted_proxy_may_have_any_number_of_connections(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.http.max_connections_per_address = 2;
            config.http.trusted_proxies = vec!["127.0.0.3/32".parse().unwrap()];
        })
        .await;
        let mut open = Vec::new();
        for _ in 0..10 {
            let mut stream = connect(&app, 3).await;
            assert_eq!(status(&mut stream, LIVE).await, "HTTP/1.1 200 OK");
            open.push(stream);
        }
        drop(open);
        app.stop().await;
    }
}
