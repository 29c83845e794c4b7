//! Socket.IO, with the client that its users have (npm's socket.io-client): the same messages, the same bounds.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use reqwest::Method;
use safire::config::Limits;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    app::{BUSY, Client, PASSWORD, PATIENCE, TestApp, id},
    live::Sse,
};

const WATCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/watch.mjs");

/// A page that watches.
struct Page {
    told: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Page {
    /// Opens a page of the service with these options, which says something once it is connected.
    fn open(client: &Client, options: Value, says: Option<(&str, Value)>) -> Self {
        let modules = std::env::var("SAFIRE_NODE_MODULES").expect("the tests' packages: run ./test");
        let mut command = Command::new("node");
        command.args([WATCH, &format!("http://{}", client.host()), &options.to_string()]);
        if let Some((event, data)) = says {
            command.args([event, &data.to_string()]);
        }
        let mut child = command
            .env("SAFIRE_NODE_MODULES", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        Self { told: BufReader::new(child.stdout.take().expect("an output")).lines(), _child: child }
    }

    /// The same as somebody who is signed in.
    fn signed_in(client: &Client, mut options: Value, says: Option<(&str, Value)>) -> Self {
        options["auth"]["token"] = json!(client.token.as_ref().expect("somebody who is signed in"));
        Self::open(client, options, says)
    }

    /// What it hears next: the name of an event, and what comes with it.
    async fn hears(&mut self) -> (String, Value) {
        let line = timeout(PATIENCE, self.told.next_line()).await.expect("it hears something").unwrap();
        serde_json::from_str(&line.expect("it goes on")).expect("what it tells")
    }

    /// What it hears next of that name.
    async fn hears_of(&mut self, name: &str) -> Value {
        loop {
            let (heard, data) = self.hears().await;
            if heard == name {
                return data;
            }
        }
    }
}

on_both_engines! {
    needs "needs Node: run ./test"
    async fn a_page_hears_what_server_sent_events_tell_over_any_transport(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        // By both it begins with polls, and goes on by a WebSocket.
        for transports in [&["polling", "websocket"][..], &["polling"], &["websocket"]] {
            let mut sse = Sse::open(&ana, "/events").await;
            let mut page = Page::signed_in(&ana, json!({ "transports": transports }), None);
            let (heard, transport) = page.hears().await;
            assert!(heard == "connect" && transports.iter().any(|one| transport == **one), "{heard} by {transport}");
            let project = ana.project().await;
            let table = "name,process,feedstock,country\nA,HEFA,UCO,USA\nB,HEFA,UCO,XX\n";
            let import = id(&ana.import(&project, table.as_bytes(), "?calculate=true").await.is(202));
            let mut names = Vec::new();
            loop {
                let told = sse.soon().await;
                // Progress goes to whoever is there, the newest only: two readers may hear of different steps.
                if told.topic == "progress_update" {
                    continue;
                }
                let heard = loop {
                    let heard = page.hears().await;
                    names.push(heard.0.clone());
                    if heard.0 != "progress_update" {
                        break heard;
                    }
                };
                assert_eq!(heard, (told.topic.clone(), told.data.clone()));
                if told.topic == "operation_complete" && told.data["operation_id"] == json!(import) {
                    break;
                }
            }
            for name in ["scenario", "log_entry", "operation_complete"] {
                assert!(names.iter().any(|heard| heard == name), "no {name} in {names:?}");
            }
            let scenario = ana.plant(1000.0).await;
            let long = json!({ "analysis": "monte-carlo", "samples": 1_000_000, "seed": 1, "metrics": ["npv"],
                "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t",
                             "distribution": { "kind": "uniform", "min": 800, "max": 1200 } }] });
            let run = id(&ana.post(&format!("/scenarios/{scenario}/calculate"), long).await.is(202));
            assert_eq!(page.hears_of("progress_update").await["operation_id"], json!(run));
            ana.delete(&format!("/scenarios/{scenario}/runs/{run}")).await.is(200);
            // Told before the next streams open, which are told what happens from then on.
            assert_eq!(page.hears_of("operation_complete").await["operation_id"], json!(run));
        }
        app.stop().await;
    }

