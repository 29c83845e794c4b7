//! Streams that are cut, and readers that do not read: nothing is lost, and nobody else waits.
//!
//! `SAFIRE_CHAOS=full` takes the full doses; without it they are small.

use std::time::{Duration, Instant};

use safire_test_support::{dose, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{ADMIN, Client, PATIENCE, TestApp, id, of_capacity},
    live::{Sse, Ws},
    process::Server,
    users::{make_member, make_zone},
};

/// Runs so many calculations one after the other, and returns their runs.
async fn calculations(ana: Client, project: String, count: usize) -> Vec<String> {
    let scenario = ana.scenario(&project, of_capacity(1000.0)).await;
    let mut runs = Vec::new();
    for n in 0..count {
        let inputs = of_capacity(2000.0 + n as f64);
        ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": inputs })).await.is(200);
        let ended = ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        runs.push(id(&ended["run"]));
    }
    runs
}

/// A stream of either kind.
enum Stream {
    Sse(Sse),
    Ws(Ws),
}

impl Stream {
    /// Opens one of the same kind that goes on after an event.
    async fn again(&self, ana: &Client, last: &str) -> Self {
        match self {
            Self::Sse(_) => Self::Sse(Sse::resume(ana, "/events", Some(last)).await.expect("the stream opens again")),
            Self::Ws(_) => Self::Ws(Ws::open(ana, &format!("/ws?last_event_id={last}")).await),
        }
    }

    async fn next(&mut self) -> Value {
        match self {
            Self::Sse(sse) => sse.next().await.expect("the stream goes on").data,
            Self::Ws(ws) => ws.next().await.expect("it is open"),
        }
    }
}

/// Cuts a stream again and again while runs end; no end may be missing, none may come twice.
async fn cut(app: TestApp, open: impl AsyncFn(&Client) -> Stream) {
    let ana = app.register().await;
    let project = ana.project().await;
    let cuts = dose(60, 1000);
    let mut stream = open(&ana).await;
    // An id from which to go on.
    ana.scenario(&project, of_capacity(1000.0)).await;
    let mut last = id(&tokio::time::timeout(PATIENCE, stream.next()).await.expect("an event in time"));
    let work = tokio::spawn(calculations(ana.clone(), project, cuts));
    let (mut ended, mut cut) = (Vec::new(), 0);
    while ended.len() < cuts {
        // Cut in the middle of whatever comes, and at any moment between; at last, what is left has to come.
        let time = if cut < cuts { Duration::from_millis(cut as u64 % 7 * 5) } else { PATIENCE };
        let told = tokio::time::timeout(time, stream.next()).await;
        assert!(told.is_ok() || cut < cuts, "{} of {cuts} ends", ended.len());
        if let Ok(told) = told {
            if let Some(id) = told["id"].as_str() {
                last = id.to_owned();
            }
            if told["type"] == "operation_complete" {
                ended.push(told["run_id"].as_str().unwrap().to_owned());
            }
        }
        if cut < cuts {
            stream = stream.again(&ana, &last).await;
            cut += 1;
        }
    }
    println!("{cut} cuts, {} ends told", ended.len());
    assert_eq!((cut, ended), (cuts, work.await.unwrap()));
    app.stop().await;
}

on_both_engines! {
    async fn server_sent_events_that_are_cut_again_and_again_lose_no_end_of_a_run(database: &TestDatabase) {
        let open = async |ana: &Client| Stream::Sse(Sse::open(ana, "/events").await);
        cut(TestApp::start(database).await, open).await;
    }

    async fn web_sockets_that_are_cut_again_and_again_lose_no_end_of_a_run(database: &TestDatabase) {
        let open = async |ana: &Client| Stream::Ws(Ws::open(ana, "/ws").await);
        cut(TestApp::start(database).await, open).await;
    }
}

/// A reader that opens a stream and never reads it; what the systems keep for it is little.
async fn stalled(client: &Client) -> tokio::net::TcpStream {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(client.host().parse().unwrap()).await.unwrap();
    let token = client.token.as_ref().unwrap();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: safire\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

on_both_engines! {
    async fn readers_that_stall_cost_little_and_delay_nobody(database: &TestDatabase) {
        let server = Server::start(database);
        let admin = server.nobody().login(ADMIN.0, ADMIN.1).await;
        let (users, happenings) = (dose(5, 50), dose(150, 1000));
        make_zone(&admin, "north").await;
        let (_, owner) = make_member(&admin, "owner", "analyst", Some("north")).await;
        let project = owner.project().await;
        let mut reader = Sse::open(&owner, "/events").await;
        let scenario = owner.scenario(&project, of_capacity(1000.0)).await;
        reader.until(&scenario).await;
        let mut members = Vec::new();
        for n in 0..users {
            members.push(make_member(&admin, &format!("mate{n}"), "viewer", Some("north")).await.1);
        }
        let before = server.peak_memory();
        let mut all = Vec::new();
        for member in &members {
            for _ in 0..10 {
                all.push(stalled(member).await);
            }
        }
        let mut took = Vec::new();
        for n in 0..happenings {
            // A long name makes a large event.
            let name = format!("{n} {}", "n".repeat(190));
            let begun = Instant::now();
            owner.patch(&format!("/scenarios/{scenario}"), json!({ "name": name })).await.is(200);
            while reader.happens().await.data["data"]["name"] != json!(name) {}
            took.push(begun.elapsed());
        }
        took.sort();
        let p99 = took[took.len() * 99 / 100];
        // The service itself grows a little with what happens, however many readers there are.
        let grown = server.peak_memory().saturating_sub(before + dose(16 << 20, 0) as u64);
        let each = grown / all.len() as u64;
        println!("{} stalled readers: {} KiB each; p99 of {happenings} events {p99:?}", all.len(), each >> 10);
        // A machine that others share may be slow with a few.
        assert!(p99 < Duration::from_millis(dose(1000, 250)), "p99 {p99:?}");
        assert!(each <= 64 << 10, "{} KiB each", each >> 10);
    }
}
