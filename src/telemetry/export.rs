//! Spans for a collector (OTLP over HTTP, protobuf): those that are part of a trace, with the ids that the log has.
//!
//! The ids are fields of the spans. They are made where work begins, because they cross mailboxes, the database and
//! Kafka whether there is a collector or not. So spans that have ended go straight to the SDK's queue: a tracer
//! would make ids of its own. The queue is bounded and its thread exports; nobody who works waits for it.

mod reported;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor},
};
use safire_domain::{Clock, clock::SystemClock};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::config::Traces;
use reported::Reported;

/// How long the collector may take for a batch, and at the end for all that waits.
const PATIENCE: Duration = Duration::from_secs(5);
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// How often ended spans are sent, and how many may wait; of more, the newest are left out.
const PACE: Duration = Duration::from_secs(1);
const QUEUE: usize = 8192;

/// Where ended spans go.
#[derive(Clone)]
pub(super) struct Export(Arc<BatchSpanProcessor>);

impl Export {
    /// To the configured collector; nothing when there is none.
    pub fn new(traces: &Traces) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &traces.endpoint else { return Ok(None) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .context("traces.endpoint cannot be used")?;
        let queue = BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_scheduled_delay(PACE).build();
        let mut processor = BatchSpanProcessor::builder(Reported::new(exporter)).with_batch_config(queue).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        processor.set_resource(&Resource::builder().with_service_name("safire").with_attribute(version).build());
        Ok(Some(Self(Arc::new(processor))))
    }

    /// Sends what waits, for a bounded time.
    pub fn end(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_PATIENCE) {
            tracing::warn!(%error, "the last spans may not have been exported");
        }
    }
}

/// A span of a trace that has not ended.
struct Open {
    name: &'static str,
    start: SystemTime,
    names: Names,
    attributes: Vec<KeyValue>,
}

/// The fields that place a span in its trace.
#[derive(Default)]
struct Names {
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
}

impl Open {
    fn new(attributes: &Attributes<'_>) -> Self {
        let (name, start) = (attributes.metadata().name(), SystemClock.now().into());
        let mut open = Self { name, start, names: Names::default(), attributes: Vec::new() };
        attributes.record(&mut open);
        open
    }

    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        // The names that collectors know.
        let name = match field.name() {
            "method" => "http.request.method",
            "route" => "http.route",
            "status" => "http.response.status_code",
            "topic" => "messaging.destination.name",
            name => name,
        };
        self.attributes.push(KeyValue::new(name, value));
    }

    fn attribute(&self, name: &str) -> Option<&Value> {
        Some(&self.attributes.iter().find(|attribute| attribute.key.as_str() == name)?.value)
    }

    /// The span as it is exported; nothing when it is part of no trace.
    fn ended(self) -> Option<SpanData> {
        let Names { trace, span, parent } = self.names;
        let span = span.unwrap_or_else(|| SpanId::from(rand::random::<u64>()));
        let failed = matches!(self.attribute("http.response.status_code"), Some(Value::I64(500..)));
        let kind = match self.name {
            "request" => SpanKind::Server,
            "message" => SpanKind::Consumer,
            _ => SpanKind::Internal,
        };
        let method_and_route = self.attribute("http.request.method").zip(self.attribute("http.route"));
        let name = method_and_route.map(|(method, route)| format!("{method} {route}").into());
        Some(SpanData {
            span_context: SpanContext::new(trace?, span, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: kind != SpanKind::Internal,
            span_kind: kind,
            name: name.unwrap_or(self.name.into()),
            start_time: self.start,
            end_time: SystemClock.now().into(),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::builder("safire").build(),
        })
    }
}

impl Visit for Open {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace_id" => self.names.trace = TraceId::from_hex(value).ok(),
            "span_id" => self.names.span = SpanId::from_hex(value).ok(),
            "parent_id" => self.names.parent = SpanId::from_hex(value).ok(),
            _ => self.add(field, value.to_owned()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S> Layer<S> for Export
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        span.extensions_mut().insert(Open::new(attributes));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(open);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(ended) = open.and_then(Open::ended) {
            self.0.on_end(ended);
        }
    }
}
