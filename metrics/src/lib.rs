//! Every metric of the service, declared once: name, kind, help, labels, edges of its buckets.
//!
//! A [`Metrics`] is made from a recorder when the service starts: every series is described and stands at
//! zero from then on. What it holds are handles, a few atomic instructions each, and nothing is looked up
//! by name where something is counted. There is no global recorder: services that share a process, as in
//! tests, count apart, and without a recorder ([`Metrics::silent`]) nothing is counted.
//!
//! Labels have values from closed lists, never ids. What has a state rather than a history (gauges) is
//! set when it is asked for, by whoever renders the metrics.

mod family;
mod http;
mod instrument;

use metrics::Recorder;

pub use family::Family;
pub use http::{Http, Operation, OperationMetrics};
pub use instrument::Kind;
pub use metrics::{Counter, Gauge, Histogram};

use instrument::Instrument;

/// The actors under the root supervisor.
pub const ACTORS: &[&str] =
    &["database", "database writer", "heartbeat", "cache", "calculations", "scenarios", "imports", "events", "feed"];

/// What is cached by name; all other keys count as `other`.
pub const CACHES: &[&str] = &["master-data", "users-dict", "other"];

/// The label of a cache's key.
pub fn cache_of(key: &str) -> &'static str {
    CACHES.iter().find(|name| **name == key).unwrap_or(&"other")
}

/// What is calculated: the kinds of analyses, and questions such as a breakeven.
pub const KINDS: &[&str] = &["base", "monte-carlo", "sobol", "tornado", "spider", "sweep", "question"];

/// How runs end.
pub const OUTCOMES: &[&str] = &["succeeded", "failed", "cancelled"];

/// Edges for answers to requests: a threshold is one of them.
const REQUESTS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 5.0];

/// Edges for what should take microseconds and may take seconds.
const WAITS: &[f64] = &[0.000_1, 0.001, 0.01, 0.1, 0.5, 1.0, 2.0];

/// Edges for calculations, from a base analysis to a long Monte Carlo.
const CALCULATIONS: &[f64] = &[0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0, 30.0];

/// One metric as it was declared.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// Its name.
    pub name: &'static str,
    /// What it tells, in one sentence.
    pub help: &'static str,
    /// What becomes of its value over time.
    pub kind: Kind,
    /// The upper edges of its buckets; none unless it is a histogram.
    pub edges: &'static [f64],
}

