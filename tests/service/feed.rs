//! The feed, against a broker that speaks Kafka's protocol: librdkafka's own in this process, and nisshi, a server
//! (`broker`).

use std::time::{Duration, Instant};

use rdkafka::{Message, consumer::StreamConsumer, message::Headers};
use safire_test_support::{BUSY, PATIENCE, TestDatabase, TestKafka, on_both_engines};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    app::{Client, TestApp, eventually, of_capacity},
    live::{Sse, Ws},
};

pub async fn start(kafka: &TestKafka, database: &TestDatabase) -> TestApp {
    start_of_group(kafka, database, "safire").await
}

async fn start_of_group(kafka: &TestKafka, database: &TestDatabase, group: &str) -> TestApp {
    let (brokers, group) = (kafka.brokers(), group.to_owned());
    TestApp::with(database, |config, _| (config.feed.brokers, config.feed.group) = (Some(brokers), group)).await
}

pub async fn tell(kafka: &TestKafka, topic: &str, message: impl ToString) {
    kafka.sender.tell(topic, "one", &message.to_string(), None).await;
}

/// The next message, by key.
async fn next(reader: &StreamConsumer) -> (String, Value) {
    let message = timeout(PATIENCE, reader.recv()).await.expect("a message in time").expect("a message");
    let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
    (key, serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default())
}

async fn price_of_uco(ana: &Client) -> Value {
    let data = ana.get("/master-data").await.is(200);
    let sets = data["defaults"].as_array().unwrap();
    let set = sets.iter().find(|set| set["feedstock"] == "UCO" && set["country"] == "USA").unwrap();
    set["inputs"]["feedstocks"]["UCO"]["price"]["value"].clone()
}

