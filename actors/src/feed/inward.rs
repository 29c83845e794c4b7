//! In: prices and alerts of other systems take effect, each once.

use std::{sync::atomic::Ordering, time::Duration};

use chrono::TimeDelta;
use futures::future::try_join_all;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
    message::{BorrowedMessage, Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use safire_domain::{AlertId, Timestamp, master_data::MasterData, price::NewPrice, trace::Traceparent};
use safire_store::{
    feed::{self, Content, Incoming, TakenIn},
    master_data,
};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Span;

use super::{
    ALERTS, DEAD_LETTERS, PRICES, Parts,
    kafka::{self, Watched},
};
use crate::{
    cache::MASTER_DATA,
    origin::{Origin, on_behalf_of, span_for},
};

/// Messages that take effect together: so many, or what comes within this time.
const TOGETHER: usize = 1000;
const GATHER: Duration = Duration::from_millis(20);

/// The wait before something that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// A message of a topic, on its way.
struct Received {
    topic: String,
    partition: i32,
    offset: i64,
    payload: Vec<u8>,
    cause: Option<Traceparent>,
    /// Around all that is done with it; what it was caused by is its parent.
    span: Span,
}

impl Received {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let cause = kafka::cause(message);
        let origin = cause.map(|cause| Origin::new(None, cause));
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            payload: message.payload().unwrap_or_default().to_vec(),
            cause,
            span: span_for!(info_span, "message", origin.as_ref(), topic, partition, offset),
        }
    }
}

/// A message that is not understood, and why.
struct DeadLetter<'m> {
    message: &'m Received,
    reason: String,
}

/// Takes messages in for as long as the actor lives.
pub(super) async fn take_in(parts: &Parts) -> Result<(), String> {
    let consumer = kafka::consumer(parts).map_err(|error| error.to_string())?;
    let producer = kafka::producer(parts).map_err(|error| error.to_string())?;
    loop {
        let batch = gather(&consumer).await;
        // What was received takes effect before anything else is: nothing can be passed over.
        while let Err(why) = settle(parts, &producer, &batch).await {
            tracing::warn!(%why, messages = batch.len(), "messages wait to be taken in");
            sleep(RETRY).await;
        }
        if let Err(error) = commit(&consumer, &batch) {
            // They come again, and are passed over.
            tracing::debug!(%error, "kafka was not told how far messages were taken in");
        }
        if kafka::is_lost(consumer.client()) {
            return Err("the consumer is lost".into());
        }
    }
}

/// The next messages.
async fn gather(consumer: &StreamConsumer<Watched>) -> Vec<Received> {
    let mut batch = Vec::new();
    let mut until = None;
    loop {
        let next = match until {
            None => Ok(consumer.recv().await),
            Some(until) => timeout_at(until, consumer.recv()).await,
        };
        match next {
            Ok(Ok(message)) => batch.push(Received::of(&message)),
            // The broker is away, or the topic is not there yet.
            Ok(Err(error)) => {
                tracing::debug!(%error, "nothing is received");
                sleep(RETRY).await;
            }
            Err(_) => return batch,
        }
        if batch.len() == TOGETHER {
            return batch;
        }
        if !batch.is_empty() {
            until = until.or(Some(Instant::now() + GATHER));
        }
    }
}

/// Has a batch take effect, once, and puts aside what is not understood.
async fn settle(parts: &Parts, producer: &FutureProducer<Watched>, batch: &[Received]) -> Result<(), String> {
    let now = parts.context.clock.now();
    let known = parts.database.read(|c| Box::pin(master_data::load(c))).await.map_err(|error| error.to_string())?;
    let (mut incoming, mut dead) = (Vec::with_capacity(batch.len()), Vec::new());
    for (n, message) in (0..).zip(batch) {
        // A moment of its own, so that ids sort as the messages came.
        let read = message.span.in_scope(|| read(message, &known, now + TimeDelta::microseconds(n)));
        let content = read.unwrap_or_else(|reason| {
            dead.push(DeadLetter { message, reason });
            Content::Nothing
        });
        let Received { topic, partition, offset, .. } = message;
        incoming.push(Incoming { topic: topic.clone(), partition: *partition, offset: *offset, content });
    }
    put_aside(producer, &dead).await?;
    let taken = parts.database.write(move |c| Box::pin(feed::take_in(c, incoming, now)));
    let taken = on_behalf_of(cause_of(batch), taken).await;
    let taken = taken.map_err(|error| error.to_string())?;
    if taken.changed_sets > 0
        && let Err(unavailable) = parts.cache.invalidate(MASTER_DATA).await
    {
        tracing::warn!(%unavailable, "other replicas may list the old master data until it expires");
    }
    note(parts, taken, dead.len());
    Ok(())
}

