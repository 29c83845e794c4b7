//! Kafka, as it is spoken to here: which settings, that its library says little, and what it says of itself.

use std::sync::{Arc, atomic::Ordering};

use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    client::Client,
    config::RDKafkaLogLevel,
    consumer::{Consumer, ConsumerContext, StreamConsumer},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Header, Headers, Message as _, OwnedHeaders},
    producer::FutureProducer,
};

use safire_domain::trace::Traceparent;

use super::{Figures, Parts, Settings};

/// An absent broker is told of once by the actor; the library would do so many times a second.
pub(super) struct Watched(Arc<Figures>);

impl ClientContext for Watched {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "kafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }

    /// Of the consumer alone: it speaks to brokers all the time, a producer when there is something to publish.
    fn stats(&self, statistics: Statistics) {
        let is_connected = statistics.brokers.values().any(|broker| matches!(&*broker.state, "UP" | "UPDATE"));
        self.0.is_connected.store(is_connected, Ordering::Relaxed);
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        // Of partitions that others read, and of those not looked at yet, it is negative.
        let waiting = partitions.map(|partition| partition.consumer_lag.max(0)).sum();
        self.0.waiting.store(waiting, Ordering::Relaxed);
    }
}

impl ConsumerContext for Watched {}

fn config(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "safire")
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.timeout.ms", "10000");
    config
}

/// A producer that keeps the order of a key, writes each message once, and waits for an absent broker as long as it
/// takes.
pub(super) fn producer(parts: &Parts) -> KafkaResult<FutureProducer<Watched>> {
    config(&parts.settings)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "16384")
        .create_with_context(Watched(Arc::clone(&parts.figures)))
}

/// A member of the group that takes messages in, from the beginning where nothing was taken in before.
pub(super) fn consumer(parts: &Parts) -> KafkaResult<StreamConsumer<Watched>> {
    let consumer: StreamConsumer<Watched> = config(&parts.settings)
        .set("group.id", &parts.settings.group)
        .set("statistics.interval.ms", "1000")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "10000")
        .set("queued.max.messages.kbytes", "16384")
        .set("allow.auto.create.topics", "true")
        .create_with_context(Watched(Arc::clone(&parts.figures)))?;
    consumer.subscribe(&[super::PRICES, super::ALERTS])?;
    Ok(consumer)
}

/// The header that says which span a message was caused by.
const TRACEPARENT: &str = "traceparent";

/// The headers, and what the message was caused by.
pub(super) fn traced(headers: OwnedHeaders, cause: Traceparent) -> OwnedHeaders {
    headers.insert(Header { key: TRACEPARENT, value: Some(&cause.to_string()) })
}

/// What a message was caused by, if it says so.
pub(super) fn cause(message: &BorrowedMessage<'_>) -> Option<Traceparent> {
    let header = message.headers()?.iter().find(|header| header.key == TRACEPARENT)?;
    str::from_utf8(header.value?).ok()?.parse().ok()
}

/// Whether the library has given the client up.
pub(super) fn is_lost<C: ClientContext>(client: &Client<C>) -> bool {
    client.fatal_error().is_some()
}
