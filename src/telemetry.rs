//! Logs: text at a terminal, JSON elsewhere; and spans, for a collector where there is one.

mod export;
mod fields;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::config::{Log, LogFormat, Traces};
use export::Export;

/// What has to be ended when the process does.
#[must_use]
pub struct Telemetry(Option<Export>);

impl Telemetry {
    /// Sends the spans that wait to be sent, for two seconds at most.
    pub fn end(self) {
        if let Some(export) = self.0 {
            export.end();
        }
    }
}

/// Sends logs, and panics among them, to the standard error, and spans to the collector.
pub fn init(log: &Log, traces: &Traces) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&log.filter).context("log.filter is not a filter")?;
    let export = Export::new(traces)?;
    let known = registry().with(filter).with(export.clone());
    let logs = fmt::layer().with_writer(std::io::stderr);
    let as_json = match log.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    if as_json {
        known.with(logs.json().with_span_list(false).flatten_event(true).fmt_fields(fields::SpanFields)).init()
    } else {
        known.with(logs).init()
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, panic = what, "a panic");
    }));
    Ok(Telemetry(export))
}
