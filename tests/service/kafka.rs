//! Kafka as operators see it, and the traces that go through it.

use std::time::{Duration, Instant};

use rdkafka::{
    Message,
    consumer::StreamConsumer,
    message::{BorrowedMessage, Headers},
};
use safire_domain::trace::Traceparent;
use safire_test_support::{PATIENCE, TestKafka, on_both_engines};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    app::TestApp,
    feed::{self, price},
    metrics::{scrape, value},
};

/// What `/health` says of Kafka, once it is as expected.
async fn health_once(app: &TestApp, expected: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let health = app.anonymous().get("/health").await.is(200);
        if expected(&health) {
            return health["kafka"].clone();
        }
        assert!(begun.elapsed() < PATIENCE, "never as expected: {health}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn header(message: &BorrowedMessage<'_>) -> String {
    let header = message.headers().and_then(|headers| headers.iter().find(|header| header.key == "traceparent"));
    String::from_utf8(header.and_then(|header| header.value).expect("a traceparent").to_vec()).expect("text")
}

/// What the next message was caused by, which tells that this has happened.
async fn traceparent(reader: &StreamConsumer, event: &str) -> String {
    let message = timeout(PATIENCE, reader.recv()).await.expect("a message in time").expect("a message");
    let told: Value = serde_json::from_slice(message.payload().expect("a payload")).expect("JSON");
    assert_eq!(told["event"], event);
    header(&message)
}

on_both_engines! {
    async fn operators_see_that_kafka_leaves_and_returns_and_what_goes_through_it(database: &TestDatabase) {
        let kafka = TestKafka::mock();
        let app = feed::start(&kafka, database).await;
        let ana = app.register().await;
        ana.plant(1000.0).await;
        feed::tell(&kafka, "safire.prices", "{").await;
        feed::tell(&kafka, "safire.alerts", json!({ "text": "a storm" })).await;
        let through = |health: &Value| health["kafka"]["dead_letters"] == 1 && health["status"] == "healthy";
        let seen = health_once(&app, through).await;
        assert_eq!((&seen["enabled"], &seen["connected"], &seen["given_up"]), (&json!(true), &json!(true), &json!(0)));
        // The alert may come in another batch.
        health_once(&app, |_| app.service().system().feed.as_ref().unwrap().stats().taken_in == 2).await;
        health_once(&app, |_| app.service().system().events.stats().events >= 2).await;
        health_once(&app, |health| health["kafka"]["outbox"] == 0).await;
        let metrics = scrape(&app).await;
        let figures = ["enabled", "up"].map(|figure| value(&metrics, &format!("safire_kafka_{figure}")));
        assert_eq!(figures, [1.0, 1.0]);
        assert_eq!(value(&metrics, "safire_outbox_published_total"), 1.0);
        assert_eq!(value(&metrics, "safire_outbox_capacity_events"), 1e6);
        assert_eq!(value(&metrics, "safire_feed_consumed_total"), 2.0);
        assert_eq!(value(&metrics, "safire_feed_dead_letters_total"), 1.0);
        assert!(value(&metrics, "safire_events_told_total") >= 2.0);
        assert!(value(&metrics, "safire_event_lag_seconds") < 5.0);

        kafka.goes_away();
        health_once(&app, |health| health["status"] == "degraded" && health["kafka"]["connected"] == false).await;
        ana.plant(1000.0).await;
        health_once(&app, |health| health["kafka"]["outbox"].as_i64() > Some(0)).await;
        let metrics = scrape(&app).await;
        assert_eq!(value(&metrics, "safire_kafka_up"), 0.0);
        assert!(value(&metrics, "safire_outbox_events") > 0.0);
        kafka.is_back();
        let back = |health: &Value| health["status"] == "healthy" && health["kafka"]["outbox"] == 0;
        health_once(&app, back).await;
        app.stop().await;
    }

    async fn a_trace_goes_from_a_request_to_kafka_and_from_a_message_to_what_it_changes(database: &TestDatabase) {
        let kafka = TestKafka::mock();
        let app = feed::start(&kafka, database).await;
        let ana = app.register().await;
        let scenario = ana.plant(1000.0).await;
        let (trace, caller) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let traced = ana.sending("traceparent", &format!("00-{trace}-{caller}-01"));
        traced.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        let reader = kafka.reader("safire.scenarios");
        let created: Traceparent = traceparent(&reader, "created").await.parse().expect("a trace of its own");
        assert_ne!(created.trace.to_string(), trace);
        let [accepted, calculated] = [traceparent(&reader, "calculating").await, traceparent(&reader, "calculated").await];
        let spans = [accepted, calculated].map(|text| text.parse::<Traceparent>().expect("a traceparent"));
        assert!(spans.iter().all(|span| span.trace.to_string() == trace && span.is_sampled), "{spans:?}");
        // The first was caused by the request, the second by the run: neither by the caller itself.
        assert!(spans[0].span != spans[1].span && spans.iter().all(|span| span.span.to_string() != caller), "{spans:?}");

        let cause = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        kafka.sender.tell("safire.prices", "one", &price(1001.0).to_string(), Some(cause)).await;
        assert_eq!(traceparent(&reader, "stale").await, cause);
        kafka.sender.tell("safire.prices", "one", "{", Some(cause)).await;
        // One that is not asked any more would hold up its group.
        drop(reader);
        let dead = kafka.reader("safire.dead-letters");
        assert_eq!(header(&timeout(PATIENCE, dead.recv()).await.expect("in time").expect("a message")), cause);
        app.stop().await;
    }
}