    needs "needs Node: run ./test"
    async fn a_page_asks_for_less_and_goes_on_where_it_was(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (one, two) = (ana.project().await, ana.project().await);
        let mut page = Page::signed_in(&ana, json!({}), Some(("subscribe", json!({ "project": two }))));
        assert_eq!(page.hears_of("subscribed").await["project"], json!(two));
        ana.scenario(&one, json!({})).await;
        let mine = ana.scenario(&two, json!({})).await;
        let first = page.hears_of("scenario").await;
        assert_eq!(first["scenario_id"], json!(mine));
        drop(page);
        let missed = ana.scenario(&two, json!({})).await;
        let auth = json!({ "project": two, "last_event_id": first["id"] });
        let mut page = Page::signed_in(&ana, json!({ "auth": auth }), Some(("subscribe", json!({ "planet": 1 }))));
        let mut heard = [page.hears().await, page.hears().await, page.hears().await];
        heard.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!((heard[0].0.as_str(), heard[1].0.as_str()), ("connect", "error"), "{heard:?}");
        assert_eq!(heard[1].1["code"], "message.invalid");
        assert_eq!(heard[2].1["scenario_id"], json!(missed));

        let ticket = ana.post("/events/ticket", None).await.is(201);
        let with_ticket = json!({ "auth": { "ticket": ticket["ticket"] }, "reconnection": false });
        assert_eq!(Page::open(&ana, with_ticket.clone(), None).hears().await.0, "connect");
        let used = Page::open(&ana, with_ticket, None).hears().await;
        let why = "unauthorized: the ticket is unknown, was used, or has expired; get another";
        assert_eq!(used, ("connect_error".to_owned(), json!(why)));
        app.stop().await;
    }

    needs "needs Node: run ./test"
    async fn strangers_hear_nothing_and_nobody_has_more_streams_than_others(database: &TestDatabase) {
        let listed = "https://app.example.com";
        let app = TestApp::with(database, |config, _| config.http.cors_origins = vec![listed.into()]).await;
        let (ana, bob) = (app.register().await, app.register().await);
        for (auth, code) in [
            (json!({}), "unauthorized: "),
            (json!({ "token": "nonsense" }), "unauthorized: "),
            (json!({ "token": ana.token, "planet": 1 }), "query.invalid: "),
            (json!({ "token": ana.token, "last_event_id": "x" }), "last_event_id.invalid: "),
            (json!({ "token": [1] }), "unauthorized: "),
            (json!({ "token": ana.token, "project": [1] }), "query.invalid: "),
        ] {
            let (heard, why) = Page::open(&ana, json!({ "auth": auth, "reconnection": false }), None).hears().await;
            assert_eq!(heard, "connect_error");
            assert!(why.as_str().unwrap().starts_with(code), "{why}");
        }
        let mut pages: Vec<_> = (0..10).map(|_| Page::signed_in(&ana, json!({}), None)).collect();
        for page in &mut pages {
            assert_eq!(page.hears().await.0, "connect");
        }
        let more = Page::signed_in(&ana, json!({}), None).hears().await;
        assert_eq!(more.0, "connect_error");
        assert!(more.1.as_str().unwrap().starts_with("streams.too_many: "), "{more:?}");
        ana.plant(1000.0).await;
        let mut other = Page::signed_in(&bob, json!({}), None);
        assert_eq!(other.hears().await.0, "connect");
        let theirs = bob.plant(2000.0).await;
        assert_eq!(other.hears_of("scenario").await["scenario_id"], json!(theirs), "another's is heard");

        let handshake = format!("http://{}/socket.io/?EIO=4&transport=polling", ana.host());
        let of = async |origin: &str| reqwest::Client::new().get(&handshake).header("Origin", origin).send().await.unwrap();
        assert_eq!(of(listed).await.status(), 200);
        let refused = of("https://evil.example.com").await;
        assert_eq!(refused.status(), 403);
        assert_eq!(refused.json::<Value>().await.unwrap()["code"], "origin.refused");
        app.stop().await;
    }

