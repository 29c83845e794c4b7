//! The metrics as Prometheus reads them, on a listener of their own.
//!
//! What happened was counted where it happened. What is the case (connections, queues, memory) is asked
//! when somebody asks for the metrics; every answer to that is at hand, so that a scrape waits for nothing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;
use safire_actors::{System, feed};
use safire_metrics::{Counter, DECLARED, Gauge, Metrics};
use tokio::{net::TcpListener, runtime::RuntimeMetrics, task::JoinHandle, time::interval};
use tokio_util::sync::CancellationToken;

use crate::{config, listener};

/// Where everything is counted, and how it is told.
pub(crate) struct Exposition {
    pub metrics: Arc<Metrics>,
    recorder: Option<PrometheusRecorder>,
}

impl Exposition {
    /// A recorder for every metric, if metrics are wanted.
    pub fn new(config: &config::Metrics) -> anyhow::Result<Self> {
        if !config.enabled {
            return Ok(Self { metrics: Arc::new(Metrics::silent()), recorder: None });
        }
        let mut builder = PrometheusBuilder::new();
        for declared in DECLARED.iter().filter(|declared| !declared.edges.is_empty()) {
            builder = builder.set_buckets_for_metric(Matcher::Full(declared.name.to_owned()), declared.edges)?;
        }
        let recorder = builder.build_recorder();
        let metrics = Arc::new(Metrics::new(&recorder, &safire_web::operations()));
        Ok(Self { metrics, recorder: Some(recorder) })
    }

    /// Serves the metrics of that system.
    pub async fn serve(self, config: &config::Metrics, system: &Arc<System>) -> anyhow::Result<Option<Endpoint>> {
        let Some(recorder) = self.recorder else { return Ok(None) };
        let (host, port) = (config.host.as_str(), config.port);
        let listener = TcpListener::bind((host, port))
            .await
            .with_context(|| format!("cannot listen on {host}:{port} for metrics (metrics.port)"))?;
        let address = listener.local_addr()?;
        let build = [("version", env!("CARGO_PKG_VERSION")), ("engine", system.database.engine().name())];
        safire_metrics::build_info(&recorder, &build).set(1.0);
        let source = Source::new(recorder, self.metrics, Arc::clone(system));
        let (stop, handle) = (CancellationToken::new(), source.handle.clone());
        let router = Router::new().route(
            "/metrics",
            get(move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], source.render()) }),
        );
        let served = tokio::spawn(listener::serve(listener, router, limits(), stop.clone(), PATIENCE));
        let upkeep = tokio::spawn(stop.clone().run_until_cancelled_owned(keep_up(handle)));
        Ok(Some(Endpoint { address, stop, tasks: [served, tokio::spawn(async { drop(upkeep.await) })] }))
    }
}

/// The listener for metrics.
pub(crate) struct Endpoint {
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Endpoint {
    /// Stops it: the last of all, so that a drain can be watched.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A scrape that panicked was answered by the end of its connection.
            let _ = task.await;
        }
    }
}

fn limits() -> listener::Limits {
    listener::Limits {
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(60),
        connections: 16,
        per_address: 16,
        exempt: Vec::new(),
        open: Gauge::noop(),
        refused: Counter::noop(),
        linger: Duration::ZERO,
    }
}

/// How long a scrape may take when it is time to stop.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often single values are put into the buckets of their histograms: until then they take memory, and
/// a scrape would have to.
const UPKEEP: Duration = Duration::from_secs(1);

