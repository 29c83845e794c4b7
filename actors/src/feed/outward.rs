//! Out: events go to the topic of scenarios, keyed by scenario.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use rdkafka::{
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord, Producer},
};
use safire_domain::{event::Event, trace::Traceparent};
use safire_store::{
    events::{self, Mark},
    feed,
};
use tokio::time::{sleep, timeout};

use super::{
    OUTBOX, Parts, SCENARIOS,
    kafka::{self, Watched},
};

/// Events published at once.
const WINDOW: i64 = 500;

/// How long a process publishes before another may, unless it says that it goes on.
const TURN: Duration = Duration::from_secs(15);

/// How often it is looked without a hint, and after something failed.
const LOOK: Duration = Duration::from_secs(1);

/// How long the broker may take before it is said to be away, and how often that is said again.
const PATIENCE: Duration = Duration::from_secs(5);
const REMINDER: Duration = Duration::from_secs(60);

/// Publishes for as long as the actor lives.
pub(super) async fn publish(parts: &Parts) -> Result<(), String> {
    let producer = kafka::producer(parts).map_err(|error| error.to_string())?;
    let mut bounded: Option<Instant> = None;
    loop {
        if bounded.is_none_or(|at| at.elapsed() > REMINDER) {
            bounded = Some(Instant::now());
            bound(parts).await;
        }
        match publish_some(parts, &producer).await {
            Ok(true) => {}
            Ok(false) => drop(timeout(LOOK, parts.events.news()).await),
            Err(why) => {
                tracing::debug!(%why, "events were not published");
                sleep(LOOK).await;
            }
        }
        if kafka::is_lost(producer.client()) {
            return Err("the producer is lost".into());
        }
    }
}

/// Publishes a window of events; `false` when there are none, or when it is another process's turn.
async fn publish_some(parts: &Parts, producer: &FutureProducer<Watched>) -> Result<bool, String> {
    let node = parts.context.node;
    let batch = parts
        .database
        .read(move |c| {
            Box::pin(async move {
                let place = events::mark(c, Mark::Published).await?;
                events::after(c, None, place, WINDOW).await
            })
        })
        .await
        .map_err(|error| error.to_string())?;
    let Some(last) = batch.events.last().map(|event| event.place) else {
        parts.figures.outbox.store(0, Ordering::Relaxed);
        return Ok(false);
    };
    if !my_turn(parts).await? {
        return Ok(false);
    }
    let told: Vec<_> = batch.events.iter().filter_map(Told::of).collect();
    deliver(parts, producer, &told).await?;
    let marked = parts.database.write(move |c| Box::pin(events::move_mark(c, Mark::Published, last))).await;
    marked.map_err(|error| error.to_string())?;
    parts.figures.published.fetch_add(told.len() as u64, Ordering::Relaxed);
    tracing::debug!(events = told.len(), %node, "published");
    Ok(true)
}

async fn my_turn(parts: &Parts) -> Result<bool, String> {
    let node = parts.context.node;
    let turn = parts.database.read(move |c| Box::pin(feed::may_publish(c, node, TURN))).await;
    turn.map_err(|error| error.to_string())
}

/// An event as it is told.
struct Told {
    key: String,
    text: String,
    trace: Option<Traceparent>,
}

impl Told {
    /// Events that are about no scenario are not told.
    fn of(event: &Event) -> Option<Self> {
        let key = event.what.scenario?.to_string();
        Some(Self { key, text: serde_json::to_string(&event.message()).ok()?, trace: event.trace })
    }

    fn record(&self) -> FutureRecord<'_, String, String> {
        let record = FutureRecord::to(SCENARIOS).key(&self.key).payload(&self.text);
        match self.trace {
            Some(trace) => record.headers(kafka::traced(OwnedHeaders::new(), trace)),
            None => record,
        }
    }
}

/// Returns when the broker has all of them, however long it is away; meanwhile it stays this process's turn.
async fn deliver(parts: &Parts, producer: &FutureProducer<Watched>, told: &[Told]) -> Result<(), String> {
    let mut sent = Vec::with_capacity(told.len());
    for told in told {
        sent.push(producer.send_result(told.record()).map_err(|(error, _)| error.to_string())?);
    }
    let mut delivered = std::pin::pin!(try_join_all(sent));
    let (begun, mut said) = (Instant::now(), None::<Instant>);
    loop {
        if let Ok(delivered) = timeout(PATIENCE, &mut delivered).await {
            if said.is_some() {
                tracing::info!(after_s = begun.elapsed().as_secs(), "kafka is back");
            }
            parts.figures.is_late.store(false, Ordering::Relaxed);
            let delivered = delivered.map_err(|error| error.to_string())?;
            return delivered.into_iter().try_for_each(|one| one.map(drop).map_err(|(error, _)| error.to_string()));
        }
        parts.figures.is_late.store(true, Ordering::Relaxed);
        let outbox = bound(parts).await;
        if said.is_none_or(|at| at.elapsed() > REMINDER) {
            said = Some(Instant::now());
            tracing::warn!(outbox, "kafka is away; events wait in the outbox");
        }
        if !my_turn(parts).await.unwrap_or(true) {
            parts.figures.is_late.store(false, Ordering::Relaxed);
            return Err("another process publishes".into());
        }
    }
}

/// Counts what waits; of too many the oldest are given up, which is told.
async fn bound(parts: &Parts) -> i64 {
    let waiting = parts.database.read(|c| Box::pin(events::unpublished(c, OUTBOX + 1))).await;
    let Ok(waiting) = waiting else { return parts.figures.outbox.load(Ordering::Relaxed) };
    parts.figures.outbox.store(waiting, Ordering::Relaxed);
    if waiting > OUTBOX
        && let Ok(given_up @ 1..) = parts.database.write(|c| Box::pin(events::bound_unpublished(c, OUTBOX))).await
    {
        parts.figures.given_up.fetch_add(given_up, Ordering::Relaxed);
        tracing::error!(given_up, most = OUTBOX, "the outbox is full: the oldest events are given up");
    }
    waiting
}