    async fn who_does_not_sign_in_is_soon_gone_and_cannot_come_without_end(database: &TestDatabase) {
        let limits = Limits { requests_per_minute: 3, ..Limits::OFF };
        let app = TestApp::with(database, |config, _| config.limits = limits).await;
        let http = reqwest::Client::new();
        let at = format!("http://{}/socket.io/?EIO=4&transport=polling", app.anonymous().host());
        let open = async || http.get(&at).send().await.unwrap();
        let opened = open().await.text().await.unwrap();
        let session: Value = serde_json::from_str(&opened[1..]).unwrap();
        let begun = Instant::now();
        let poll = format!("{at}&sid={}", session["sid"].as_str().unwrap());
        // A poll waits until there is something to tell: the end.
        let mut last = http.get(&poll).send().await.unwrap();
        while last.status() == 200 && begun.elapsed() < PATIENCE {
            last = http.get(&poll).send().await.unwrap();
        }
        assert_eq!(last.status(), 400, "{}", last.text().await.unwrap());
        assert!(begun.elapsed() < Duration::from_secs(5) + BUSY, "{:?}", begun.elapsed());
        // By a connection of its own, which ends: what is too large is not read to its end.
        let large = reqwest::Client::new().post(format!("{at}&sid=x")).body("4".repeat(100_000)).send().await;
        assert!(large.is_err() || large.is_ok_and(|answer| answer.status().is_client_error()));
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(open().await.status().as_u16());
        }
        assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
        app.stop().await;
    }

    needs "needs Node: run ./test"
    async fn a_page_is_told_of_the_end_of_its_session_and_comes_again_after_a_stop(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.shutdown.drain_s = PATIENCE.as_secs()).await;
        let ana = app.register().await;
        let account = json!({ "email": "bob@example.com", "name": "Bob", "password": PASSWORD });
        app.anonymous().post("/auth/register", account).await.is(201);
        let login = json!({ "email": "bob@example.com", "password": PASSWORD });
        let tokens = app.anonymous().post("/auth/login", login).await.is(200);
        let bob = app.anonymous().with_token(tokens["access_token"].as_str().unwrap());
        let mut bobs = Page::signed_in(&bob, json!({}), None);
        let mut pages: Vec<_> = ["polling", "websocket"]
            .map(|transport| Page::signed_in(&ana, json!({ "transports": [transport] }), None))
            .into_iter()
            .collect();
        for page in pages.iter_mut().chain([&mut bobs]) {
            assert_eq!(page.hears().await.0, "connect");
        }
        app.anonymous().post("/auth/logout", json!({ "refresh_token": tokens["refresh_token"] })).await.is(204);
        let begun = Instant::now();
        assert_eq!(bobs.hears().await, ("disconnect".to_owned(), json!("io server disconnect")));
        assert!(begun.elapsed() < Duration::from_secs(5) + BUSY, "{:?}", begun.elapsed());

        let begun = Instant::now();
        app.stop().await;
        assert!(begun.elapsed() < BUSY, "{:?}", begun.elapsed());
        for mut page in pages {
            let (heard, why) = page.hears().await;
            // By this the client comes again by itself.
            assert_eq!((heard.as_str(), why.as_str().unwrap()), ("disconnect", "transport close"));
            assert_eq!(page.hears().await.0, "connect_error");
        }
    }
}

/// The methods of the route that the client uses; others are answered, too, and not by a panic.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_engine_io_is_refused() {
    let app = TestApp::start(&safire_test_support::TestDatabase::sqlite()).await;
    let http = reqwest::Client::new();
    for (method, query) in [
        (Method::GET, ""),
        (Method::GET, "?EIO=3&transport=polling"),
        (Method::GET, "?EIO=4"),
        (Method::GET, "?EIO=4&transport=polling&sid=nobody"),
        (Method::POST, "?EIO=4&transport=polling"),
        (Method::DELETE, "?EIO=4&transport=polling&sid=nobody"),
        (Method::GET, "?EIO=4&transport=websocket"),
    ] {
        let url = format!("http://{}/socket.io/{query}", app.anonymous().host());
        let answer = http.request(method.clone(), url).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{method} {query}: {}", answer.status());
    }
    app.stop().await;
}