macro_rules! declare {
    ($(
        $(#[doc = $help:literal])+
        $field:ident: $name:literal, $kind:ident $(by $label:literal in $values:expr)? $(, edges $edges:expr)?;
    )+) => {
        /// The handles of all metrics but those of requests, which depend on the routes.
        #[derive(Clone)]
        pub struct Metrics {
            $( $(#[doc = $help])+ pub $field: declare!(@type $kind $($label)?), )+
            /// Requests, by operation.
            pub http: Http,
        }

        /// Every metric.
        pub const DECLARED: &[Declared] = &[
            $( Declared {
                name: $name,
                help: concat!($($help),+),
                kind: <$kind as Instrument>::KIND,
                edges: declare!(@edges $($edges)?),
            }, )+
            BUILD_INFO,
            http::REQUESTS_TOTAL,
            http::DURATION,
            http::REFUSALS,
        ];

        impl Metrics {
            fn register(recorder: &dyn Recorder, http: Http) -> Self {
                Self {
                    $( $field: declare!(@register recorder, $name, $kind $($label, $values)?), )+
                    http,
                }
            }
        }
    };
    (@type $kind:ident) => { $kind };
    (@type $kind:ident $label:literal) => { Family<$kind> };
    (@edges) => { &[] };
    (@edges $edges:expr) => { $edges };
    (@register $recorder:expr, $name:literal, $kind:ident) => { $kind::register($recorder, $name, &[]) };
    (@register $recorder:expr, $name:literal, $kind:ident $label:literal, $values:expr) => {
        Family::register($recorder, $name, $label, $values)
    };
}

declare! {
    /// Requests that are being answered.
    http_requests_in_flight: "safire_http_requests_in_flight", Gauge;
    /// Connections of clients that are open.
    http_connections: "safire_http_connections", Gauge;
    /// Connections of clients that may be open at once.
    http_connections_limit: "safire_http_connections_limit", Gauge;
    /// Connections that were closed at once, because their address had as many as one may have.
    http_connections_refused: "safire_http_connections_refused_total", Counter;

    /// Whether the last attempt to reach the database succeeded.
    database_up: "safire_database_up", Gauge;
    /// Connections to the database that are open.
    database_connections: "safire_database_connections", Gauge;
    /// Connections to the database that do a job.
    database_connections_checked_out: "safire_database_connections_checked_out", Gauge;
    /// Connections to the database that wait for a job.
    database_connections_idle: "safire_database_connections_idle", Gauge;
    /// Connections to the database beyond those that are kept.
    database_connections_overflow: "safire_database_connections_overflow", Gauge;
    /// Jobs that wait for a connection to the database.
    database_waiters: "safire_database_waiters", Gauge;
    /// How long jobs waited for a connection to the database.
    database_acquire: "safire_database_acquire_duration_seconds", Histogram, edges WAITS;

    /// Whether Redis is configured.
    redis_enabled: "safire_redis_enabled", Gauge;
    /// Whether Redis is connected and answers.
    redis_up: "safire_redis_up", Gauge;
    /// Memory that Redis has allocated.
    redis_memory: "safire_redis_memory_bytes", Gauge;
    /// Clients connected to Redis.
    redis_clients: "safire_redis_clients", Gauge;
    /// Keys in the database of Redis that is used.
    redis_keys: "safire_redis_keys", Gauge;
    /// Invalidations that Redis has yet to be told.
    redis_undelivered: "safire_redis_undelivered_invalidations", Gauge;
    /// Attempts to connect to Redis that failed, and connections that broke.
    redis_connection_errors: "safire_redis_connection_errors_total", Counter;
    /// Commands that Redis refused or did not answer in time.
    redis_command_errors: "safire_redis_command_errors_total", Counter;
    /// How long commands to Redis took that were answered.
    redis_command: "safire_redis_command_duration_seconds", Histogram, edges WAITS;

    /// Values kept in memory by the cache.
    cache_entries: "safire_cache_entries", Gauge;
    /// Requests to the cache answered from memory.
    cache_hits: "safire_cache_hits_total", Counter by "cache" in CACHES;
    /// Requests to the cache answered by Redis.
    cache_shared_hits: "safire_cache_shared_hits_total", Counter by "cache" in CACHES;
    /// Requests to the cache that memory could not answer.
    cache_misses: "safire_cache_misses_total", Counter by "cache" in CACHES;

    /// Calculations that the pool holds at most, running and waiting.
    calculations_capacity: "safire_calculations_capacity", Gauge;
    /// Calculations that wait for a thread and have not begun.
    calculations_waiting: "safire_calculations_waiting", Gauge;
    /// How long the oldest calculation has waited that has not begun.
    calculations_oldest_waiting: "safire_calculations_oldest_waiting_seconds", Gauge;
    /// Calculations that have begun and not ended.
    calculations_running: "safire_calculations_running", Gauge;
    /// Threads left with a calculation that does not end, which have a fortieth of a processor together.
    calculations_held_back: "safire_calculations_held_back", Gauge;
    /// Time that calculations had a thread.
    calculation: "safire_calculation_duration_seconds", Histogram by "kind" in KINDS, edges CALCULATIONS;

    /// Runs of scenarios that have ended here.
    runs: "safire_runs_total", Counter by "outcome" in OUTCOMES;
    /// Runs of scenarios that are in motion here.
    runs_in_motion: "safire_runs_in_motion", Gauge;
    /// Since when the oldest run that is in motion here has been so.
    runs_oldest: "safire_runs_oldest_in_motion_seconds", Gauge;

    /// Files that this process makes scenarios of.
    imports_running: "safire_imports_running", Gauge;
    /// How long the oldest import that is worked on here has been so.
    imports_oldest: "safire_imports_oldest_running_seconds", Gauge;

    /// Live streams that are open.
    event_streams: "safire_event_streams", Gauge;
    /// For how long the table of events has not been read to its end: nothing older has not been told.
    event_lag: "safire_event_lag_seconds", Gauge;
    /// Events that were read and told to whoever asked for them.
    events_told: "safire_events_told_total", Counter;
    /// Updates of progress that were passed on.
    event_updates: "safire_event_updates_total", Counter;
    /// Live streams that were cut because their readers took nothing.
    event_streams_cut: "safire_event_streams_cut_total", Counter;

    /// Whether Kafka is configured.
    kafka_enabled: "safire_kafka_enabled", Gauge;
    /// Whether a broker of Kafka is connected, and takes within seconds what is published.
    kafka_up: "safire_kafka_up", Gauge;
    /// Events that wait to be published.
    outbox_events: "safire_outbox_events", Gauge;
    /// Events that may wait to be published; of more, the oldest are given up.
    outbox_capacity: "safire_outbox_capacity_events", Gauge;
    /// Events that were published.
    outbox_published: "safire_outbox_published_total", Counter;
    /// Events that were given up because too many waited.
    outbox_given_up: "safire_outbox_given_up_total", Counter;
    /// Messages that wait to be taken in here.
    feed_waiting: "safire_feed_waiting_messages", Gauge;
    /// Messages that were taken in.
    feed_consumed: "safire_feed_consumed_total", Counter;
    /// Messages that came again and were passed over.
    feed_duplicates: "safire_feed_duplicates_total", Counter;
    /// Messages that were not understood and were put aside.
    feed_dead_letters: "safire_feed_dead_letters_total", Counter;

    /// Restarts of actors.
    actor_restarts: "safire_actor_restarts_total", Counter by "actor" in ACTORS;
    /// Messages to an actor that were lost because their handling panicked.
    actor_lost_messages: "safire_actor_lost_messages_total", Counter by "actor" in ACTORS;
    /// Requests that an actor admits at once.
    actor_permits: "safire_actor_permits", Gauge by "actor" in ACTORS;
    /// Requests that an actor has admitted and not answered.
    actor_permits_in_use: "safire_actor_permits_in_use", Gauge by "actor" in ACTORS;

    /// Threads that run tasks.
    runtime_workers: "safire_runtime_workers", Gauge;
    /// Tasks that have not ended.
    runtime_tasks: "safire_runtime_tasks", Gauge;
    /// Tasks that wait in the queue of all threads.
    runtime_queue: "safire_runtime_queue_depth", Gauge;
    /// Share of the threads' time that they were busy, since the metrics were last asked for.
    runtime_busy: "safire_runtime_busy_ratio", Gauge;
}

const BUILD_INFO: Declared =
    Declared { name: "safire_build_info", help: "One, labelled with what is running.", kind: Kind::Gauge, edges: &[] };

/// What is running.
pub fn build_info(recorder: &dyn Recorder, labels: &[(&'static str, &str)]) -> Gauge {
    Gauge::register(recorder, BUILD_INFO.name, labels)
}

impl Metrics {
    /// Describes and registers every metric, and those of requests to `operations`.
    pub fn new(recorder: &dyn Recorder, operations: &[Operation]) -> Self {
        for declared in DECLARED {
            declared.kind.describe(recorder, declared.name, declared.help.trim());
        }
        Self::register(recorder, Http::register(recorder, operations))
    }

    /// Metrics that nobody reads.
    pub fn silent() -> Self {
        Self::register(&metrics::NoopRecorder, Http::default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_say_the_unit_and_whether_they_only_grow() {
        let names: BTreeSet<_> = DECLARED.iter().map(|declared| declared.name).collect();
        assert_eq!(names.len(), DECLARED.len(), "a name is there twice");
        for Declared { name, help, kind, edges } in DECLARED {
            assert!(name.starts_with("safire_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert_eq!(edges.is_empty(), *kind != Kind::Histogram, "{name}");
            assert_eq!(name.ends_with("_duration_seconds"), *kind == Kind::Histogram, "{name}");
            assert!(edges.is_sorted(), "{name}");
            assert!(help.ends_with('.'), "{name}: {help}");
        }
    }

    #[test]
    fn thresholds_of_response_times_are_edges() {
        for threshold in [0.5, 1.0] {
            assert!(http::DURATION.edges.contains(&threshold));
        }
    }
}
