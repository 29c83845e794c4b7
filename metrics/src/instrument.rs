//! What counters, gauges and histograms have in common.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString};

/// What becomes of a metric's value over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows.
    Counter,
    /// It comes and goes.
    Gauge,
    /// How many values there were of which size.
    Histogram,
}

impl Kind {
    pub(crate) fn describe(self, recorder: &dyn Recorder, name: &'static str, help: &'static str) {
        let (name, help) = (KeyName::from_const_str(name), SharedString::const_str(help));
        match self {
            Self::Counter => recorder.describe_counter(name, None, help),
            Self::Gauge => recorder.describe_gauge(name, None, help),
            Self::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
}

/// A handle on one series.
pub trait Instrument: Sized + Clone {
    const KIND: Kind;

    /// The series of that name with these labels.
    fn register(recorder: &dyn Recorder, name: &'static str, labels: &[(&'static str, &str)]) -> Self {
        let labels = labels.iter().map(|(label, value)| Label::new(*label, (*value).to_owned()));
        Self::of(recorder, &Key::from_parts(name, labels.collect::<Vec<_>>()))
    }

    fn of(recorder: &dyn Recorder, key: &Key) -> Self;

    /// A series that nobody reads.
    fn silent() -> Self;
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Instrument for Counter {
    const KIND: Kind = Kind::Counter;

    fn of(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_counter(key, &METADATA)
    }

    fn silent() -> Self {
        Self::noop()
    }
}

impl Instrument for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn of(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_gauge(key, &METADATA)
    }

    fn silent() -> Self {
        Self::noop()
    }
}

impl Instrument for Histogram {
    const KIND: Kind = Kind::Histogram;

    fn of(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_histogram(key, &METADATA)
    }

    fn silent() -> Self {
        Self::noop()
    }
}