pub async fn price_becomes(ana: &Client, expected: f64) {
    let begun = Instant::now();
    loop {
        let seen = price_of_uco(ana).await;
        if seen == json!(expected) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the price is {seen}, not {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn price(value: f64) -> Value {
    json!({ "ware": "feedstock", "code": "UCO", "price": { "value": value, "unit": "USD/t" }, "country": "USA" })
}

pub async fn publishes_in_order(kafka: &TestKafka, database: &TestDatabase) {
    let app = start(kafka, database).await;
    let ana = app.register().await;
    let project = ana.project().await;
    let mut scenarios = Vec::new();
    for n in 0..3 {
        let scenario = ana.scenario(&project, of_capacity(1000.0 + f64::from(n))).await;
        ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        ana.delete(&format!("/scenarios/{scenario}")).await.is(204);
        scenarios.push(scenario);
    }
    let reader = kafka.reader("safire.scenarios");
    let mut seen = std::collections::HashMap::<String, Vec<String>>::new();
    for _ in 0..12 {
        let (key, message) = next(&reader).await;
        assert_eq!(message["scenario_id"], json!(key));
        seen.entry(key).or_default().push(message["event"].as_str().unwrap().to_owned());
    }
    for scenario in &scenarios {
        assert_eq!(seen[scenario], ["created", "calculating", "calculated", "deleted"]);
    }
    app.stop().await;
}

pub async fn prices_count_once(kafka: &TestKafka, database: &TestDatabase) {
    let app = start(kafka, database).await;
    let ana = app.register().await;
    let project = ana.project().await;
    let scenario = ana.scenario(&project, json!({})).await;
    ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
    let mut sse = Sse::open(&ana, &format!("/events?scenario={scenario}")).await;
    tell(kafka, "safire.prices", price(1001.0)).await;
    price_becomes(&ana, 1001.0).await;
    loop {
        let told = timeout(PATIENCE, sse.next()).await.unwrap().unwrap();
        if told.event().0 == "stale" {
            break;
        }
    }
    assert_eq!(ana.get(&format!("/scenarios/{scenario}/result")).await.is(200)["stale"], true);

    // What is not understood is put aside with the reason, and holds nothing up.
    let poison =
        ["{", r#"{"ware":"feedstock"}"#, r#"{"ware":"feedstock","code":"GOLD","price":{"value":1,"unit":"USD/t"}}"#];
    for poison in poison {
        tell(kafka, "safire.prices", poison).await;
    }
    let mut wrong = price(5.0);
    wrong["price"]["unit"] = "MWh".into();
    tell(kafka, "safire.prices", wrong).await;
    tell(kafka, "safire.prices", price(1002.0)).await;
    price_becomes(&ana, 1002.0).await;
    let reader = kafka.reader("safire.dead-letters");
    for _ in 0..4 {
        let message = timeout(PATIENCE, reader.recv()).await.expect("in time").expect("a message");
        let headers = message.headers().expect("headers");
        let names: Vec<_> = headers.iter().map(|header| header.key).collect();
        assert_eq!(names, ["reason", "topic", "partition", "offset"]);
        assert!(headers.get(0).value.is_some_and(|reason| !reason.is_empty()));
    }
    let edition = ana.get("/master-data/fresh").await.is(200)["edition"].clone();
    let stats = app.service().system().feed.as_ref().unwrap().stats();
    assert_eq!((stats.taken_in, stats.repeated, stats.dead_letters), (6, 0, 4), "{stats:?}");
    app.stop().await;

    // Another group is told everything again: nothing of it counts twice.
    let app = start_of_group(kafka, database, "another").await;
    let ana = app.anonymous().with_token(ana.token.as_ref().unwrap());
    tell(kafka, "safire.prices", price(1003.0)).await;
    price_becomes(&ana, 1003.0).await;
    let stats = app.service().system().feed.as_ref().unwrap().stats();
    assert_eq!((stats.taken_in, stats.repeated), (1, 6), "{stats:?}");
    let after = ana.get("/master-data/fresh").await.is(200)["edition"].as_i64();
    assert_eq!(after, edition.as_i64().map(|edition| edition + 1));
    app.stop().await;
}

pub async fn alerts_are_told(kafka: &TestKafka, database: &TestDatabase) {
    let app = start(kafka, database).await;
    let ana = app.register().await;
    let mut ws = Ws::open(&ana, "/ws/alerts").await;
    ana.plant(1000.0).await;
    // What no database can store is put aside, and what comes behind it is told.
    let deep = format!("{{\"text\":\"x\",\"deep\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for poison in [
        r#"{"text":"a\u0000b"}"#,
        r#"{"text":"x","a\u0000b":1}"#,
        r#"{"text":"x","deep":[{"in":["\u0000"]}]}"#,
        r#"{"text":"x","large":1e999}"#,
        r#"{"text":"\ud800"}"#,
        &deep,
    ] {
        tell(kafka, "safire.alerts", poison).await;
    }
    for n in 0..120 {
        tell(kafka, "safire.alerts", json!({ "severity": "warning", "text": format!("alert {n}") })).await;
    }
    for n in 0..120 {
        let told = timeout(PATIENCE, ws.next()).await.expect("in time").expect("open");
        assert_eq!((&told["type"], &told["data"]["text"]), (&json!("alert"), &json!(format!("alert {n}"))));
    }
    let recent = ana.get("/messages/recent").await.is(200);
    let messages = recent["messages"].as_array().unwrap();
    let texts: Vec<_> = messages.iter().map(|message| message["data"]["text"].as_str().unwrap()).collect();
    assert_eq!((texts.len(), texts[0]), (100, "alert 119"));
    app.stop().await;
}

pub async fn outlasts_an_outage(kafka: &TestKafka, database: &TestDatabase) {
    let app = start(kafka, database).await;
    let ana = app.register().await;
    let project = ana.project().await;
    kafka.goes_away();
    let mut scenarios = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        scenarios.push(ana.scenario(&project, of_capacity(1000.0)).await);
        assert!(begun.elapsed() < BUSY, "a request waited for Kafka");
    }
    // A process that ends meanwhile ends in time, and loses nothing.
    let begun = Instant::now();
    app.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
    let app = start(kafka, database).await;
    let ana = app.anonymous().with_token(ana.token.as_ref().unwrap());
    scenarios.push(ana.scenario(&project, of_capacity(1000.0)).await);
    kafka.is_back();
    let reader = kafka.reader("safire.scenarios");
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < scenarios.len() {
        seen.insert(next(&reader).await.0);
    }
    assert_eq!(seen, scenarios.into_iter().collect());
    eventually("an empty outbox", async || match app.service().system().feed.as_ref().unwrap().stats() {
        stats if stats.is_up && stats.outbox == 0 => Ok(()),
        stats => Err(stats),
    })
    .await;
    app.stop().await;
}

on_both_engines! {
    async fn what_happens_is_published_in_the_order_of_each_scenario(database: &TestDatabase) {
        publishes_in_order(&TestKafka::mock(), database).await;
    }

    async fn prices_change_the_master_data_once_and_make_results_stale(database: &TestDatabase) {
        prices_count_once(&TestKafka::mock(), database).await;
    }

    async fn alerts_are_told_to_everybody_and_the_last_hundred_are_kept(database: &TestDatabase) {
        alerts_are_told(&TestKafka::mock(), database).await;
    }

    async fn while_the_broker_is_away_no_request_fails_and_everything_arrives_after_its_return(database: &TestDatabase) {
        outlasts_an_outage(&TestKafka::mock(), database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn ten_thousand_prices_are_absorbed_and_their_rate_is_told() {
    let database = TestDatabase::postgres().await;
    let kafka = TestKafka::mock();
    let count: u32 = 10_000;
    let prices = (0..count).map(|n| price(800.0 + f64::from(n) / 100.0).to_string());
    kafka.sender.tell_all("safire.prices", prices).await;
    let app = start(&kafka, &database).await;
    let ana = app.register().await;
    let stats = || app.service().system().feed.as_ref().unwrap().stats();
    let begun = Instant::now();
    while stats().taken_in == 0 {
        assert!(begun.elapsed() < PATIENCE, "nothing is taken in");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (first, begun) = (stats().taken_in, Instant::now());
    while stats().taken_in < u64::from(count) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rate = (u64::from(count) - first) as f64 / begun.elapsed().as_secs_f64();
    println!("{} prices in {:?}: {rate:.0} a second", u64::from(count) - first, begun.elapsed());
    price_becomes(&ana, 800.0 + f64::from(count - 1) / 100.0).await;
    app.stop().await;
}