/// What messages that take effect together were caused by, if all by the same.
fn cause_of(batch: &[Received]) -> Option<Origin> {
    let mut causes = batch.iter().map(|message| message.cause);
    let first = causes.next()??;
    causes.all(|cause| cause == Some(first)).then(|| Origin::new(None, first))
}

fn note(parts: &Parts, taken: TakenIn, dead: usize) {
    let figures = &parts.figures;
    figures.taken_in.fetch_add(taken.new as u64, Ordering::Relaxed);
    figures.repeated.fetch_add(taken.repeated as u64, Ordering::Relaxed);
    figures.dead_letters.fetch_add(dead as u64, Ordering::Relaxed);
}

/// What a message says, or why it is not understood.
fn read(message: &Received, known: &MasterData, now: Timestamp) -> Result<Content, String> {
    match message.topic.as_str() {
        PRICES => read_price(&message.payload, known).map(Content::Price),
        ALERTS => {
            let body: Map<String, Value> = serde_json::from_slice(&message.payload).map_err(|e| e.to_string())?;
            if !body.get("text").is_some_and(Value::is_string) {
                return Err("an alert has a `text`".into());
            }
            if message.payload.len() > LARGEST_ALERT {
                return Err(format!("an alert has at most {LARGEST_ALERT} bytes"));
            }
            if body.iter().any(|(key, value)| has_nul(key, value)) {
                return Err("an alert has no NUL in its texts: a database has none either".into());
            }
            Ok(Content::Alert { id: AlertId::new(now).uuid(), body })
        }
        other => Err(format!("{other} is no topic that is read")),
    }
}

/// Looks for a NUL in the texts of a value and in its name: PostgreSQL stores none, and would refuse it for ever.
fn has_nul(key: &str, value: &Value) -> bool {
    key.contains('\0')
        || match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(entries) => entries.iter().any(|entry| has_nul("", entry)),
            Value::Object(fields) => fields.iter().any(|(key, value)| has_nul(key, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
}

/// Larger alerts would fill what is kept for those who watch.
const LARGEST_ALERT: usize = 16 << 10;

fn read_price(payload: &[u8], known: &MasterData) -> Result<NewPrice, String> {
    let price: NewPrice = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    if !price.ware.is_listed(&price.code, known) {
        return Err(format!("/code: there is no {:?} {}", price.ware, price.code));
    }
    let wrong = price.check(known);
    match wrong.first() {
        None => Ok(price),
        Some(first) => Err(format!("{}: {}", first.pointer, first.message)),
    }
}

/// Puts messages aside that are not understood, with the reason and where they came from.
async fn put_aside(producer: &FutureProducer<Watched>, dead: &[DeadLetter<'_>]) -> Result<(), String> {
    let mut sent = Vec::with_capacity(dead.len());
    for DeadLetter { message, reason } in dead {
        let Received { topic, partition, offset, payload, cause, span } = message;
        span.in_scope(|| tracing::warn!(topic, partition, offset, reason, "a message was not understood"));
        let (partition, offset) = (partition.to_string(), offset.to_string());
        let headers = [("reason", reason), ("topic", topic), ("partition", &partition), ("offset", &offset)];
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_str()) })
        });
        let headers = match cause {
            Some(cause) => kafka::traced(headers, *cause),
            None => headers,
        };
        let record = FutureRecord::<(), _>::to(DEAD_LETTERS).payload(payload).headers(headers);
        sent.push(producer.send_result(record).map_err(|(error, _)| error.to_string())?);
    }
    let delivered = try_join_all(sent).await.map_err(|error| error.to_string())?;
    delivered.into_iter().try_for_each(|one| one.map(drop).map_err(|(error, _)| error.to_string()))
}

fn commit(consumer: &StreamConsumer<Watched>, batch: &[Received]) -> rdkafka::error::KafkaResult<()> {
    let mut offsets = TopicPartitionList::new();
    for Received { topic, partition, offset, .. } in batch {
        // The later of two counts: messages of a partition come in order.
        let next = Offset::Offset(offset + 1);
        match offsets.find_partition(topic, *partition) {
            Some(mut known) => known.set_offset(next)?,
            None => offsets.add_partition_offset(topic, *partition, next)?,
        }
    }
    consumer.commit(&offsets, CommitMode::Async)
}
