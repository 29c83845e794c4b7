//! Kafka, as it is spoken to here: which settings, and that its library says little.

use rdkafka::{
    ClientConfig, ClientContext,
    client::Client,
    config::RDKafkaLogLevel,
    consumer::{Consumer, ConsumerContext, StreamConsumer},
    error::{KafkaError, KafkaResult},
    producer::FutureProducer,
};

use super::Settings;

/// An absent broker is told of once by the actor; the library would do so many times a second.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "kafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ConsumerContext for Quiet {}

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
pub(super) fn producer(settings: &Settings) -> KafkaResult<FutureProducer<Quiet>> {
    config(settings)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "16384")
        .create_with_context(Quiet)
}

/// A member of the group that takes messages in, from the beginning where nothing was taken in before.
pub(super) fn consumer(settings: &Settings) -> KafkaResult<StreamConsumer<Quiet>> {
    let consumer: StreamConsumer<Quiet> = config(settings)
        .set("group.id", &settings.group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "10000")
        .set("queued.max.messages.kbytes", "16384")
        .set("allow.auto.create.topics", "true")
        .create_with_context(Quiet)?;
    consumer.subscribe(&[super::PRICES, super::ALERTS])?;
    Ok(consumer)
}

/// Whether the library has given the client up.
pub(super) fn is_lost<C: ClientContext>(client: &Client<C>) -> bool {
    client.fatal_error().is_some()
}
