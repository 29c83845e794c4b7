//! Crashes while messages of other systems are taken in and events are published.
//!
//! In: a trigger writes down each step that a transaction takes through a partition. The steps have to join without
//! a gap and without going back, each batch of prices makes one edition, and each alert is told once. Out: each event
//! is in the topic, the first copies of a scenario's events in their order; a copy has the id of the first.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::RngExt;
use rdkafka::{Message, consumer::StreamConsumer};
use reqwest::Method;
use safire_test_support::{KafkaSender, TestKafka};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    driver::Hand,
    history::percentile,
    server::{PATIENCE, Place, Server},
    world::{World, dose, full, promised},
};

/// Whoever edits scenarios, so that there is something to publish.
const EDITORS: usize = 3;

/// What is sent together, and how often.
const PRICES: i64 = 20;
const ALERTS: i64 = 2;
const EVERY: Duration = Duration::from_millis(20);

const UNPUBLISHED: &str = "SELECT COUNT(*) FROM events
                           WHERE (tx, n) > (SELECT tx, n FROM event_marks WHERE name = 'published')";

async fn survives_kills(world: World, kills: u32) {
    let kafka = TestKafka::any().await;
    let place = world.place(&[("KAFKA_BROKERS", &kafka.brokers())]);
    let mut server = world.start(&place).await;
    world.audit_feed().await;
    let before = world.edition().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, EDITORS).await;
    let topic = Topic::read(kafka.reader("safire.scenarios"));
    let (work, mut rng) = (Work::begin(&kafka, &ana, &plants), world.rng());
    for kill in 0..kills {
        world.takes_in_and_publishes(&topic, &mut server).await;
        // The random point.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..200))).await;
        server.kill();
        server = world.start(&place.of_group(kill)).await;
    }
    world.takes_in_and_publishes(&topic, &mut server).await;
    let sent = work.end().await;
    world
        .reaches("all is taken in", &mut server, async || {
            let told = world.count("SELECT COUNT(*) FROM events WHERE kind = 'alerted'").await;
            told >= sent.alerts && world.taken("safire.prices").await >= sent.prices
        })
        .await;
    world.reaches("all is published", &mut server, async || world.count(UNPUBLISHED).await == 0).await;
    server.signal("TERM");
    assert!(server.end().await.0.success());

    let steps = world.steps_join(&sent).await;
    assert_eq!(world.edition().await - before, steps, "an edition for each batch of prices");
    world.alerts_were_told_once(sent.alerts).await;
    let (events, copies) = world.all_are_published_in_order(topic).await;
    eprintln!(
        "{}: {kills} kills; in: {} prices in {steps} batches, {} alerts; out: {events} events, {copies} copies",
        world.name, sent.prices, sent.alerts
    );
}

impl Place {
    /// The same for the next life. Every other one is of a new group, which is told everything again and need not wait
    /// until the dead member is missed.
    fn of_group(&self, life: u32) -> Self {
        let group = format!("life-{}", life / dose(1, 2));
        self.with("SAFIRE_FEED__GROUP", &group)
    }
}

/// What was sent to the service.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    prices: i64,
    alerts: i64,
}

/// Those who send messages and edit scenarios.
struct Work {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Sent>,
    editors: Vec<JoinHandle<()>>,
}

impl Work {
    fn begin(kafka: &TestKafka, ana: &Hand, plants: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = tokio::spawn(send(kafka.sender.clone(), Arc::clone(&stop)));
        let edit = |plant: &String| tokio::spawn(edit(ana.clone(), plant.clone(), Arc::clone(&stop)));
        Self { sender, editors: plants.iter().map(edit).collect(), stop }
    }

    async fn end(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        for editor in self.editors {
            editor.await.expect("no editor panics");
        }
        self.sender.await.expect("everything is taken")
    }
}