async fn keep_up(handle: PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// Where the figures come from when somebody asks.
#[derive(Clone)]
struct Source {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    metrics: Arc<Metrics>,
    system: Arc<System>,
    process: Collector,
    busy: Arc<Busy>,
}

impl Source {
    fn new(recorder: PrometheusRecorder, metrics: Arc<Metrics>, system: Arc<System>) -> Self {
        let process = Collector::default();
        metrics::with_local_recorder(&recorder, || process.describe());
        let handle = recorder.handle();
        Self { recorder: Arc::new(recorder), handle, metrics, system, process, busy: Arc::default() }
    }

    fn render(&self) -> String {
        self.sample_database();
        self.sample_cache();
        self.sample_calculations();
        self.sample_events();
        self.sample_feed();
        self.sample_actors();
        self.sample_runtime();
        metrics::with_local_recorder(&*self.recorder, || self.process.collect());
        self.handle.render()
    }

    fn sample_database(&self) {
        let (database, metrics) = (&self.system.database, &self.metrics);
        let stats = database.stats();
        set_bool(&metrics.database_up, database.is_up());
        set(&metrics.database_connections, stats.size);
        set(&metrics.database_connections_checked_out, stats.checked_out);
        set(&metrics.database_connections_idle, stats.idle);
        set(&metrics.database_connections_overflow, stats.overflow);
        set(&metrics.database_waiters, stats.waiters);
    }

    fn sample_cache(&self) {
        let (cache, metrics) = (&self.system.cache, &self.metrics);
        metrics.cache_entries.set(cache.entries() as f64);
        let redis = cache.health().redis;
        set_bool(&metrics.redis_enabled, redis.is_some());
        set_bool(&metrics.redis_up, redis.as_ref().is_some_and(|redis| redis.is_up()));
        set(&metrics.redis_undelivered, redis.as_ref().map_or(0, |redis| redis.undelivered));
        let stats = redis.and_then(|redis| redis.stats).unwrap_or_default();
        metrics.redis_memory.set(stats.memory_used as f64);
        metrics.redis_clients.set(stats.connected_clients as f64);
        metrics.redis_keys.set(stats.total_keys as f64);
    }

    fn sample_calculations(&self) {
        let (pool, metrics) = (&self.system.calculations, &self.metrics);
        set(&metrics.calculations_capacity, pool.capacity());
        set(&metrics.calculations_waiting, pool.waiting().count());
        metrics.calculations_oldest_waiting.set(pool.waiting().oldest().as_secs_f64());
        set(&metrics.calculations_running, pool.running().count());
        set(&metrics.calculations_held_back, pool.held_back());
        let runs = self.system.scenarios.in_motion();
        set(&metrics.runs_in_motion, runs.count());
        metrics.runs_oldest.set(runs.oldest().as_secs_f64());
        let imports = self.system.imports.running();
        set(&metrics.imports_running, imports.count());
        metrics.imports_oldest.set(imports.oldest().as_secs_f64());
    }

    fn sample_events(&self) {
        let (stats, metrics) = (self.system.events.stats(), &self.metrics);
        set(&metrics.event_streams, stats.subscribers);
        metrics.event_lag.set(stats.lag.as_secs_f64());
        metrics.events_told.absolute(stats.events);
        metrics.event_updates.absolute(stats.updates);
        metrics.event_streams_cut.absolute(stats.cut);
    }

    fn sample_feed(&self) {
        let metrics = &self.metrics;
        let Some(feed) = &self.system.feed else { return };
        let stats = feed.stats();
        set_bool(&metrics.kafka_enabled, true);
        set_bool(&metrics.kafka_up, stats.is_up);
        metrics.outbox_events.set(stats.outbox as f64);
        metrics.outbox_capacity.set(feed::OUTBOX as f64);
        metrics.outbox_published.absolute(stats.published);
        metrics.outbox_given_up.absolute(stats.given_up);
        metrics.feed_waiting.set(stats.waiting as f64);
        metrics.feed_consumed.absolute(stats.taken_in);
        metrics.feed_duplicates.absolute(stats.repeated);
        metrics.feed_dead_letters.absolute(stats.dead_letters);
    }

    fn sample_actors(&self) {
        for places in self.system.places() {
            set(self.metrics.actor_permits.of(places.actor), places.capacity);
            set(self.metrics.actor_permits_in_use.of(places.actor), places.taken);
        }
    }

    fn sample_runtime(&self) {
        let (runtime, metrics) = (tokio::runtime::Handle::current().metrics(), &self.metrics);
        set(&metrics.runtime_workers, runtime.num_workers());
        set(&metrics.runtime_tasks, runtime.num_alive_tasks());
        set(&metrics.runtime_queue, runtime.global_queue_depth());
        metrics.runtime_busy.set(self.busy.since_last(&runtime));
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(value as f64);
}

fn set_bool(gauge: &Gauge, value: bool) {
    gauge.set(f64::from(u8::from(value)));
}

/// How busy the runtime's threads were since somebody last asked.
struct Busy(Mutex<(Instant, Duration)>);

impl Default for Busy {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), Duration::ZERO)))
    }
}

impl Busy {
    fn since_last(&self, runtime: &RuntimeMetrics) -> f64 {
        let now = Instant::now();
        let busy: Duration = (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, before) = std::mem::replace(&mut *last, (now, busy));
        let passed = now.saturating_duration_since(then).as_secs_f64() * runtime.num_workers() as f64;
        (busy.saturating_sub(before).as_secs_f64() / passed.max(f64::MIN_POSITIVE)).min(1.0)
    }
}
