//! Kafka as operators see it.

use std::time::Instant;

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    feed::{Kafka, PATIENCE},
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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

on_both_engines! {
    async fn operators_see_that_kafka_leaves_and_returns_and_what_goes_through_it(database: &TestDatabase) {
        let kafka = Kafka::start();
        let app = kafka.app(database).await;
        let ana = app.register().await;
        ana.plant(1000.0).await;
        kafka.tell("safire.prices", "{").await;
        kafka.tell("safire.alerts", json!({ "text": "a storm" })).await;
        let through = |health: &Value| health["kafka"]["dead_letters"] == 1 && health["status"] == "ok";
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

        kafka.cluster.broker_down(1).unwrap();
        health_once(&app, |health| health["status"] == "degraded" && health["kafka"]["connected"] == false).await;
        ana.plant(1000.0).await;
        health_once(&app, |health| health["kafka"]["outbox"].as_i64() > Some(0)).await;
        let metrics = scrape(&app).await;
        assert_eq!(value(&metrics, "safire_kafka_up"), 0.0);
        assert!(value(&metrics, "safire_outbox_events") > 0.0);
        kafka.cluster.broker_up(1).unwrap();
        let back = |health: &Value| health["status"] == "ok" && health["kafka"]["outbox"] == 0;
        health_once(&app, back).await;
        app.stop().await;
    }
}