async fn send(kafka: KafkaSender, stop: Arc<AtomicBool>) -> Sent {
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        let prices = sent.prices..sent.prices + PRICES;
        kafka.tell_all("safire.prices", prices.clone().map(price)).await;
        let alerts = sent.alerts..sent.alerts + ALERTS;
        let alert = |number| json!({ "text": "an alert", "number": number }).to_string();
        kafka.tell_all("safire.alerts", alerts.clone().map(alert)).await;
        sent = Sent { prices: prices.end, alerts: alerts.end };
        tokio::time::sleep(EVERY).await;
    }
    sent
}

/// Each is another, so that each batch changes something.
fn price(number: i64) -> String {
    let price = json!({ "value": 700.0 + number as f64 / 1000.0, "unit": "USD/t" });
    json!({ "ware": "feedstock", "code": "UCO", "price": price }).to_string()
}

async fn edit(ana: Hand, plant: String, stop: Arc<AtomicBool>) {
    for turn in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = json!({ "name": format!("Plant {turn}") });
        ana.ask(Method::PATCH, &format!("/scenarios/{plant}"), Some(name), None).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Messages of a topic as they came: key and content.
struct Topic {
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    reading: JoinHandle<()>,
}

impl Topic {
    fn read(reader: StreamConsumer) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&seen);
        let reading = tokio::spawn(async move {
            loop {
                let Ok(message) = reader.recv().await else { continue };
                let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
                let content = serde_json::from_slice(message.payload().unwrap_or_default()).expect("JSON");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push((key, content));
            }
        });
        Self { seen, reading }
    }

    fn len(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl World {
    async fn edition(&self) -> i64 {
        self.count("SELECT edition FROM master_data").await
    }

    /// How many messages of a topic were taken in.
    async fn taken(&self, topic: &str) -> i64 {
        self.feed_steps().await.iter().filter(|step| step.topic == topic).map(|step| step.next - step.since).sum()
    }

    async fn reaches(&self, what: &str, server: &mut Server, is_so: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            let ended = server.ended();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "never: {what}; {ended:?} {:#?}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this life of the server has taken something in and published something.
    async fn takes_in_and_publishes(&self, topic: &Topic, server: &mut Server) {
        let (taken, published) = (self.taken("safire.prices").await, topic.len());
        self.reaches("it goes on", server, async || {
            topic.len() > published && self.taken("safire.prices").await > taken
        })
        .await;
    }

    /// Each partition was walked through once; returns how many steps the prices took.
    async fn steps_join(&self, sent: &Sent) -> i64 {
        let mut of: HashMap<_, Vec<_>> = HashMap::new();
        for step in self.feed_steps().await {
            of.entry((step.topic, step.part)).or_default().push((step.since, step.next));
        }
        let mut ends = HashMap::<String, i64>::new();
        let mut steps_of_prices = 0;
        for ((topic, part), mut steps) in of {
            steps.sort_unstable();
            let mut at = 0;
            for (since, next) in &steps {
                assert!(*since == at && next > since, "{topic} {part}: from {at} to {since}, seed {}", self.seed);
                at = *next;
            }
            *ends.entry(topic.clone()).or_default() += at;
            if topic == "safire.prices" {
                steps_of_prices += steps.len() as i64;
            }
        }
        assert_eq!((ends["safire.prices"], ends["safire.alerts"]), (sent.prices, sent.alerts));
        steps_of_prices
    }

    async fn alerts_were_told_once(&self, sent: i64) {
        let alerts = self.alerts().await;
        let mut numbers: Vec<_> = alerts.iter().map(|alert| alert["number"].as_i64().expect("a number")).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..sent), "{} of {sent} alerts, seed {}", numbers.len(), self.seed);
    }

    /// Every event of a scenario is in the topic, in its order; returns how many there are, and how many copies.
    async fn all_are_published_in_order(&self, topic: Topic) -> (usize, usize) {
        let stored = self.events_of_scenarios().await;
        let expected: usize = stored.values().map(Vec::len).sum();
        let begun = Instant::now();
        loop {
            let seen = topic.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (firsts, copies) = firsts(&seen);
            if firsts == stored {
                return (expected, copies);
            }
            let found: usize = firsts.values().map(Vec::len).sum();
            let late = begun.elapsed() > PATIENCE || found >= expected;
            assert!(!late, "{found} of {expected} events, or out of order, seed {}", self.seed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The ids of each key's events, each where it was first, and how many came again; those are the same.
fn firsts(seen: &[(String, Value)]) -> (HashMap<String, Vec<String>>, usize) {
    let (mut known, mut firsts, mut copies) = (HashMap::new(), HashMap::<_, Vec<_>>::new(), HashSet::new());
    for (place, (key, message)) in seen.iter().enumerate() {
        let id = message["id"].as_str().expect("an id").to_owned();
        match known.get(&id) {
            Some(first) => {
                assert_eq!(*first, message, "two events have the id {id}");
                copies.insert(place);
            }
            None => {
                known.insert(id.clone(), message);
                firsts.entry(key.clone()).or_default().push(id);
            }
        }
    }
    (firsts, copies.len())
}

/// While the broker is away people go on, a process ends and another starts; then everything is published.
async fn outlasts_an_outage(world: World) {
    let kafka = TestKafka::any().await;
    let place = world.place(&[("KAFKA_BROKERS", &kafka.brokers())]);
    let mut server = world.start(&place).await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, EDITORS).await;
    let topic = Topic::read(kafka.reader("safire.scenarios"));
    world.reaches("something is published", &mut server, async || topic.len() > 0).await;
    kafka.goes_away();
    let (begun, away) = (Instant::now(), Duration::from_secs(dose(3, 180)));
    let mut took = edit_until(&ana, &plants, begun + away / 2).await;
    server.signal("TERM");
    let (status, stopping) = server.end().await;
    assert!(status.success() && stopping <= promised(Duration::from_secs(30)), "{status} after {stopping:?}");
    server = world.start(&place).await;
    took.extend(edit_until(&ana, &plants, begun + away).await);
    let outbox = world.count(UNPUBLISHED).await;
    assert!(outbox > 0, "the broker was not away");
    kafka.is_back();
    let back = Instant::now();
    world.reaches("all is published", &mut server, async || world.count(UNPUBLISHED).await == 0).await;
    let emptied = back.elapsed();
    let (events, copies) = world.all_are_published_in_order(topic).await;
    server.signal("TERM");
    assert!(server.end().await.0.success());
    let (edits, p99) = (took.len(), percentile(&mut took, 0.99));
    assert!(p99 < promised(Duration::from_secs(1)), "requests waited for the broker: p99 {p99:?}");
    eprintln!("{}: away {away:?}: {edits} edits, p99 {p99:?}; stopped in {stopping:?}", world.name);
    eprintln!("  outbox {outbox}, empty {emptied:?} after the return; {events} events, {copies} copies");
}

/// Edits scenarios, which has to succeed, and returns how long each took.
async fn edit_until(ana: &Hand, plants: &[String], end: Instant) -> Vec<Duration> {
    let mut took = Vec::new();
    while Instant::now() < end || took.is_empty() {
        let plant = &plants[took.len() % plants.len()];
        let name = json!({ "name": format!("Plant {}", took.len()) });
        let reply = ana.ask(Method::PATCH, &format!("/scenarios/{plant}"), Some(name), None).await;
        assert_eq!(reply.status, Some(200), "{reply:?}");
        took.push(reply.took);
        tokio::time::sleep(EVERY).await;
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_holds_up_nobody_and_misses_nothing() {
    // On PostgreSQL whoever comes next waits 15 s for its turn to publish.
    let world = if full() { World::on_postgres } else { World::on_sqlite };
    outlasts_an_outage(world("broker-away")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_messages_come_and_go_lose_and_repeat_nothing_on_sqlite() {
    survives_kills(World::on_sqlite("feed-sqlite"), dose(2, 20)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn kills_while_messages_come_and_go_lose_and_repeat_nothing_on_postgres() {
    // Each costs the 15 s for which the dead one may publish.
    survives_kills(World::on_postgres("feed-postgres"), dose(1, 12)).await;
}
