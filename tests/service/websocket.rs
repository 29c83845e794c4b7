//! WebSocket: the same messages, subscriptions, and what is refused.

use std::time::{Duration, Instant};

use safire_test_support::on_both_engines;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use crate::{
    app::{BUSY, PASSWORD, PATIENCE, TestApp, of_capacity},
    live::{Sse, Ws},
};

#[track_caller]
fn refused(opened: tungstenite::Result<Ws>) -> (u16, Value) {
    match opened {
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok());
            (response.status().as_u16(), body.unwrap_or(Value::Null)["code"].clone())
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was let in"),
    }
}

on_both_engines! {
    async fn a_websocket_tells_the_same_as_server_sent_events(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (mut sse, mut ws) = (Sse::open(&ana, "/events").await, Ws::open(&ana, "/ws").await);
        let scenario = ana.plant(1000.0).await;
        ana.calculate(&scenario).await;
        let mut last = String::new();
        for _ in 0..3 {
            let told = sse.happens().await;
            assert_eq!(ws.happens().await, told.data);
            last = told.id.unwrap();
        }
        drop(ws);
        let next = ana.plant(2000.0).await;
        let mut ws = Ws::open(&ana, &format!("/ws?last_event_id={last}")).await;
        assert_eq!(ws.happens().await["scenario_id"], json!(next));
        let ticket = ana.post("/events/ticket", None).await.is(201);
        let path = format!("/ws?ticket={}", ticket["ticket"].as_str().unwrap());
        drop(Ws::open(&app.anonymous(), &path).await);
        assert_eq!(refused(Ws::try_open(&app.anonymous(), &path, &[]).await), (401, json!("unauthorized")));
        app.stop().await;
    }

    async fn a_client_subscribes_to_what_it_wants_and_unsubscribes(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (one, two) = (ana.project().await, ana.project().await);
        let mut ws = Ws::open(&ana, "/ws").await;
        let ask = async |ws: &mut Ws, message: Value| {
            ws.say(message.to_string()).await;
            ws.happens().await
        };
        let told = ask(&mut ws, json!({ "action": "subscribe", "project": one })).await;
        assert_eq!((&told["type"], &told["project"]), (&json!("subscribed"), &json!(one)));
        ana.scenario(&two, of_capacity(1000.0)).await;
        let mine = ana.scenario(&one, of_capacity(1000.0)).await;
        assert_eq!(ws.happens().await["scenario_id"], json!(mine));
        ask(&mut ws, json!({ "action": "subscribe", "project": two })).await;
        ask(&mut ws, json!({ "action": "unsubscribe", "project": one })).await;
        ana.scenario(&one, of_capacity(1000.0)).await;
        let other = ana.scenario(&two, of_capacity(1000.0)).await;
        assert_eq!(ws.happens().await["scenario_id"], json!(other));
        for wrong in ["", "{", r#"{"action":"dance"}"#, r#"{"action":"subscribe","user":1}"#, "[]"] {
            ws.say(wrong).await;
            let told = ws.happens().await;
            assert_eq!((&told["type"], &told["code"]), (&json!("error"), &json!("message.invalid")), "{wrong}");
        }
        app.stop().await;
    }

    async fn pages_are_let_in_from_listed_origins_only(database: &TestDatabase) {
        let listed = "https://app.example.com";
        let app = TestApp::with(database, |config, _| config.http.cors_origins = vec![listed.into()]).await;
        let ana = app.register().await;
        let own = format!("http://{}", ana.host());
        for origin in [listed, own.as_str()] {
            Ws::try_open(&ana, "/ws", &[("origin", origin)]).await.expect("it is let in");
        }
        for origin in ["https://evil.example.com", "null", "https://app.example.com.evil.com"] {
            let answer = refused(Ws::try_open(&ana, "/ws", &[("origin", origin)]).await);
            assert_eq!(answer, (403, json!("origin.refused")), "{origin}");
        }
        app.stop().await;
    }

    async fn what_is_too_large_or_too_much_is_closed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let mut ws = Ws::open(&ana, "/ws").await;
        ws.say(" ".repeat((64 << 10) + 1)).await;
        ws.closes().await;
        let mut ws = Ws::open(&ana, "/ws").await;
        for n in 0..=100 {
            let one = format!(r#"{{"action":"subscribe","operation":"00000000-0000-0000-0000-{n:012}"}}"#);
            ws.say(one).await;
        }
        assert_eq!(ws.closes().await, 1008);
        app.stop().await;
    }

    async fn a_websocket_is_closed_with_the_session_and_on_drain_at_once(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.shutdown.drain_s = PATIENCE.as_secs()).await;
        let ana = app.register().await;
        let account = json!({ "email": "bob@example.com", "name": "Bob", "password": PASSWORD });
        app.anonymous().post("/auth/register", account).await.is(201);
        let login = json!({ "email": "bob@example.com", "password": PASSWORD });
        let tokens = app.anonymous().post("/auth/login", login).await.is(200);
        let bob = app.anonymous().with_token(tokens["access_token"].as_str().unwrap());
        let (mut ws, mut bobs) = (Ws::open(&ana, "/ws").await, Ws::open(&bob, "/ws").await);
        let begun = Instant::now();
        app.anonymous().post("/auth/logout", json!({ "refresh_token": tokens["refresh_token"] })).await.is(204);
        assert_eq!(bobs.closes().await, 1008);
        assert!(begun.elapsed() < Duration::from_secs(5) + BUSY, "{:?}", begun.elapsed());
        let begun = Instant::now();
        let stopped = tokio::spawn(app.stop());
        assert_eq!(ws.closes().await, 1001);
        assert!(begun.elapsed() < BUSY, "{:?}", begun.elapsed());
        stopped.await.unwrap();
    }
}
