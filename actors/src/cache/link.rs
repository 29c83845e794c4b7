//! The way to Redis: one loop that connects, subscribes, watches, and begins again.
//!
//! The connection for commands and the subscription to other replicas' invalidations stand and fall
//! together. While they were down announcements may have been missed, so that after each return the
//! local layer is dropped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::{
    Msg, RedisResult,
    aio::{MultiplexedConnection, PubSubSink, PubSubStream},
    pipe,
};
use futures::StreamExt;
use ractor::ActorRef;
use rand::RngExt;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{
    actor::Message,
    circuit::CircuitState,
    keyspace::CHANNEL,
    redis::{Redis, RedisStats},
    undelivered::Target,
};

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a healthy connection is probed, and one that just failed to answer.
const PROBE: Duration = Duration::from_secs(1);
const PROBE_AGAIN: Duration = Duration::from_millis(50);

/// Probes in a row that the subscription may leave unanswered.
const SILENCES: u32 = 3;

/// How often an outage is mentioned in the log while it lasts.
const REMINDER: Duration = Duration::from_secs(60);

struct Connected {
    commands: MultiplexedConnection,
    sink: PubSubSink,
    announcements: PubSubStream,
}

/// Keeps Redis connected for as long as the actor lives.
pub(super) async fn keep_connected(redis: Arc<Redis>, actor: ActorRef<Message>) {
    let mut mentioned: Option<Instant> = None;
    loop {
        redis.circuit().try_again();
        let why = match timeout(CONNECT_TIMEOUT, connect(&redis)).await {
            Ok(Ok(connected)) => {
                mentioned = None;
                serve(&redis, &actor, connected).await
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        redis.give_up_connection();
        let attempts = redis.circuit().still_away();
        if mentioned.is_none_or(|at| at.elapsed() > REMINDER) {
            mentioned = Some(Instant::now());
            tracing::warn!(%why, attempts, "redis is away; reads go to the database");
        }
        let jitter = rand::rng().random_range(0.5..=1.0);
        let wait = redis.circuit().wait(jitter);
        sleep(wait).await;
    }
}

async fn connect(redis: &Redis) -> RedisResult<Connected> {
    let commands = redis.connect().await?;
    let (mut sink, announcements) = redis.client().get_async_pubsub().await?.split();
    sink.subscribe(CHANNEL).await?;
    Ok(Connected { commands, sink, announcements })
}

/// Forwards announcements and probes, until something breaks; returns what.
async fn serve(redis: &Redis, actor: &ActorRef<Message>, connected: Connected) -> String {
    let Connected { commands, mut sink, mut announcements } = connected;
    let _ = actor.cast(Message::Reconnected);
    let attempts = redis.use_connection(commands);
    tracing::info!(attempts, "redis is connected");
    let mut probe = interval(PROBE);
    probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = 0;
    loop {
        tokio::select! {
            () = redis.opened.notified() => if redis.state() != CircuitState::Closed {
                return "it stopped answering".to_owned();
            },
            announcement = announcements.next() => match announcement {
                Some(announcement) => forward(redis, actor, &announcement),
                None => return "the subscription ended".to_owned(),
            },
            _ = probe.tick() => {
                let subscribed = answers(redis, &mut sink).await;
                silent = if subscribed { 0 } else { silent + 1 };
                if silent >= SILENCES {
                    return "the subscription stopped answering".to_owned();
                }
                if !subscribed {
                    probe.reset_after(PROBE_AGAIN);
                }
                let _ = actor.cast(Message::Redeliver);
            }
        }
    }
}

fn forward(redis: &Redis, actor: &ActorRef<Message>, announcement: &Msg) {
    let Ok(payload) = announcement.get_payload::<String>() else { return };
    match payload.split_once(' ') {
        Some((origin, _)) if origin == redis.origin() => {}
        Some((_, "*")) => drop(actor.cast(Message::Announced(Target::All))),
        Some((_, key)) => drop(actor.cast(Message::Announced(Target::Key(key.to_owned())))),
        None => {}
    }
}

/// Asks Redis for its figures, and whether the subscription lives.
async fn answers(redis: &Redis, sink: &mut PubSubSink) -> bool {
    let mut figures = pipe();
    figures.cmd("INFO").arg("memory").cmd("INFO").arg("clients").cmd("DBSIZE");
    let answer = redis.ask(async |mut c| figures.query_async::<(String, String, u64)>(&mut c).await).await;
    if let Ok((memory, clients, total_keys)) = &answer {
        redis.note_stats(Some(RedisStats {
            total_keys: *total_keys,
            memory_used: figure(memory, "used_memory"),
            connected_clients: figure(clients, "connected_clients"),
        }));
    }
    answer.is_ok() && matches!(timeout(redis.deadline(), sink.ping::<::redis::Value>()).await, Ok(Ok(_)))
}

/// The value of a line `name:value` of INFO.
fn figure(info: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok();
    info.lines().find_map(value).unwrap_or_default()
}
